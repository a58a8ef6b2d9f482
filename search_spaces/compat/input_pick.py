"""The choice of an edge's input, in a form that all of NNI can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, Sample, SampleValidationError

from hnas_nni.architecture.spaces import SPACES

_INPUT_LABELS = frozenset(label for space in SPACES.values() for label in space.cell_labels() if "/input_" in label)


class InputPick(CategoricalMultiple):
    """A :class:`~nni.mutable.CategoricalMultiple` of one value that also has a form for NNI's tuners and its web page.

    NNI 3.0 leaves ``as_legacy_dict`` out for this kind of choice, so that its TPE strategy stops and its web page does
    not show it. In that form the candidates are plain values, as the web page takes an array for a nested space; a
    sample may therefore have the value itself in place of the one-element list that NNI's cells ask for.
    """

    @classmethod
    def of(cls, choice: CategoricalMultiple) -> InputPick:
        """Return the same choice, label included, as an :class:`InputPick`."""
        pick = cls.__new__(cls)  # __init__ would put the label below that of a surrounding label scope
        pick.__dict__.update(choice.__dict__)
        return pick

    def as_legacy_dict(self) -> dict[str, Any]:
        """Return the choice as NNI's search-space JSON has it."""
        return {"_type": "choice", "_value": list(self.values)}

    def _parse_simple_format(self, sample: Sample) -> Any:
        if self.label in sample:
            sample = {self.label: _as_list(sample[self.label])}
        return super()._parse_simple_format(sample)


class EdgeSource(Categorical):
    """The node that an edge reads, as an argument of an expression: one value, be it in a one-element list or not."""

    @classmethod
    def of(cls, pick: CategoricalMultiple) -> EdgeSource:
        """Return the choice of one value that stands for a pick, under the same label."""
        source = cls(pick.values, label="source")
        source.label = pick.label  # __init__ would put it below that of a surrounding label scope
        return source

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        """Return what is wrong with a sample, or None; see :meth:`nni.mutable.Mutable.check_contains`."""
        value = sample.get(self.label)
        if isinstance(value, list) and len(value) == 1:
            sample = {self.label: value[0]}
        return super().check_contains(sample)


def with_listed_inputs(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample of the space in NNI's form: each input pick is a one-element list."""
    return {label: _as_list(value) if label in _INPUT_LABELS else value for label, value in sample.items()}


def plain_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample for people and for NNI's web page: a choice of one value is that value, not a list of it."""
    return {
        label: value[0] if isinstance(value, list) and len(value) == 1 else value for label, value in sample.items()
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
