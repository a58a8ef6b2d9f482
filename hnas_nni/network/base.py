"""What the networks of all spaces have in common."""

from __future__ import annotations

from torch import nn

from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS, Genotype
from hnas_nni.settings import shared


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
    """The network of a genotype: ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

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
        super().__init__()
        channels, layers = genotype.width or channels, genotype.depth or layers
        check_network_size(scale, channels, layers)
        genotype.check_layers(layers)
        self.genotype = genotype
        self.scale = scale
        self.channels = channels
        self.layers = layers
