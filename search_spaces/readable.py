"""NAS experiments whose trials show their architecture in NNI's web page."""

from __future__ import annotations

from typing import Any

from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import ModelFormatConfig, SimplifiedModelFormatConfig
from nni.nas.space import ExecutableModelSpace, SimplifiedModelSpace

from search_spaces.input_pick import plain_sample


class ReadableModelSpace(SimplifiedModelSpace):
    """NNI's simplified model space, with the choices where NNI's web page looks for them.

    The page reads the choices of a NAS trial from ``mutation_summary``, which the models of NNI 3.0 do not have: it
    then shows the serialized model and evaluator instead, and no lines in its *Hyper-parameter* tab.
    """

    def _dump(self) -> dict[str, Any]:
        document: dict[str, Any] = super()._dump()
        if self.sample is not None:
            document["mutation_summary"] = plain_sample(self.sample)
        return document

    @classmethod
    def _load(cls, **document: Any) -> ReadableModelSpace:
        document.pop("mutation_summary", None)
        model: ReadableModelSpace = super()._load(**document)
        return model


class ReadableNasExperiment(NasExperiment):
    """NNI's NAS experiment, except that a trial's parameters in the web page are the choices of its architecture.

    Takes the same arguments, any model space of NNI and any strategy. Nothing changes for one-shot strategies, which
    have no web page.

    Examples
    --------
    >>> from nni.nas.strategy import Random
    >>> from hnas_nni.evaluator import SuperResolution
    >>> from search_spaces import HNASSpace
    >>> experiment = ReadableNasExperiment(HNASSpace(), SuperResolution(), Random())
    >>> experiment.run(port=8080)  # doctest: +SKIP
    """

    def executable_model_factory(self, config: ModelFormatConfig) -> ExecutableModelSpace:
        """Return the model space in the form that strategies and trials use."""
        if isinstance(config, SimplifiedModelFormatConfig):
            return ReadableModelSpace.from_model(self.model_space, self.evaluator)
        return super().executable_model_factory(config)
