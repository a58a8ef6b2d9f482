"""The tuner in a search by successive halving under a budget, as NNI's dispatcher calls it; trials are made up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nni import NoMoreTrialError

from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import cost_table
from hnas_nni.trial.parameters import OF_TUNER, STAGE, STEPS, TrialParameters
from hnas_nni.trial.reward import JointReward
from search_spaces import search_space_json
from strategies import HierarchicalTuner, tuner_progress
from strategies import tuner as tuner_module

SPACE = search_space_json(space="efficient")
BUDGET = 3.0
RUNGS = [[5, 3], [2, 4], [1, 6]]
ARGUMENTS = {"budget": BUDGET, "rungs": RUNGS, "hidden_size": 6, "candidates": 4, "seed": 1}
Parameters = dict[str, Any]


@pytest.fixture(autouse=True)
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))
    return tmp_path / "checkpoint"


def make(**differing: Any) -> HierarchicalTuner:
    arguments = {name: value for name, value in {**ARGUMENTS, **differing}.items() if value is not None}
    tuner = HierarchicalTuner(**arguments)
    tuner.update_search_space(SPACE)
    return tuner


def architecture(parameters: Parameters) -> str:
    return json.dumps({label: value for label, value in parameters.items() if label not in OF_TUNER}, sort_keys=True)


def result(parameters: Parameters) -> dict[str, Any]:
    """What a trial reports: a PSNR that follows from the architecture, and grows with the stage."""
    genotype = TrialParameters.from_nni(parameters).genotype
    cost = cost_table(2)(genotype)
    drawn = int(hashlib.sha256(str(genotype).encode()).hexdigest()[:8], 16) / 2**32
    psnr = 30 + drawn + parameters.get(STAGE, 0)
    return {
        "default": psnr,
        "psnr": psnr,
        "gain": drawn,
        "gmacs": cost.gmacs,
        "params": cost.params,
        "steps": 1,
        **({"stage": parameters[STAGE]} if STAGE in parameters else {}),
        "genotype": str(genotype),
    }


class Manager:
    """NNI's manager as far as the tuner sees it: trials that run, and what it keeps over a kill."""

    def __init__(self, at_a_time: int = 2) -> None:
        self.at_a_time = at_a_time
        self.running: dict[int, Parameters] = {}
        self.finished: list[Parameters] = []
        self.of_earlier_session: set[int] = set()
        self._next = 0

    def submit(self, tuner: HierarchicalTuner) -> bool:
        """Let the tuner fill free places; whether it had anything."""
        ids = list(range(self._next, self._next + self.at_a_time - len(self.running)))
        given = tuner.generate_multiple_parameters(ids)
        self._next += len(ids)
        self.running.update(zip(ids, given, strict=False))
        return bool(given)

    def finish(self, tuner: HierarchicalTuner, place: int = 0) -> None:
        """Let a trial end with its result."""
        number = list(self.running)[place]
        parameters = self.running.pop(number)
        self.finished.append(parameters)
        if number in self.of_earlier_session:  # NNI's dispatcher then knows no better
            tuner.import_data([{"parameter": parameters, "value": result(parameters)}])
        else:
            tuner.receive_trial_result(number, parameters, result(parameters))
            tuner.trial_end(number, success=True)

    def resume(self, tuner: HierarchicalTuner) -> None:
        """What ``nnictl resume`` does: tell what was finished, and start again what ran."""
        tuner.import_data([{"parameter": parameters, "value": result(parameters)} for parameters in self.finished])
        self.of_earlier_session = set(self.running)

    def run(self, tuner: HierarchicalTuner, trials: int | None = None) -> None:
        """Run so many trials to their end, or all."""
        while trials is None or len(self.finished) < trials:
            self.submit(tuner)
            if not self.running:
                return
            self.finish(tuner, place=len(self.finished) % len(self.running))

    def stages(self) -> Counter[int]:
        return Counter(parameters[STAGE] for parameters in self.finished)


def test_a_search_climbs_its_rungs_and_ends() -> None:
    tuner, manager = make(), Manager()
    manager.run(tuner)
    # As two run at a time one more may be new, while the first of a rung have not ended.
    assert manager.stages()[2] == 2 and manager.stages()[3] == 1
    assert 5 <= manager.stages()[1] <= 6
    tried = Counter((parameters[STAGE], architecture(parameters)) for parameters in manager.finished)
    assert set(tried.values()) == {1}
    for parameters in manager.finished:
        stage = parameters[STAGE]
        assert parameters[STEPS] == RUNGS[stage - 1][1]
        assert stage == 1 or tried[stage - 1, architecture(parameters)]
        read = TrialParameters.from_nni(json.loads(json.dumps(parameters)))
        assert read.stage is not None and read.stage.number == stage
        assert read.reward == JointReward(1.0)  # the budget says what cost is worth
    assert tuner.generate_multiple_parameters([100, 101]) == []
    with pytest.raises(NoMoreTrialError):
        tuner.generate_parameters(102)


def test_the_best_of_a_rung_go_on() -> None:
    tuner, manager = make(), Manager(at_a_time=1)
    manager.run(tuner)
    worth = {number: {} for number in (1, 2, 3)}
    for parameters in manager.finished:
        worth[parameters[STAGE]][architecture(parameters)] = result(parameters)["psnr"]
    for stage, number in ((1, 2), (2, 1)):
        best = sorted(worth[stage], key=lambda name: -worth[stage][name])[:number]
        assert set(worth[stage + 1]) == set(best)


def test_the_policy_learns_from_the_first_stage_alone(checkpoint: Path) -> None:
    tuner, manager = make(), Manager()
    manager.run(tuner)
    first = [parameters for parameters in manager.finished if parameters[STAGE] == 1]
    assert tuner._require_policy().updates == len(first) == sum(tuner._learnt.values())
    lines = [json.loads(line) for line in (checkpoint / "policy.jsonl").read_text().splitlines()]
    assert sorted(line["reward"] for line in lines) == sorted(result(parameters)["psnr"] for parameters in first)


def test_nothing_above_the_budget_is_proposed() -> None:
    tuner = make(rungs=None)
    for number in range(30):
        parameters = tuner.generate_parameters(number)
        assert cost_table(2)(Genotype.from_sample({k: v for k, v in parameters.items() if k in SPACE})).gmacs <= BUDGET
        tuner.receive_trial_result(number, parameters, result(parameters) | {"psnr": result(parameters)["gmacs"]})


def _is_stack(genotype: Genotype) -> bool:
    """Whether a network is one convolution after another, and then a sub-pixel convolution."""
    chain = [edge for edge in genotype.normal.edges if edge.operation != "skip"]
    sources = [edge.source for edge in genotype.normal.edges]
    return (
        {edge.operation for edge in chain} <= {"collapsible_3x3"}
        and sources == [1, 2, 3]
        and genotype.position == genotype.depth
        and genotype.upsampling.edges[0].operation == "sub_pixel_3x3"
    )


def _convolutions(stack: Genotype) -> int:
    """How many lie between stem and sub-pixel convolution."""
    assert stack.depth is not None
    return (stack.depth - 1) * sum(edge.operation != "skip" for edge in stack.normal.edges)


def test_a_search_under_a_budget_begins_with_the_plain_stacks_that_fill_it() -> None:
    tuner = make(rungs=None)
    proposed = [TrialParameters.from_nni(tuner.generate_parameters(number)).genotype for number in range(15)]
    stacks = [genotype for genotype in proposed if _is_stack(genotype)]
    assert proposed[: len(stacks)] == stacks
    numbers = [_convolutions(genotype) for genotype in stacks]
    assert len(set(numbers)) == len(numbers) > 3

    # Of each number of convolutions the widest, if it uses enough of the budget and none as wide is deeper.
    def cost_of(sample: dict[str, Any]) -> float:
        return cost_table(2)(Genotype.from_sample(sample)).gmacs

    expected = {}
    for number in range(1, 11):
        for depth in EFFICIENT.depths:
            in_cell = number // (depth - 1)
            if in_cell in (1, 2, 3) and in_cell * (depth - 1) == number:
                sample = Genotype.from_string(str(stacks[0])).to_sample() | {"depth": depth, "upsample_position": depth}
                sample |= {f"normal/op_{2 + i}_0": "collapsible_3x3" if i < in_cell else "skip" for i in range(3)}
                costs = {width: cost_of(sample | {"width": width}) for width in EFFICIENT.widths}
                width = max(width for width, cost in costs.items() if cost <= BUDGET)
                if costs[width] >= 0.8 * BUDGET:
                    expected[width] = number
    assert {genotype.width: _convolutions(genotype) for genotype in stacks} == expected


def test_it_need_not_begin_with_them() -> None:
    tuner = make(start_with_stacks=False)
    proposed = [TrialParameters.from_nni(tuner.generate_parameters(number)).genotype for number in range(5)]
    assert not all(_is_stack(genotype) for genotype in proposed)


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", range(1, 9))
@pytest.mark.parametrize("saved", [True, False], ids=["saved", "result unsaved"])
def test_a_kill_loses_nothing_and_repeats_nothing(killed_after: int, saved: bool, checkpoint: Path) -> None:
    tuner, manager = make(), Manager()
    manager.run(tuner, killed_after)
    manager.submit(tuner)
    if not saved:  # NNI has the result, the tuner's state has not
        state = (checkpoint / "hierarchical_tuner.pt").read_bytes()
        if not manager.running:
            return
        manager.finish(tuner)
        (checkpoint / "hierarchical_tuner.pt").write_bytes(state)
    resumed = make()
    manager.resume(resumed)
    manager.run(resumed)
    tried = Counter((parameters[STAGE], architecture(parameters)) for parameters in manager.finished)
    assert set(tried.values()) == {1}
    assert manager.stages()[2] == 2 and manager.stages()[3] == 1
    assert manager.stages()[1] <= 6
    assert resumed._require_policy().updates == manager.stages()[1]
    assert resumed.generate_multiple_parameters([1000]) == []


def test_proposals_that_a_kill_lost_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tuner had saved that they run, but NNI never knew of them; or they failed after the resume."""
    tuner, manager = make(), Manager()
    manager.run(tuner, 4)
    manager.submit(tuner)
    lost = {(parameters[STAGE], architecture(parameters)) for parameters in manager.running.values()}
    assert {stage for stage, _ in lost} == {1, 2}
    manager.running.clear()
    resumed = make()
    manager.resume(resumed)
    monkeypatch.setattr(tuner_module, "running_trials", lambda: len(manager.running))
    manager.run(resumed)
    assert manager.stages()[2] == 2 and manager.stages()[3] == 1
    finished = Counter((parameters[STAGE], architecture(parameters)) for parameters in manager.finished)
    assert set(finished.values()) == {1}
    # Another takes the place of a new one; what had come further goes on again.
    assert {stage for stage, _ in lost & set(finished)} == {2}


@pytest.mark.parametrize(
    ("differing", "message"),
    [
        ({"budget": 4}, "its controller has budget='3 GMAC', but this one has '4 GMAC'"),
        ({"budget": None}, "its controller has budget='3 GMAC', but this one has '"),
        ({"budget_params": 10**5}, "its controller has budget='3 GMAC', but this one has '3 GMAC and"),
        ({"rungs": [[5, 3], [2, 4]]}, "was saved with rungs"),
        ({"rungs": [[5, 3], [2, 4], [1, 7]]}, "was saved with rungs"),
        ({"rungs": None}, "was saved with rungs; give the same again"),
    ],
    ids=str,
)
def test_going_on_with_another_search_is_refused_in_a_line(differing: dict[str, Any], message: str) -> None:
    Manager().run(make(), 1)
    with pytest.raises(ValueError) as caught:
        make(**differing)
    assert str(caught.value).startswith("HierarchicalTuner: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rungs_can_not_be_added_later() -> None:
    tuner = make(rungs=None)
    parameters = tuner.generate_parameters(0)
    tuner.receive_trial_result(0, parameters, result(parameters))
    with pytest.raises(ValueError, match="was saved without rungs; give the same again"):
        make()


def test_a_trial_that_fails_is_replaced() -> None:
    tuner, manager = make(), Manager(at_a_time=1)
    failed: list[tuple[int, str]] = []
    while manager.submit(tuner) or manager.running:
        ((number, parameters),) = manager.running.items()
        place = parameters[STAGE], architecture(parameters)
        if len(failed) < parameters[STAGE]:
            failed.append(place)
            del manager.running[number]
            tuner.trial_end(number, success=False)
        else:
            manager.finish(tuner)
    assert [stage for stage, _ in failed] == [1, 2, 3]
    assert manager.stages()[2] >= 2 and manager.stages()[3] == 1
    again = {(parameters[STAGE], architecture(parameters)) for parameters in manager.finished}
    assert again.isdisjoint(failed)


def test_a_budget_that_few_architectures_fit_ends_the_search_too() -> None:
    space = {label: {**spec, "_value": spec["_value"][:1]} for label, spec in SPACE.items()}
    space["width"] = {"_type": "choice", "_value": [8, 10, 12]}
    tuner = HierarchicalTuner(**ARGUMENTS | {"rungs": [[9, 1], [2, 1]]})
    tuner.update_search_space(space)
    manager = Manager()
    manager.run(tuner)
    assert manager.stages() == {1: 3, 2: 2}


def test_a_budget_that_nothing_fits_is_told_to_the_user() -> None:
    with pytest.raises(ValueError, match=r"^HierarchicalTuner: budget: nothing fits 0\.001 GMAC; the cheapest has "):
        make(budget=0.001)


def test_the_terminal_has_a_line_for_each_result_and_what_to_do_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner_progress, "dispatcher_env_vars", SimpleNamespace(SDK_PROCESS="dispatcher"))
    manager = Manager()
    tuner = make()
    manager.run(tuner, 3)
    manager.submit(tuner)
    resumed = make()
    manager.resume(resumed)
    manager.run(resumed)
    first, then, *lines, blank, found, following, report = capsys.readouterr().out.splitlines()
    assert (first, then) == (
        "",
        "searching: 5 trials of 3 steps, the best 2 train on for 4, the best trains on for 6. "
        "A line for each result; the first takes a while.",
    )
    begun_again = lines.index(then)
    del lines[begun_again - 1 : begun_again + 1]
    assert len(lines) == len(manager.finished)
    assert [line.split("/")[0].strip() for line in lines] == [str(number) for number in range(1, len(lines) + 1)]
    assert all("/8  stage " in line and " dB (+" in line and " GMAC" in line for line in lines)
    last = next(parameters for parameters in manager.finished if parameters[STAGE] == 3)
    assert f"stage 3, 6 steps: {result(last)['psnr']:.2f} dB" in next(line for line in lines if "stage 3" in line)
    assert not blank and found.startswith("found in ") and f"{result(last)['psnr']:.2f} dB" in found
    assert following.startswith("next:  hnas best --weights ")
    assert report.split() == ["hnas", "report", "the", "search", "as", "a", "web", "page"]


def test_nothing_is_printed_outside_of_nni(capsys: pytest.CaptureFixture[str]) -> None:
    Manager().run(make())
    assert capsys.readouterr().out == ""
