"""The choice of an edge's input, in a form that all of NNI can read."""

from __future__ import annotations

from typing import Any

from nni.mutable import CategoricalMultiple


class InputPick(CategoricalMultiple):
    """A :class:`~nni.mutable.CategoricalMultiple` that also has a form for NNI's tuners and its web page.

    NNI 3.0 leaves ``as_legacy_dict`` out for this kind of choice, so that its TPE strategy stops and its web
    page does not show it. In this form a candidate is the one-element list that a sample has.
    """

    @classmethod
    def of(cls, choice: CategoricalMultiple) -> InputPick:
        """Return the same choice, label included, as an :class:`InputPick`."""
        pick = cls.__new__(cls)  # __init__ would put the label below that of a surrounding label scope
        pick.__dict__.update(choice.__dict__)
        return pick

    def as_legacy_dict(self) -> dict[str, Any]:
        """Return the choice as NNI's search-space JSON has it."""
        return {"_type": "choice", "_value": [[value] for value in self.values]}
