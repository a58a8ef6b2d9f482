"""What the tuner keeps in its experiment's checkpoint folder: its state, and a line for each result that it learnt."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import Genotype, GenotypeError
from hnas_nni.files import replacing
from hnas_nni.foreign_text import cut
from hnas_nni.trial.checkpoints import checkpoint_path

_logger = logging.getLogger("nni.hnas")

STATE_FILE = "hierarchical_tuner.pt"
HISTORY_FILE = "policy.jsonl"


class TunerFiles:
    """The files of a tuner. Outside of an experiment there is no folder: nothing is read or kept."""

    @property
    def folder(self) -> Path | None:
        """The experiment's checkpoint folder, as NNI says where it is."""
        folder = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
        return Path(folder) if folder else None

    def read_state(self) -> dict[str, Any] | None:
        """Return what :meth:`save_state` wrote, None if there is nothing.

        Raises
        ------
        ValueError
            If the file is damaged; the message names it.
        """
        folder = self.folder
        if folder is None or not (folder / STATE_FILE).exists():
            return None
        import torch

        try:
            state = torch.load(folder / STATE_FILE, weights_only=True)
            return {"agent": state["agent"], "halving": state["halving"], **state}
        except Exception as error:  # what torch raises for a damaged file is of many kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{folder / STATE_FILE}: is damaged ({reason}); move it away and resume again: "
                "what NNI knows of the finished trials is then learnt anew"
            ) from error

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Save tensors and plain data, whole or not at all; without room the search goes on."""
        folder = self.folder
        if folder is None:
            return
        from hnas_nni.network.state_file import save_state

        with _going_on_without():
            folder.mkdir(parents=True, exist_ok=True)
            save_state(dict(state), folder / STATE_FILE)

    def add_to_history(self, line: Mapping[str, Any]) -> None:
        """Append a line of JSON to the history; without room the search goes on."""
        folder = self.folder
        if folder is None:
            return
        with _going_on_without():
            folder.mkdir(parents=True, exist_ok=True)
            _append(folder / HISTORY_FILE, json.dumps(line) + "\n")

    def forget_unsaved_history(self, results: int) -> None:
        """Drop the history's lines of more results than the state has; they are learnt again."""
        folder = self.folder
        if folder is None or not (folder / HISTORY_FILE).exists():
            return
        history = folder / HISTORY_FILE
        lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["result"] <= results]
        if kept != lines:
            with replacing(history) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")

    def has_weights_of(self, sample: Mapping[str, Any], stage: int) -> bool:
        """Whether a trial of this experiment has left the weights of an architecture's stage to go on from."""
        try:
            genotype = Genotype.from_sample(sample)
        except GenotypeError:
            return False
        return self.folder is not None and checkpoint_path(self.folder.parent, genotype, stage).exists()

    def last_trial_error(self) -> str:
        """Return the last line that the latest trial on this machine wrote to its stderr; empty if there is none."""
        folder = self.folder
        logs = [] if folder is None else folder.parent.glob("environments/*/trials/*/trial.stderr")
        for log in sorted(logs, key=lambda path: path.stat().st_mtime, reverse=True):
            if line := last_line(log.read_text(encoding="utf-8", errors="replace")):
                return line
        return ""


def last_line(text: str) -> str:
    """Return the last line of a text with something on it; empty if there is none."""
    return next((cut(line.strip()) for line in reversed(text.split("\n")) if line.strip()), "")


@contextmanager
def _going_on_without() -> Iterator[None]:
    """Let a search go on where its state can't be written, the disk being full for example: trials have their results.

    An error would end NNI's dispatcher, and with it the experiment.
    """
    try:
        yield
    except OSError as error:
        _logger.error("%s: %s; the search goes on, and after a resume learns again", error.filename, error.strerror)


def _append(file: Path, line: str) -> None:
    """Append a line to a file, all of it or nothing."""
    with open(file, "ab", buffering=0) as stream:
        before = stream.tell()
        try:
            written = stream.write(line.encode())
            if written != len(line.encode()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            stream.truncate(before)
            raise OSError(error.errno, error.strerror, str(file)) from error
