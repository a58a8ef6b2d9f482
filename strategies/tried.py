"""What a search has tried."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, MutableSet

from hnas_nni.architecture.genotype import Genotype, GenotypeError
from hnas_nni.architecture.same_network import network_key
from strategies.layout import SpaceLayout

Choices = tuple[int, ...]
"""An architecture as candidate indices, one for each decision."""


class Tried(MutableSet[Choices]):
    """Architectures that were tried: one is in it as soon as one that is the same network is.

    Parameters
    ----------
    layout
        What the choices are of; in a space that is none of :class:`search_spaces.HNASSpace` each is a network of its
        own.
    choices
        What was tried before.
    """

    def __init__(self, layout: SpaceLayout, choices: Iterable[Choices] = ()) -> None:
        self._layout = layout
        self._by_key: dict[Hashable, Choices] = {}
        for one in choices:
            self.add(one)

    def __contains__(self, choices: object) -> bool:
        return isinstance(choices, tuple) and self._key(choices) in self._by_key

    def __iter__(self) -> Iterator[Choices]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        """Return how many networks were tried."""
        return len(self._by_key)

    def add(self, value: Choices) -> None:
        """Note that an architecture is tried."""
        self._by_key.setdefault(self._key(value), value)

    def discard(self, value: Choices) -> None:
        """Forget an architecture, and all that are the same network."""
        self._by_key.pop(self._key(value), None)

    def _key(self, choices: Choices) -> Hashable:
        try:
            return network_key(Genotype.from_sample(self._layout.decode(choices)))
        except GenotypeError:
            return choices
