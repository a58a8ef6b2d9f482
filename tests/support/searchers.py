"""What proposes architectures, each behind the same few calls, so that one test can ask the same of all."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni import NoMoreTrialError
from nni.mutable import Categorical, MutableDict, label_scope
from nni.nas.evaluator import Evaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import BaseModelSpace, RawFormatModelSpace
from nni.nas.strategy import RandomOneShot
from torch import nn

from strategies import HierarchicalRL, HierarchicalTuner, SpaceLayout
from strategies.agent import SearchAgent
from strategies.policy_gradient import PolicyGradient
from strategies.settings import SMALL_BUDGET, learning_settings
from strategies.supernet_policy import SupernetPolicy

Choices = Mapping[str, Sequence[str]]
Sample = dict[str, Any]
Reward = Callable[[Sample], float | None]
"""What the trial of an architecture reports; None where it fails."""

CHOICES: Choices = {
    "cell/first": ("conv", "pool", "skip"),
    "cell/second": ("conv", "pool"),
    "depth": ("1", "2", "3", "4", "5"),
}
SIZE = 30
"""Architectures that there are."""


class Searcher(ABC):
    """One search of a small space.

    Parameters
    ----------
    folder
        For its files.
    resumes
        Another one, from whose saved state it goes on, as after a restart.
    choices
        The space.
    seed, hidden_size
        Of the controller.
    **settings
        Under the names that users give.
    """

    fails = True
    """Whether it hears of trials that fail."""
    repeats = False
    """Whether it proposes what it has proposed before while there are others."""
    ends = False
    """Whether it ends the search where nothing new is left."""
    keeps_its_space = False
    """Whether it goes on with the space that it has begun with, whatever NNI says."""

    def __init__(
        self,
        folder: Path,
        resumes: Any = None,
        choices: Choices = CHOICES,
        *,
        seed: int = 0,
        hidden_size: int = 8,
        **settings: Any,
    ) -> None:
        self.folder, self.choices = folder, choices
        self._make({"seed": seed, "hidden_size": hidden_size}, settings, resumes)

    @abstractmethod
    def _make(self, controller: dict[str, int], settings: dict[str, Any], resumes: Any) -> None:
        """Make what is tested."""

    @property
    @abstractmethod
    def policy(self) -> PolicyGradient:
        """The controller and its optimizer."""

    @abstractmethod
    def search(self, trials: int, reward: Reward) -> list[Sample]:
        """Propose architectures, let them be tried, learn; return what was tried. To be called once."""

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the controller's weights."""
        return {name: weight.clone() for name, weight in self.policy.controller.state_dict().items()}

    def probabilities(self, label: str) -> dict[str, float]:
        """Return how likely each value of a choice of the network level is, averaged over cells."""
        controller = self.policy.controller
        drawn = controller.sample(100, torch.Generator().manual_seed(0)).choices
        means = controller.network_probabilities(drawn)[label].mean(0)
        return dict(zip(self.choices[label], means.tolist(), strict=True))


class Agent(Searcher):
    """:class:`SearchAgent`, which all doors to NNI share."""

    fails = False

    def _make(self, controller: dict[str, int], settings: dict[str, Any], resumes: Agent | None) -> None:
        layout = SpaceLayout.from_choices(self.choices)
        self.agent = SearchAgent(layout, learning_settings(settings, SMALL_BUDGET), **controller)
        if resumes is not None:
            self.agent.load_state_dict(_through_a_file(resumes.agent.state_dict()))

    @property
    def policy(self) -> PolicyGradient:
        return self.agent.policy

    def search(self, trials: int, reward: Reward) -> list[Sample]:
        tried = []
        for _ in range(trials):
            (sample,) = self.agent.propose()
            self.agent.learn(sample, reward(sample))
            tried.append(sample)
        return tried


class Tuner(Searcher):
    """:class:`HierarchicalTuner`, as NNI's dispatcher calls it; it saves its state in the experiment's folder."""

    ends = True
    keeps_its_space = True

    def _make(self, controller: dict[str, int], settings: dict[str, Any], resumes: Tuner | None) -> None:
        self.folder = self.folder if resumes is None else resumes.folder
        self.tuner = HierarchicalTuner(**controller, **settings)
        space = {label: {"_type": "choice", "_value": list(values)} for label, values in self.choices.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NNI_CHECKPOINT_DIRECTORY", str(self.folder))
            self.tuner.update_search_space(space)

    @property
    def policy(self) -> PolicyGradient:
        return self.tuner._require_policy()

    def search(self, trials: int, reward: Reward) -> list[Sample]:
        tried = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NNI_CHECKPOINT_DIRECTORY", str(self.folder))
            for number in range(trials):
                try:
                    sample = self.tuner.generate_parameters(number)
                except NoMoreTrialError as error:
                    if "no trial is left" not in str(error):
                        raise
                    break
                tried.append(sample)
                result = reward(sample)
                if result is not None:
                    self.tuner.receive_trial_result(number, sample, {"default": result})
                self.tuner.trial_end(number, success=result is not None)
        return tried


class MultiTrial(Searcher):
    """:class:`HierarchicalRL` in an engine of NNI."""

    ends = True

    def _make(self, controller: dict[str, int], settings: dict[str, Any], resumes: MultiTrial | None) -> None:
        self.strategy = HierarchicalRL(**controller, **settings)
        with label_scope("cell"):
            choices = [_categorical(self.choices, label) for label in self.choices if "/" in label]
        choices += [_categorical(self.choices, label) for label in self.choices if "/" not in label]
        self._evaluator = _Reporting()
        self._engine = SequentialExecutionEngine(continue_on_failure=True)
        space = CategoricalSpace({choice.label: choice for choice in choices})
        self.strategy.initialize(RawFormatModelSpace(space, self._evaluator), self._engine)
        if resumes is not None:
            self.strategy.load_state_dict(_through_a_file(resumes.strategy.state_dict()))

    @property
    def policy(self) -> PolicyGradient:
        return self.strategy.agent.policy

    def search(self, trials: int, reward: Reward) -> list[Sample]:
        self._engine.max_model_count = trials
        self._evaluator.reward = reward
        self.strategy.run()
        return [model.sample for model in self._engine.list_models()]


class OneShot(Searcher):
    """The policy of :class:`HierarchicalOneShot` on a supernet."""

    fails = False
    repeats = True

    def _make(self, controller: dict[str, int], settings: dict[str, Any], resumes: OneShot | None) -> None:
        supernet = RandomOneShot().mutate_model(_Network(self.choices))
        self.supernet_policy = SupernetPolicy(supernet, learning_settings(settings, SMALL_BUDGET), **controller)
        if resumes is not None:
            self.supernet_policy.load_state_dict(_through_a_file(resumes.supernet_policy.state_dict()))

    @property
    def policy(self) -> PolicyGradient:
        return self.supernet_policy.policy

    def search(self, trials: int, reward: Reward) -> list[Sample]:
        tried = []
        for _ in range(trials):
            (architecture,) = self.supernet_policy.draw(1)
            self.supernet_policy.learn([architecture], [reward(architecture.sample)])
            tried.append(architecture.sample)
        return tried


SEARCHERS: tuple[type[Searcher], ...] = (Agent, Tuner, MultiTrial, OneShot)


class CategoricalSpace(BaseModelSpace, MutableDict):
    """Choices by their labels, without a network."""


class _Reporting(Evaluator):
    """Reports what a function says of an architecture, or fails."""

    reward: Reward

    def _execute(self, model: Any) -> None:
        reward = self.reward(model.sample)
        if reward is None:
            raise RuntimeError("out of memory")
        nni.report_final_result(reward)


class _Network(ModelSpace):
    """A layer for each choice."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        with label_scope("cell"):
            self.cell = nn.Sequential(*(_layer(choices, label) for label in choices if "/" in label))
        self.network = nn.Sequential(*(_layer(choices, label) for label in choices if "/" not in label))


def _categorical(choices: Choices, label: str) -> Categorical:
    return Categorical(choices[label], label=label.rpartition("/")[2])


def _layer(choices: Choices, label: str) -> LayerChoice:
    return LayerChoice({value: nn.Identity() for value in choices[label]}, label=label.rpartition("/")[2])


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Save a state and read it again, as one reads files of others: tensors and plain data alone."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
