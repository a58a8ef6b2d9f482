"""Networks that have a name in the literature, beside which searched ones are put.

Each is a row of :data:`PEERS`; what it builds is in :mod:`hnas_nni.peers`, and needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hnas_nni.architecture.references import lazy
from hnas_nni.settings.shared import SCALES

if TYPE_CHECKING:
    from torch import nn

_FORMAT = "hnas-network"
_MOST_LAYERS = 1000
"""A model file does not tell the depth of networks that use weights again, so that it can't ask for more."""

_count = lazy("hnas_nni.cost:small_count")


class PeerError(ValueError):
    """A network that is not known, or not in that size; the message says what is."""


@dataclass(frozen=True, eq=False)
class Peer:
    """A network with a name. It is an :class:`hnas_nni.architecture.architecture.Architecture`.

    Parameters
    ----------
    name
        What its authors call it.
    source
        Where it was published.
    network
        ``network(peer, scale, channels, layers)`` makes it.
    channels, layers
        C and L of the paper's network.
    of_layers
        What L counts.
    open_channels, open_layers
        Whether C and L are options, as the paper's own are; or else they are fixed.
    multiple
        What C must be a multiple of.
    scales
        Upscaling factors that it is defined for.
    """

    name: str
    source: str
    network: Callable[..., nn.Module]
    channels: int
    layers: int
    of_layers: str = "convolutions"
    open_channels: bool = False
    open_layers: bool = False
    multiple: int = 1
    scales: tuple[int, ...] = SCALES

    kind = "network"

    def __str__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: object) -> Peer:
        """Return the row itself: a copy of a network is of the same architecture."""
        return self

    def __reduce__(self) -> tuple[Callable[[str], Peer], tuple[str]]:
        """Go by the name into other processes."""
        return peer, (self.name,)

    @property
    def width(self) -> int | None:
        """C where the paper fixes it, or None."""
        return None if self.open_channels else self.channels

    @property
    def depth(self) -> int | None:
        """L where the paper fixes it, or None."""
        return None if self.open_layers else self.layers

    def check_layers(self, layers: int) -> None:
        """Check that there is a network of so many layers.

        Raises
        ------
        PeerError
            If there is none.
        """
        self._check("layers", layers, self.depth, most=_MOST_LAYERS)

    def build(self, scale: int = 2, channels: int | None = None, layers: int | None = None) -> Any:
        """Build the plain torch network.

        Parameters
        ----------
        scale
            Upscaling factor.
        channels, layers
            C and L, by default the paper's.

        Returns
        -------
        hnas_nni.network.base.SuperResolutionNetwork
            It maps ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

        Raises
        ------
        PeerError
            If the paper has no such network.
        """
        channels, layers = channels or self.channels, layers or self.layers
        if scale not in self.scales:
            raise PeerError(f"scale: {self.name} is not defined for {scale!r}; give {_either(self.scales)}")
        self._check("channels", channels, self.width, self.multiple)
        self.check_layers(layers)
        return self.network(self, scale, channels, layers)

    def cost(self, scale: int = 2, channels: int | None = None, layers: int | None = None) -> Any:
        """Return the :class:`hnas_nni.cost.Cost` at a 3x480x480 input; for the parameters see :meth:`build`."""
        return _count(self, scale, channels or self.channels, layers or self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return what tells the network, as JSON-ready data."""
        return {"format": _FORMAT, "version": 1, "name": self.name}

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Peer:
        """Read the data that :meth:`to_dict` wrote.

        Raises
        ------
        PeerError
            If it is something else, or there is no such network.
        """
        if not isinstance(document, Mapping) or document.get("format") != _FORMAT or document.get("version") != 1:
            raise PeerError("network: is not in a form that this hnas-nni reads")
        return peer(str(document.get("name")))

    def _check(self, what: str, value: int, fixed: int | None, multiple: int = 1, most: int | None = None) -> None:
        if fixed not in (None, value):
            raise PeerError(f"{what}: {self.name} has {fixed}, not {value}")
        if value < 1 or value % multiple or (most is not None and value > most):
            of = "a number of at least 1" if multiple == 1 else f"a multiple of {multiple}"
            raise PeerError(f"{what}: {value!r} is not valid for {self.name}; give {of}")


def find_peer(name: str) -> Peer | None:
    """Return a network by its name, in upper or lower case, or None if there is none of that name."""
    return _BY_FOLDED_NAME.get(name.casefold())


def peer(name: str) -> Peer:
    """Return a network by its name, in upper or lower case.

    Raises
    ------
    PeerError
        If there is none; the message lists those that there are.

    Examples
    --------
    >>> peer("carn-m").source
    'Ahn et al., ECCV 2018, arXiv 1803.08664'
    """
    found = find_peer(name)
    if found is None:
        raise PeerError(f"{name}: no such network; known are {', '.join(PEERS)}")
    return found


def _either(scales: tuple[int, ...]) -> str:
    return " or ".join(map(str, scales))


_NETWORKS = "hnas_nni.peers."
_CARN = "Ahn et al., ECCV 2018, arXiv 1803.08664"
_FALSR = "Chu et al., ICPR 2020, arXiv 1901.07261"
_ESPCN = "Shi et al., CVPR 2016, arXiv 1609.05158"
_FSRCNN = "Dong et al., ECCV 2016, arXiv 1608.00367"

_ROWS = (
    Peer(
        "plain-stack",
        "3x3 convolutions of one width, to be held against what is searched",
        lazy(_NETWORKS + "plain_stack:PlainStack"),
        channels=16,
        layers=6,
        of_layers="convolutions between the first and the last",
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "SRCNN",
        "Dong et al., TPAMI 2016, arXiv 1501.00092",
        lazy(_NETWORKS + "srcnn:SRCNN"),
        channels=64,
        layers=3,
        open_channels=True,
        multiple=2,
    ),
    Peer(
        "ESPCN",
        _ESPCN,
        lazy(_NETWORKS + "espcn:ESPCN"),
        channels=64,
        layers=3,
        open_channels=True,
        multiple=2,
    ),
    Peer(
        "ESPCN-RGB",
        f"{_ESPCN}; on RGB, interpolation of the input added",
        lazy(_NETWORKS + "espcn:ESPCNOnRGB"),
        channels=64,
        layers=3,
        open_channels=True,
        multiple=2,
    ),
    Peer(
        "FSRCNN",
        _FSRCNN,
        lazy(_NETWORKS + "fsrcnn:FSRCNN"),
        channels=56,
        layers=4,
        of_layers="3x3 convolutions of the mapping",
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "FSRCNN-RGB",
        f"{_FSRCNN}; on RGB, interpolation of the input added",
        lazy(_NETWORKS + "fsrcnn:FSRCNNOnRGB"),
        channels=56,
        layers=4,
        of_layers="3x3 convolutions of the mapping",
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "VDSR",
        "Kim et al., CVPR 2016, arXiv 1511.04587",
        lazy(_NETWORKS + "vdsr:VDSR"),
        channels=64,
        layers=20,
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "DRCN",
        "Kim et al., CVPR 2016, arXiv 1511.04491",
        lazy(_NETWORKS + "drcn:DRCN"),
        channels=256,
        layers=16,
        of_layers="recursions",
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "DRRN",
        "Tai et al., CVPR 2017",
        lazy(_NETWORKS + "drrn:DRRN"),
        channels=128,
        layers=25,
        of_layers="recursions of the residual unit",
        open_channels=True,
        open_layers=True,
    ),
    Peer(
        "SelNet",
        "Choi and Kim, CVPR Workshops 2017",
        lazy(_NETWORKS + "selnet:SelNet"),
        channels=64,
        layers=10,
        of_layers="residual units",
    ),
    Peer(
        "EDSR-baseline",
        "Lim et al., CVPR Workshops 2017, arXiv 1707.02921",
        lazy(_NETWORKS + "edsr:EDSR"),
        channels=64,
        layers=16,
        of_layers="residual blocks",
        open_channels=True,
        open_layers=True,
    ),
    Peer("CARN", _CARN, lazy(_NETWORKS + "carn:CARN"), channels=64, layers=3, of_layers="cascading blocks"),
    Peer("CARN-M", _CARN, lazy(_NETWORKS + "carn:CARNM"), channels=64, layers=3, of_layers="cascading blocks"),
    Peer(
        "IMDN",
        "Hui et al., ACM Multimedia 2019, arXiv 1909.11856",
        lazy(_NETWORKS + "imdn:IMDN"),
        channels=64,
        layers=6,
        of_layers="multi-distillation blocks",
        open_channels=True,
        open_layers=True,
        multiple=16,
    ),
    Peer(
        "RFDN",
        "Liu et al., ECCV Workshops 2020, arXiv 2009.11551",
        lazy(_NETWORKS + "rfdn:RFDN"),
        channels=48,
        layers=6,
        of_layers="feature distillation blocks",
        open_channels=True,
        open_layers=True,
        multiple=4,
    ),
    Peer(
        "SAFMN",
        "Sun et al., ICCV 2023, arXiv 2302.13800",
        lazy(_NETWORKS + "safmn:SAFMN"),
        channels=36,
        layers=8,
        of_layers="feature mixing modules",
        open_channels=True,
        open_layers=True,
        multiple=4,
    ),
    *(
        Peer(
            f"FALSR-{letter}",
            _FALSR,
            lazy(f"{_NETWORKS}falsr:FALSR"),
            channels=32,
            layers=7,
            of_layers="cell blocks",
            scales=(2,),
        )
        for letter in "ABC"
    ),
)

PEERS: Mapping[str, Peer] = {row.name: row for row in _ROWS}
"""The networks by their names. MoreMNAS-A is not among them: its layers could not be established."""

_BY_FOLDED_NAME = {name.casefold(): row for name, row in PEERS.items()}
