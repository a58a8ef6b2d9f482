"""NNI's TPE tuner, for searches with more than one trial at a time."""

from __future__ import annotations

from typing import Any

from nni.algorithms.hpo.tpe_tuner import TpeTuner as _NniTpeTuner


class TpeTuner(_NniTpeTuner):
    """NNI's TPE tuner, which also takes the result of a trial that NNI has called ended.

    When two trials start at the same moment NNI 3.0 may hand each the parameters of the other. It then tells the
    tuner of the end of one under the number of the other, whose result is still to come, and NNI's TPE stops with a
    ``KeyError`` at that result: no further trial starts, and the experiment seems to run for ever. With one trial at
    a time, and in all other tuners of NNI that search this space, that does not happen.

    Takes the arguments of NNI's own; in a configuration for nnictl::

        tuner:
          className: search_spaces.compat.tpe_tuner.TpeTuner
          codeDirectory: .
          classArgs:
            optimize_mode: maximize
    """

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        """Learn a result; see :meth:`nni.tuner.Tuner.receive_trial_result`."""
        self._running_params.setdefault(parameter_id, self._params[parameter_id])
        super().receive_trial_result(parameter_id, parameters, value, **kwargs)
