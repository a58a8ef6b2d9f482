"""What all architectures can do: those that a search finds, and those that have a name in the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


class Architecture(Protocol):
    """Builds a network and says what it costs. Whatever takes an architecture takes any of them."""

    kind: str
    """What it is, and the entry of a model file that holds it: "genotype" or "network"."""

    @property
    def width(self) -> int | None:
        """C where the architecture itself fixes it, or None."""

    @property
    def depth(self) -> int | None:
        """L where the architecture itself fixes it, or None."""

    def check_layers(self, layers: int) -> None:
        """Raise ValueError if there is no network of so many layers."""

    def build(self, scale: int, channels: int, layers: int) -> nn.Module:
        """Build the :class:`hnas_nni.network.base.SuperResolutionNetwork`, or raise ValueError."""

    def cost(self, scale: int, channels: int, layers: int) -> Any:
        """Return the :class:`hnas_nni.cost.Cost` of that network at a 3x480x480 input."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""

    def to_json(self) -> str:
        """Return it as JSON."""
