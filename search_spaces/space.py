"""The hierarchical space of super-resolution networks as an NNI model space."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from nni.mutable import CategoricalMultiple, Mutable, SampleValidationError
from nni.mutable.mutable import LabeledMutable
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.profiler.pytorch.flops import FlopsResult
from nni.nas.profiler.pytorch.utils import MutableShape
from nni.nas.profiler.pytorch.utils.misc import profiler_leaf_module

from hnas_nni.architecture.cells import GenotypeError
from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.spaces import DEPTH_LABEL, PAPER, POSITION_LABEL, SPACES, WIDTH_LABEL
from hnas_nni.network.base import SuperResolutionNetwork, check_network_size
from hnas_nni.network.efficient_network import (
    LUMA_CHANNELS,
    EfficientStem,
    efficient_tail,
    interpolated,
)
from hnas_nni.network.first_weights import divide_by_paths, show_image
from hnas_nni.network.network import HNASNetwork, Stem, Tail
from search_spaces.blocks import SearchableBlocks, load_fitting
from search_spaces.compat.input_pick import InputPick, with_listed_inputs
from search_spaces.labels import decision_labels
from search_spaces.profiling import flops_result
from search_spaces.settings import NORMALIZATION, SPACE

_PAPER_CHANNELS = 8


@profiler_leaf_module
class HNASSpace(ModelSpace):
    """All networks of a hierarchical space (paper, section II), for any strategy of NNI.

    Labels are ``normal/input_2_0``, ``normal/op_2_0``, ..., ``upsampling/...`` for the two cells, which all
    layers share, ``depth`` and ``width`` where they are searched, and ``upsample_position`` (1..L);
    :func:`search_spaces.decision_labels` lists them. Every layer holds a normal and an upsampling cell; :meth:`freeze`
    leaves one of them.

    Parameters
    ----------
    scale
        Upscaling factor: 2, 3 or 4.
    channels
        C, the channels of an operation. In the paper's space 8 if not given, as in its search (64 in its networks), and
        blocks hand on 4C; in the efficient space it is searched if not given.
    layers
        L, the number of blocks, at least 2. In the paper's space 12 if not given; in the efficient space searched.
    normalization
        What keeps features at one scale while weights are shared. "none": nothing, the space holds the networks as they
        are. "mean": nodes average their two edges instead of adding them up, and weights start so that every
        architecture interpolates the image (:mod:`hnas_nni.network.first_weights`); shared weights learn many times
        faster. "batch": batch norm without parameters after each convolutional candidate and the cells' 1x1
        convolutions, as in the authors' search. The networks that :meth:`freeze` returns add up and have no batch norm.
        After "mean" what reads a node divides by the paths that lead to it, so that they are nearly as good as in the
        supernet; after "batch" their weights are only a start. Of the paper's space alone.
    space
        "paper", or "efficient" with dense convolutions at low resolution and an interpolation of the input added
        (:data:`hnas_nni.architecture.spaces.EFFICIENT`). One-shot supernets of the latter are of one C and L.

    Raises
    ------
    ValueError
        If scale, channels or layers are out of range, or the normalization is unknown.

    Examples
    --------
    >>> space = HNASSpace(scale=2, channels=8, layers=12)
    >>> network = space.freeze(Genotype.random(0).to_sample())
    >>> network(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 3, 32, 32])
    """

    def __init__(
        self,
        scale: int = 2,
        channels: int | None = None,
        layers: int | None = None,
        normalization: str = "none",
        space: str = "paper",
    ) -> None:
        SPACE.check("space", space)
        self.space = SPACES[space]
        widths = self.space.widths if channels is None else ()
        depths = self.space.depths if layers is None else ()
        channels = min(widths, default=_PAPER_CHANNELS) if channels is None else channels
        layers = max(depths, default=DEFAULT_LAYERS) if layers is None else layers
        check_network_size(scale, channels, layers)
        NORMALIZATION.check("normalization", normalization)
        if normalization != "none" and self.space is not PAPER:
            raise ValueError(f"normalization: {normalization!r} is for the paper's space alone; leave it out")
        super().__init__()
        self.scale = scale
        self.channels = channels
        self.layers = layers
        self.sized = bool(depths or widths)
        self.normalization = normalization
        self.stem = Stem(channels) if self.space is PAPER else EfficientStem(channels)
        self.blocks = SearchableBlocks(
            scale, channels, layers, normalization=normalization, space=self.space, depths=depths, widths=widths
        )
        self.tail = Tail(channels) if self.space is PAPER else efficient_tail(channels)
        if normalization == "mean":
            assert isinstance(self.stem, Stem) and isinstance(self.tail, Tail)
            show_image(self.stem, self.tail)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch by NNI's default choices: ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = self.blocks(self.stem(x))
        if self.space is PAPER:
            return self.tail(features)
        # A last block that upsamples has written the image itself.
        image = features if features.shape[1] == LUMA_CHANNELS else self.tail(features)
        return image + interpolated(x, self.scale)

    def freeze(self, sample: dict[str, Any]) -> SuperResolutionNetwork:
        """Return the plain network of one architecture, the one that its :class:`~hnas_nni.Genotype` builds.

        It gets copies of its weights in this space, wherever shapes allow. That is all of them if a one-shot
        strategy of NNI made a supernet of the space. In a space as it was built, NNI does not know which node
        an edge reads, so that all upsampling candidates upsample; for an edge that keeps the size, the kernel
        of the transposed convolution is that of the upsampling one at x2 and x3, and a new one at x4.

        Parameters
        ----------
        sample
            The space's labels and their values; input picks are nodes or one-element lists. Other labels are ignored.

        Raises
        ------
        nni.mutable.SampleValidationError
            If a label is missing or a value is not in the space.
        """
        self.validate(sample)
        genotype = self.blocks.genotype(with_listed_inputs(sample))
        network: SuperResolutionNetwork = genotype.build(self.scale, self.channels, self.layers)
        network.to(next(self.tail.parameters())).train(self.training)
        load_fitting(network, self.sub_state_dict(genotype))
        if self.normalization == "mean":
            assert isinstance(network, HNASNetwork)
            divide_by_paths(network)
        return network

    def check_contains(self, sample: dict[str, Any]) -> SampleValidationError | None:
        """Return what is wrong with a sample, or None; see :meth:`nni.mutable.Mutable.check_contains`."""
        return super().check_contains(with_listed_inputs(sample))

    def sub_state_dict(self, genotype: Genotype) -> dict[str, torch.Tensor]:
        """Return the weights of one architecture, under the names they have in the network that it builds."""
        parts = {
            "stem": {} if self.sized else self.stem.state_dict(),
            "blocks": self.blocks.sub_state_dict(genotype),
            "tail": {} if self.sized else self.tail.state_dict(),
        }
        return {f"{part}.{key}": weight for part, weights in parts.items() for key, weight in weights.items()}

    def active_genotype(self) -> Genotype | None:
        """Return the architecture that a one-shot strategy's supernet runs now.

        Returns
        -------
        Genotype or None
            None before anything was sampled, for the weighted mixtures of DARTS and GumbelDARTS, and for a space that
            no strategy has made a supernet of.
        """
        sample = self.blocks.active_sample() if hasattr(self.blocks, "active_sample") else None
        return None if sample is None else Genotype.from_sample(sample)

    def likeliest_genotype(self) -> Genotype:
        """Return the architecture with the largest weights in a supernet of DARTS, GumbelDARTS or Proxyless.

        Raises
        ------
        TypeError
            If the space is not a supernet of weighted choices.
        """
        if not hasattr(self.blocks, "arch_parameters"):
            raise TypeError("only the supernets of DARTS, GumbelDARTS and Proxyless have weights of their choices")
        return Genotype.from_sample(self.blocks.likeliest_sample())

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterable[LabeledMutable]:
        """Yield the choices of the space; see :meth:`nni.mutable.Mutable.leaf_mutables`."""
        for mutable in super().leaf_mutables(is_leaf):
            yield InputPick.of(mutable) if type(mutable) is CategoricalMultiple else mutable

    def extra_oneshot_hooks(self, strategy: Any) -> list[Any]:
        """Return the hooks by which a one-shot strategy of NNI searches the position too."""
        from search_spaces.supernet import oneshot_hooks

        return oneshot_hooks(strategy, self)

    def _shape_forward(self, x: Any) -> MutableShape:
        """Return the shape of the output, for NNI's profilers."""
        batch, colours, height, width = x.real_shape
        return MutableShape(batch, colours, height * self.scale, width * self.scale)

    def _count_flops(self, inputs: tuple[MutableShape, ...], output: Any) -> FlopsResult:
        """Return multiply-adds and parameters by architecture, for NNI's profilers."""
        _, _, height, width = inputs[0]
        return flops_result(self.space, self.simplify(), self.scale, self.channels, self.layers, (height, width))

    @classmethod
    def create_fixed_module(
        cls,
        sample: dict[str, Any],
        scale: int = 2,
        channels: int | None = None,
        layers: int | None = None,
        normalization: str = "none",
        space: str = "paper",
    ) -> SuperResolutionNetwork:
        """Build the network of a sample without building the space; NNI does so in a trial. It is not normalized.

        Raises
        ------
        nni.mutable.SampleValidationError
            If a label is missing or a value is not in the space.
        """
        SPACE.check("space", space)
        searched = {
            DEPTH_LABEL: SPACES[space].depths if layers is None else (),
            WIDTH_LABEL: SPACES[space].widths if channels is None else (),
        }
        channels = _PAPER_CHANNELS if channels is None else channels
        layers = DEFAULT_LAYERS if layers is None else layers
        labels = [label for label in decision_labels(SPACES[space]) if searched.get(label, True)]
        own = {label: sample[label] for label in labels if label in sample}
        for label, sizes in searched.items():
            if sizes and own.get(label) not in sizes:
                raise SampleValidationError(f"{label}: {own.get(label)!r} is not valid; give one of {sizes}")
        try:
            genotype = Genotype.from_sample(own)
            # Of the position as it is in the sample; that of the genotype is at most its depth.
            last = max(searched[DEPTH_LABEL], default=layers)
            replace(genotype, position=own[POSITION_LABEL], depth=None).check_layers(last)
        except GenotypeError as error:
            raise SampleValidationError(str(error)) from error
        if genotype.space is not SPACES[space]:
            raise SampleValidationError(f"the sample is of the {genotype.space.name} space, not of the {space} one")
        network: SuperResolutionNetwork = genotype.build(scale, channels, layers)
        return network


def search_space_json(layers: int | None = None, space: str = "paper") -> dict[str, Any]:
    """Return a space as nnictl's search space, read off :class:`HNASSpace`.

    Input picks are plain integers there. The labels stand in the order of the hierarchical controller. The choices are
    the same for every upscaling factor.

    Parameters
    ----------
    layers
        L, the number of blocks, at least 2. Not given it is 12 in the paper's space and searched in the efficient one.
    space
        "paper" or "efficient".

    Raises
    ------
    ValueError
        If layers are out of range, or there is no such space.
    """
    made = HNASSpace(channels=1 if space == "paper" else None, layers=layers, space=space)
    choices = made.simplify()
    labels = decision_labels(made.space)
    return {label: {"_type": "choice", "_value": list(choices[label].values)} for label in labels if label in choices}
