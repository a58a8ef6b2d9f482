"""What people see of a search while ``nnictl create --foreground`` runs: a line for each result, then what to do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nni.runtime.env_vars import dispatcher_env_vars

from hnas_nni.foreign_text import as_number
from strategies.successive_halving import Rung


class TunerProgress:
    """Tells on standard output, which NNI's manager hands on to the terminal, how far a search is.

    Parameters
    ----------
    trials
        How many results are expected; None if that is not known.
    """

    def __init__(self, trials: int | None) -> None:
        self._trials = trials
        self._results = 0
        self._best: tuple[tuple[int, float], str] | None = None
        self._started = time.monotonic()

    def begin(self, rungs: Sequence[Rung]) -> None:
        """Say what will be done, before the first result, which on a busy machine takes more than a minute."""
        plan = [f"{rung.trials} trials of {rung.steps} steps" for rung in rungs[:1]]
        for rung in rungs[1:]:
            best = "the best trains" if rung.trials == 1 else f"the best {rung.trials} train"
            plan.append(f"{best} on for {rung.steps}")
        _print(f"\nsearching: {', '.join(plan) or 'by trials'}. A line for each result; the first takes a while.")

    def go_on(self, results: int) -> None:
        """Go on after so many results of an earlier session."""
        self._results = results

    def tell(self, parameters: Mapping[str, Any], value: Any, reward: float, *, stopped: bool = False) -> None:
        """Say what a trial's final result is, whether it is the best so far, or how far one came that was stopped."""
        self._results += 1
        best = "   stopped early" if stopped else "   best so far" if self.recall(parameters, value, reward) else ""
        of = f"/{self._trials}" if self._trials else ""
        stage = f"stage {parameters['stage']}, {parameters['steps']} steps: " if "stage" in parameters else ""
        _print(f"{self._results:4}{of}  {stage}{_result(value, reward)}{best}")

    def recall(self, parameters: Mapping[str, Any], value: Any, reward: float) -> bool:
        """Take a result in without a word; returns whether it is the best so far, later stages before earlier ones."""
        place = parameters.get("stage", 1), reward
        best = self._best is None or place > self._best[0]
        if best:
            self._best = place, _result(value, reward)
        return best

    def say(self, line: str) -> None:
        """Say what a person at the terminal should know."""
        _print(line)

    def end(self) -> None:
        """Say what was found and what to do next."""
        if self._best is None:
            return
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        _print(f"\nfound in {minutes} min {seconds} s: {self._best[1]}")
        _print("next:  hnas best --weights model.safetensors   the trained network")
        _print("       hnas report                             the search as a web page")


def _result(value: Any, reward: float) -> str:
    given = value if isinstance(value, Mapping) else {}
    psnr, gmacs, gain = (as_number(given.get(name)) for name in ("psnr", "gmacs", "gain"))
    if psnr is None or gmacs is None:
        return f"reward {reward:.4g}"
    over = "" if gain is None else f" ({gain:+.2f} over bicubic)"
    return f"{psnr:.2f} dB{over}, {gmacs:.2f} GMAC"


def _print(line: str) -> None:
    if dispatcher_env_vars.SDK_PROCESS == "dispatcher":
        print(line, flush=True)
