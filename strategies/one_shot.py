"""The hierarchical controller as a one-shot strategy of NNI: the paper's search (Algorithm 1) for a NasExperiment."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import nni.nas.strategy  # before its one-shot part, which imports it in turn
import torch
from nni.nas.execution import ExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.profiler import ProfilerPenalty, SampleProfilerPenalty
from nni.nas.oneshot.pytorch.strategy import MutationHook
from nni.nas.space import ExecutableModelSpace, RawFormatModelSpace
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import RunningStage

from strategies.levels import SpaceChoices
from strategies.settings import CONTROLLER, ControllerSettings, learning_settings
from strategies.supernet_policy import Architecture, SupernetPolicy

_logger = logging.getLogger(__name__)

_PAPER = {"position_weight": 10.0}
"""What the authors' code sets besides the defaults of :class:`PolicySettings`."""


class HierarchicalOneShot(nni.nas.strategy.RandomOneShot):
    """Train shared weights and the hierarchical controller in turns, in one training of NNI's Lightning evaluator.

    In each epoch every training batch is a step on the weights of one architecture drawn from the policy, and then
    every validation batch a REINFORCE step on some architectures, rewarded with the evaluator's metric on it. At the
    end architectures are drawn from the policy, measured on what the evaluator validates on, and ranked;
    ``experiment.export_top_models(top_k=5)`` returns different ones, best first, with the trained weights where the
    space's ``freeze`` keeps them (:class:`search_spaces.HNASSpace` does).

    It works on every space of categorical choices that NNI's path-sampling supernets cover, and with every Lightning
    evaluator that NNI's ENAS takes. For super-resolution that is :class:`hnas_nni.trial.evaluator.SuperResolution`,
    whose default metric is the joint reward, its lambda and cost scale being the evaluator's.

    Logged in each epoch, next to what the evaluator logs on the validation batches for an architecture drawn from the
    policy: ``controller/reward`` (mean), ``controller/entropy/<level>`` in nats, ``controller/<label>/<value>`` (mean
    probabilities of the network level's decisions, for HNAS the position). Give the evaluator a logger of Lightning,
    such as ``logger=[TensorBoardLogger("logs"), CSVLogger("logs")]``, to see them.

    Parameters
    ----------
    architectures
        Architectures in a step of the controller, all measured on the same batch.
    warmup_epochs
        First epochs in which the controller does not learn.
    candidates
        Architectures drawn from the final policy and measured.
    candidate_batches
        Validation batches that each of them is measured on; None for all.
    reward_metric_name
        The metric to maximise, among those that the evaluator logs in its validation step.
    controller, relative, hidden_size, levels, seed
        As for :class:`strategies.supernet_policy.SupernetPolicy`.
    gradient_clip_val, penalty
        As for NNI's ENAS: of the weights' gradients; and what a profiler takes off the reward.
    filter, mutation_hooks
        As for NNI's RandomOneShot: architectures that the filter refuses are neither trained nor measured.
    **learning
        As for :class:`strategies.PolicySettings`; the defaults are the paper's.

    Raises
    ------
    ValueError
        If a setting is unknown or out of range.
    LayoutError
        When the experiment starts, if the space has choices that are not categorical; the message names the label.

    Examples
    --------
    >>> from nni.nas.experiment import NasExperiment
    >>> from hnas_nni.trial.evaluator import PAPER_SEARCH, SuperResolution
    >>> from search_spaces import HNASSpace
    >>> space = HNASSpace(normalization="mean")
    >>> evaluator = SuperResolution("embedded:photos", **PAPER_SEARCH)  # or a folder of images
    >>> experiment = NasExperiment(space, evaluator, HierarchicalOneShot())
    >>> experiment.run()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        architectures: int = 4,
        warmup_epochs: int = 0,
        candidates: int = 20,
        candidate_batches: int | None = 1,
        reward_metric_name: str = "default",
        controller: str = "hierarchical",
        relative: bool = False,
        hidden_size: int = 100,
        levels: Mapping[str, Any] | None = None,
        seed: int = 0,
        gradient_clip_val: float | None = None,
        penalty: ProfilerPenalty | dict[str, Any] | None = None,
        filter: Any = None,
        mutation_hooks: list[MutationHook] | None = None,
        **learning: Any,
    ) -> None:
        super().__init__(filter)
        self.extra_mutation_hooks = mutation_hooks or []
        for name, value, least in (
            ("architectures", architectures, 2 if relative else 1),
            ("warmup_epochs", warmup_epochs, 0),
            ("candidates", candidates, 1),
            ("candidate_batches", candidate_batches, 1),
        ):
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValueError(f"{name}: {value!r} is not valid; give a whole number of at least {least}")
        CONTROLLER.check("controller", controller)
        ControllerSettings(seed=seed, hidden_size=hidden_size, levels=levels)
        self._policy_arguments: dict[str, Any] = {
            "learning": learning_settings(learning, _PAPER),
            "controller": controller,
            "relative": relative,
            "hidden_size": hidden_size,
            "levels": levels,
            "seed": seed,
        }
        self._module_arguments: dict[str, Any] = {
            "architectures": architectures,
            "warmup_epochs": warmup_epochs,
            "candidates": candidates,
            "candidate_batches": candidate_batches,
            "reward_metric_name": reward_metric_name,
            "gradient_clip_val": gradient_clip_val,
            "penalty": SampleProfilerPenalty(**penalty) if isinstance(penalty, dict) else penalty,
        }

    def check_space(self, model_space: ExecutableModelSpace) -> None:
        """Refuse a space that has choices that are not categorical.

        Raises
        ------
        LayoutError
            The message names the label.
        """
        SpaceChoices(model_space, self._policy_arguments["levels"])

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        # NNI's own word on such a space, at its mutation, names no label.
        self.check_space(model_space)
        initialized: ExecutableModelSpace = super()._initialize(model_space, engine)
        return initialized

    def configure_oneshot_module(self, training_module: LightningModule) -> BaseOneShotLightningModule:
        """Wrap the evaluator's module in the search."""
        arguments = {**self._policy_arguments, "accepts": self.filter}
        return _HierarchicalModule(training_module, arguments, **self._module_arguments)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Return the batches of an epoch: first those for the weights, then those for the controller."""
        return _Turns(train_dataloader_fn(), val_dataloader_fn())

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """Yield different architectures, best first by the reward with shared weights.

        Parameters
        ----------
        sort
            They come sorted in any case.
        limit
            How many at most; None for all that were measured.
        """
        for sample, reward in self.oneshot_module.ranking[:limit]:
            model = self.model_space.freeze(sample)
            model.metrics.final = reward
            yield model


class _Turns:
    """Batches of two loaders one after the other, each with what it is for."""

    def __init__(self, weights: Iterable[Any], controller: Iterable[Any]) -> None:
        self._loaders = {"weights": weights, "controller": controller}

    def __len__(self) -> int:
        return sum(len(loader) for loader in self._loaders.values())  # type: ignore[arg-type,misc]

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        for purpose, loader in self._loaders.items():
            for batch in loader:
                yield batch, purpose


class _HierarchicalModule(BaseOneShotLightningModule):
    """What happens on each batch."""

    def __init__(
        self,
        training_module: LightningModule,
        policy_arguments: Mapping[str, Any],
        *,
        architectures: int,
        warmup_epochs: int,
        candidates: int,
        candidate_batches: int | None,
        reward_metric_name: str,
        gradient_clip_val: float | None,
        penalty: ProfilerPenalty | None,
    ) -> None:
        super().__init__(training_module)
        self._policy_arguments = policy_arguments
        self.architectures = architectures
        self.warmup_epochs = warmup_epochs
        self.candidates = candidates
        self.candidate_batches = candidate_batches
        self.reward_metric_name = reward_metric_name
        self.gradient_clip_val = gradient_clip_val
        self.penalty = penalty
        self.policy: SupernetPolicy
        self.ranking: list[tuple[dict[str, Any], float]] = []
        """Samples and their rewards, best first, after the training."""
        self._saved_policy: dict[str, Any] | None = None
        self._rewards: list[float] = []

    def set_model(self, model: ModelSpace) -> None:
        """Take the supernet, and make a policy for it unless there is one already."""
        if not hasattr(self, "policy"):
            self.policy = SupernetPolicy(model, **self._policy_arguments)
            if self._saved_policy is not None:
                self.policy.load_state_dict(self._saved_policy)
        super().set_model(model)

    def training_step(self, batch: tuple[Any, str], batch_idx: int) -> Any:
        """Do a step on the weights, or on the controller."""
        batch, purpose = batch
        output = None
        if purpose == "weights":
            (architecture,) = self.policy.draw(1)
            self.policy.activate(architecture)
            output = self.training_module.training_step(batch, batch_idx)
            loss = output["loss"] if isinstance(output, Mapping) else output
            self.advance_optimization(loss, batch_idx, self.gradient_clip_val)
            self._advance_lr_schedulers_impl(batch_idx, "step")
        elif self.trainer.current_epoch >= self.warmup_epochs:
            architectures = self.policy.draw(self.architectures)
            rewards = self._measure(architectures, [batch])
            self._rewards.append(self.policy.learn(architectures, rewards)["reward"])
        return output

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Measure an architecture drawn from the policy."""
        (architecture,) = self.policy.draw(1)
        self.policy.activate(architecture)
        return self.training_module.validation_step(batch, batch_idx)

    def on_train_epoch_end(self) -> None:
        """Log what the policy has come to."""
        statistics = self.policy.statistics()
        figures = {f"controller/entropy/{level}": value for level, value in statistics.entropy.items()}
        for label, probabilities in statistics.network.items():
            figures |= {f"controller/{label}/{value}": share for value, share in probabilities.items()}
        if self._rewards:
            figures["controller/reward"] = sum(self._rewards) / len(self._rewards)
        self._rewards = []
        self.log_dict(figures)
        # Not after the last step on weights, as NNI does it: batches for the controller follow.
        self._advance_lr_schedulers_impl(0, "epoch")
        super().on_train_epoch_end()

    def on_train_end(self) -> None:
        """Derive architectures: draw some from the policy, measure and rank them."""
        batches = self._validation_batches()
        architectures = self.policy.draw_distinct(self.candidates)
        samples = [architecture.sample for architecture in architectures]
        measured = zip(samples, self._measure(architectures, batches), strict=True)
        self.ranking = sorted(measured, key=lambda pair: -pair[1])
        super().on_train_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the policy too."""
        checkpoint["hierarchical_policy"] = self.policy.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the saved policy."""
        self._saved_policy = checkpoint["hierarchical_policy"]
        if hasattr(self, "policy"):
            self.policy.load_state_dict(self._saved_policy)

    def export(self) -> dict[str, Any]:
        """Return the best architecture's sample.

        Raises
        ------
        RuntimeError
            If the training has not ended yet.
        """
        if not self.ranking:
            raise RuntimeError("architectures are ranked when the training ends; run the experiment first")
        return self.ranking[0][0]

    def export_probs(self) -> dict[str, Any]:
        """Return label -> {value: probability} of the network level's decisions, averaged over the policy's cells."""
        return dict(self.policy.statistics().network)

    @torch.no_grad()
    def _measure(self, architectures: Sequence[Architecture], batches: Sequence[Any]) -> list[float]:
        """Each architecture's mean of the evaluator's metric over batches on the device."""
        training = self.training_module.training
        self.training_module.eval()
        rewards = [self._reward(architecture, batches) for architecture in architectures]
        self.training_module.train(training)
        return rewards

    def _reward(self, architecture: Architecture, batches: Sequence[Any]) -> float:
        self.policy.activate(architecture)
        rewards = []
        for index, batch in enumerate(batches):
            with _collected(self.training_module) as metrics:
                self.training_module.validation_step(batch, index)
            if self.reward_metric_name not in metrics:
                raise KeyError(
                    f"reward_metric_name: the evaluator logs no {self.reward_metric_name!r} in its validation step, "
                    f"but {', '.join(sorted(metrics)) or 'nothing'}; give one of these"
                )
            rewards.append(float(metrics[self.reward_metric_name]))
        reward = sum(rewards) / len(rewards)
        return reward if self.penalty is None else self.penalty(reward, architecture.sample)[0]

    def _validation_batches(self) -> list[Any]:
        """Return the batches that candidates are measured on, as a validation has them."""
        stage, self.trainer.state.stage = self.trainer.state.stage, RunningStage.VALIDATING
        try:
            batches = list(itertools.islice(self.trainer.val_dataloaders, self.candidate_batches))
        finally:
            self.trainer.state.stage = stage
        return [self.trainer.strategy.batch_to_device(batch) for batch in batches]


@contextmanager
def _collected(module: LightningModule) -> Iterator[dict[str, Any]]:
    """Collect what a module logs instead of logging it: many architectures are measured in one step."""
    metrics: dict[str, Any] = {}

    def log(name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        metrics[name] = value

    original = module.log
    module.log = log
    try:
        yield metrics
    finally:
        module.log = original
