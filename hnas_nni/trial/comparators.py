"""What the winner of a search is held against: stacks and the paper's cells at its price, trained as it was."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import PAPER_NETWORKS
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.evaluation import Training, evaluate
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.plain_stacks import plain_stacks
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import TrialSettings

FILE_NAME = "comparators.jsonl"
"""In the experiment's folder: a line for each that was trained."""

_PAPER_LAYERS = 6


@dataclass(frozen=True)
class Comparator:
    """A network that a winner is held against, and what it reached.

    Parameters
    ----------
    name
        What people call it.
    genotype
        The architecture, with its sizes.
    psnr
        In dB on Y, over the patches that the search measured on.
    gmacs, params
        Multiply-adds in 10^9 at a 3x480x480 input, and parameters.
    """

    name: str
    genotype: Genotype
    psnr: float
    gmacs: float
    params: int


def comparators(gmacs: float, scale: int) -> Iterator[tuple[str, Genotype]]:
    """Yield names and architectures that cost at most `gmacs`, and not much less.

    Stacks of plain 3x3 convolutions at each depth that makes sense, and the paper's cheapest cells as wide as fits.
    """
    from hnas_nni.cost import cost_table

    for stack in plain_stacks(Budget(gmacs=gmacs, scale=scale), "conv_3x3"):
        assert stack.depth is not None
        convolutions = (stack.depth - 1) * sum(edge.operation == "conv_3x3" for edge in stack.normal.edges)
        yield f"plain stack, {convolutions} x {stack.width}", stack
    table = cost_table(scale)
    cells = PAPER_NETWORKS["HNAS-A"]
    placed = [replace(cells, position=_PAPER_LAYERS, depth=_PAPER_LAYERS, width=width) for width in range(3, 65)]
    fitting = [genotype for genotype in placed if table(genotype).gmacs <= gmacs]
    if fitting:
        yield f"HNAS-A's cells, C = {fitting[-1].width}", fitting[-1]


def train_comparators(
    gmacs: float,
    settings: TrialSettings,
    stage: Stage,
    folder: Path,
    tell: Callable[[str], object] | None = None,
) -> list[Comparator]:
    """Train what a winner of so many multiply-adds is held against, and measure it as the search measured.

    What the folder has already is not trained again.

    Parameters
    ----------
    gmacs
        The winner's.
    settings
        Those of the search's trials.
    stage
        With the steps that the winner was trained for, over all its stages.
    folder
        The experiment's.
    tell
        Called with a line before each training.

    Raises
    ------
    ValueError
        If settings or data do not fit.
    """
    settings = replace(settings, budget=None, budget_params=None, budget_ms=None, latency=None)
    key = {"settings": asdict(settings), "steps": stage.steps}
    file = folder / FILE_NAME
    known = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    found = []
    for name, genotype in comparators(gmacs, settings.scale):
        row = next((row for row in known if row["key"] == key and row["genotype"] == str(genotype)), None)
        if row is None:
            if tell is not None:
                tell(f"training {name} for {stage.steps:,} steps")
            with tempfile.TemporaryDirectory() as scratch:
                training = Training(settings, stage=replace(stage, number=1), folder=Path(scratch))
                result, _ = evaluate(genotype, JointReward(1.0), training)
            row = {"key": key, "genotype": str(genotype), "psnr": result.psnr}
            row |= {"gmacs": result.gmacs, "params": result.params}
            with open(file, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
        found.append(Comparator(name, genotype, row["psnr"], row["gmacs"], row["params"]))
    return found
