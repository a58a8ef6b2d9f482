"""What all networks have in common."""

from __future__ import annotations

from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.references import lazy
from hnas_nni.settings import shared

_receptive_radius = lazy("hnas_nni.network.receptive_field:receptive_radius")
_is_local = lazy("hnas_nni.network.receptive_field:is_local")


def check_network_size(scale: int, channels: int, layers: int) -> None:
    """Check the sizes that a network is built with.

    Raises
    ------
    ValueError
        If `scale` is not 2, 3 or 4, `channels` not 1 to 4096, or `layers` not 2 to 1000.
    """
    for name, setting, size in (
        ("scale", shared.SCALE, scale),
        ("channels", shared.CHANNELS, channels),
        ("layers", shared.LAYERS, layers),
    ):
        setting.check(name, size)


class SuperResolutionNetwork(nn.Module):
    """A network: ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

    Parameters
    ----------
    architecture
        What it is the network of.
    scale, channels, layers
        Upscaling factor, C and L, as for :meth:`hnas_nni.architecture.architecture.Architecture.build`.
    """

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.scale = scale
        self.channels = channels
        self.layers = layers

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on, at most, where :attr:`is_local`."""
        raise NotImplementedError

    @property
    def is_local(self) -> bool:
        """Whether an image in tiles comes out as the whole image does."""
        raise NotImplementedError


class GenotypeNetwork(SuperResolutionNetwork):
    """The network of a genotype.

    Parameters
    ----------
    genotype
        The architecture.
    scale
        Upscaling factor: 2, 3 or 4.
    channels
        C, the channels of an operation, where the genotype leaves it open.
    layers
        L, the number of blocks, at least 2, where the genotype leaves it open.

    Raises
    ------
    GenotypeError
        If the genotype's position lies behind the last layer.
    ValueError
        If scale, channels or layers are out of range.
    """

    def __init__(
        self,
        genotype: Genotype,
        scale: int = 2,
        channels: int = DEFAULT_CHANNELS,
        layers: int = DEFAULT_LAYERS,
    ) -> None:
        channels, layers = genotype.width or channels, genotype.depth or layers
        check_network_size(scale, channels, layers)
        genotype.check_layers(layers)
        super().__init__(genotype, scale, channels, layers)
        self.genotype = genotype

    @property
    def reach(self) -> int:
        """As :func:`hnas_nni.network.receptive_field.receptive_radius` says."""
        radius: int = _receptive_radius(self.genotype, self.scale, self.layers)
        return radius

    @property
    def is_local(self) -> bool:
        """As :func:`hnas_nni.network.receptive_field.is_local` says."""
        local: bool = _is_local(self.genotype)
        return local
