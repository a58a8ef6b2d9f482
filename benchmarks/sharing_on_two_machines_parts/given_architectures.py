"""A tuner for NNI that proposes the same architectures in every experiment, whatever it hears of them."""

from __future__ import annotations

from typing import Any

from hnas_nni.architecture.genotype import Genotype
from strategies import HierarchicalTuner


def drawn_architecture(draw: int, number: int, layers: int) -> Genotype:
    """Return what is proposed as the one of a number, counted from 0."""
    return Genotype.random(1000 * draw + number, layers)


class GivenArchitectures(HierarchicalTuner):
    """The shipped tuner, with its server of weights, but for what it proposes: evenly drawn architectures.

    Parameters
    ----------
    draw
        Seed of the architectures; each experiment of one seed has the same, in the same order.
    layers
        L.
    arguments
        As for :class:`HierarchicalTuner`.
    """

    def __init__(self, draw: int, layers: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._draw = draw
        self._layers = layers

    def generate_multiple_parameters(self, parameter_id_list: list[int], **kwargs: Any) -> list[dict[str, Any]]:
        """Return what the tuner hands to trials, with the architectures of these numbers in place of its own."""
        samples = super().generate_multiple_parameters(parameter_id_list, **kwargs)
        return [
            sample | drawn_architecture(self._draw, number, self._layers).to_sample()
            for number, sample in zip(parameter_id_list, samples, strict=False)
        ]
