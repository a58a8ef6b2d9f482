"""Architectures by what a user calls them: the paper's, a file, a trained model, a trial of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import PAPER_NETWORKS, published
from hnas_nni.architecture.peers import PEERS, find_peer

GENOTYPE_HELP = (
    "a genotype's JSON file, a model file (.safetensors), a trial as EXPERIMENT:TRIAL, one that hnas search found as "
    f"RUN:RANK, one of the paper's: HNAS-A, HNAS-B, HNAS-C, or another network by its name: {', '.join(PEERS)}"
)
_MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class NamedArchitecture:
    """An architecture, and the sizes of the network it was found in where these are known.

    Parameters
    ----------
    architecture
        The architecture.
    scale, channels, layers
        Sizes, as for its ``build``, or None.
    paper_name
        What the paper calls it, if that is what the user called it.
    model
        The model file that says so; whether its weights are of that size, which
        :func:`hnas_nni.network.model_file.check` tells, is not known yet.
    """

    architecture: Architecture
    scale: int | None = None
    channels: int | None = None
    layers: int | None = None
    paper_name: str | None = None
    model: Path | None = None

    def in_network(self, layers: int) -> Architecture:
        """Return the architecture for networks of L blocks; that of a paper's name with its position moved if need be.

        Raises
        ------
        GenotypeError
            If the position of another one lies behind the last block.
        """
        moved = None if self.paper_name is None else published(self.paper_name, layers)
        architecture = moved or self.architecture
        architecture.check_layers(layers)
        return architecture


def read_architecture(name: str) -> NamedArchitecture:
    """Return an architecture by its name.

    Parameters
    ----------
    name
        ``HNAS-A``, ``-B`` or ``-C``; a network of :data:`hnas_nni.architecture.peers.PEERS`; a genotype's file; a model
        file; ``EXPERIMENT:TRIAL``: NNI's id or the folder of an experiment (left out, the latest), and a trial's id,
        its number, or ``best``; or ``RUN:RANK``: the folder of a search with shared weights, and a place in its
        ranking, or ``best``.

    Raises
    ------
    FileNotFoundError
        If it is none of these.
    ValueError
        If the file is damaged, or there is no such experiment, trial or place.
    """
    genotype = published(name)
    if genotype is not None:
        return NamedArchitecture(genotype, paper_name=name.upper())
    peer = find_peer(name)
    if peer is not None:
        return NamedArchitecture(peer, channels=peer.channels, layers=peer.layers)
    search, colon, one = name.rpartition(":")
    if Path(name).exists():
        return _from_model(Path(name)) if name.endswith(_MODEL_SUFFIX) else NamedArchitecture(Genotype.from_json(name))
    if colon and one:
        from hnas_nni.searches.opening import open_search

        genotype, sizes = open_search(search or None).find(one)
        return NamedArchitecture(genotype, sizes.get("scale"), sizes.get("channels"), sizes.get("layers"))
    if not Path(name).suffix and "/" not in name:  # the help is too long for the names to be seen
        known = ", ".join([*PAPER_NETWORKS, *PEERS])
        raise FileNotFoundError(f"{name}: no such file or network; known are {known}")
    raise FileNotFoundError(f"{name}: no such file; give {GENOTYPE_HELP}")


def _from_model(path: Path) -> NamedArchitecture:
    from hnas_nni.network.model_header import read_header

    header = read_header(path)
    return NamedArchitecture(header.architecture, header.scale, header.channels, header.layers, model=path)
