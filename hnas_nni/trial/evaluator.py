"""Super-resolution as an evaluator for NNI's strategies, multi-trial and one-shot alike.

Importing this module loads NNI and Lightning; nothing else of :mod:`hnas_nni` imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import nni
import torch
from nni.mutable import Mutable
from nni.nas.evaluator.pytorch import DataLoader, Lightning, Trainer
from torch import nn

from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.model_file import save
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.network.over_parameterised import collapse, expand
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, Setting, Settings, shared
from hnas_nni.training.batches import PatchBatches
from hnas_nni.training.quiet import silence_lightning
from hnas_nni.trial.checkpoints import checkpoint_path
from hnas_nni.trial.evaluation import TrialResult
from hnas_nni.trial.evaluator_files import stages_folder, trial_folder
from hnas_nni.trial.evaluator_module import MeasuredBatches, SuperResolutionModule
from hnas_nni.trial.final_result import note_final_result, noted_final_result
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.reward import JointReward

PAPER_SEARCH = MappingProxyType(
    {"patch_size": 96, "batch": 16, "epochs": 400, "steps_per_epoch": 20, "architectures_per_epoch": 30}
)
"""Length of the paper's search with shared weights (section III-A): in each epoch one pass over the weight split and
one over the controller split, of 320 and 480 of DIV2K's images."""

_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "devices": 1,
}
"""Lightning's settings for the many short trainings of a search; the caller's go before them."""


@dataclass(frozen=True)
class EvaluatorSettings(Settings):
    """What decides an evaluation; the scale is that of the model space.

    Without a learning rate a supernet has the paper's 1e-3, and one architecture that of
    :class:`hnas_nni.trial.TrialSettings`. An evaluation of one architecture measures that once, whatever
    `architectures_per_epoch` says. A supernet does not start from `first_weights`, but as the space's `normalization`
    says. `stage`, `steps` and `stages` are of successive halving, see :meth:`SuperResolution.at_stage`.
    """

    as_options: ClassVar[bool] = False

    train_data: str = shared.DATA(EMBEDDED)
    validation_data: str | None = shared.VALIDATION(None)
    scale: int = shared.SCALE(2)
    weight: float = shared.REWARD_LAMBDA(JointReward.weight)
    cost_scale: float = shared.COST_SCALE(JointReward.cost_scale)
    patch_size: int = shared.PATCH(96)
    batch: int = shared.BATCH(16)
    epochs: int = shared.EPOCHS(1)
    steps_per_epoch: int = shared.STEPS_PER_EPOCH(100)
    learning_rate: float | None = shared.LEARNING_RATE(None)
    measured_patches: int = shared.MEASURED_PATCHES(32)
    architectures_per_epoch: int = Setting(
        int, "validation batches of an epoch: as often a one-shot strategy's controller learns", least=1
    )(20)
    limit: int = shared.LIMIT(0)
    first_weights: str = FIRST_WEIGHTS("interpolation")
    seed: int = shared.SEED(0)
    stage: int | None = Setting(int, "of successive halving, counted from 1", least=1, optional=True)(None)
    steps: int | None = shared.STEPS(None, optional=True, help="of the stage, in place of epochs times steps")
    stages: str | None = Setting(str, "where trials leave their weights for the next rung", optional=True)(None)

    @property
    def of_stage(self) -> Stage | None:
        """The stage of successive halving; None in another search."""
        return None if self.stage is None or self.steps is None else Stage(self.stage, self.steps)

    @property
    def length(self) -> tuple[int, int]:
        """Epochs, and steps of each; those of a stage divide its steps, and are `epochs` at most."""
        if self.steps is None:
            return self.epochs, self.steps_per_epoch
        epochs = next(number for number in range(self.epochs, 0, -1) if self.steps % number == 0)
        return epochs, self.steps // epochs

    def check(self) -> None:
        """Check the settings; not those that NNI has to choose yet, which come with values later."""
        if not any(isinstance(value, Mutable) for value in vars(self).values()):
            super().check()
        if (self.stage is None) != (self.steps is None):
            raise ValueError("stage: goes with steps, which SuperResolution.at_stage sets; give both or none")


@nni.trace
class SuperResolution(Lightning):
    """Trains an architecture, or a supernet, on patches and reports the joint reward as NNI's metric.

    *Multi-trial strategies* hand over the frozen network of one architecture. It is trained for ``epochs *
    steps_per_epoch`` steps and then has the figures that ``python -m hnas_nni.trial --no-sharing`` gives it, to the
    last digit on the CPU. *One-shot strategies* hand over the supernet; the reward is that of the architecture that it
    runs, which :meth:`search_spaces.HNASSpace.active_genotype` names. Where it mixes all of them (DARTS, GumbelDARTS)
    PSNR is the mixture's and the cost that of the architecture with the largest weights.

    Logged, and reported to NNI after each epoch and at the end: "default" (the reward, which ENAS takes without being
    told), "psnr" in dB on Y, "gmacs" and "params".

    *Successive halving*: :meth:`at_stage` is the evaluator for one of the rungs of
    :class:`strategies.HierarchicalRL`. A trial leaves network and optimizer in the experiment's folder, and that of the
    next stage goes on from them. Where trials run in this process there is no such folder: they lie in `stages`, or in
    a temporary folder of the strategy until its search ends.

    In a process of NNI a trial leaves its network as ``model.safetensors`` in its folder, for ``hnas best --weights``.

    *Images*: a trial trains on all that is not held out, and is measured on the same patches of the validation split as
    every other. A supernet (paper, Algorithm 1) trains its weights on the weight split. The controller split rewards:
    in one-shot strategies that learn from validation batches (ENAS, DARTS, GumbelDARTS, Proxyless,
    HierarchicalOneShot) each such batch has other random patches of it. What one-shot strategies validate on, log and
    rank by are the same patches of the validation split each time.

    Parameters
    ----------
    train_data
        "embedded:photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_pairs` takes it.
    validation_data
        Another one, for example Set5. One-shot strategies take it as the validation split, in place of images that
        :func:`hnas_nni.data.load_splits` holds out; a trial trains on all of `train_data` and is measured on this.
    stages
        Folder for the weights that trials of successive halving go on from, one for each search; of experiments whose
        trials are processes, for several searches, and on several machines one that all of them see.
    **settings
        Those of :class:`EvaluatorSettings`. All others are for Lightning's Trainer, for example
        ``precision="16-mixed"`` or ``enable_progress_bar=True``. Without ``accelerator`` a GPU is used where there is
        one.

    Raises
    ------
    ValueError
        If a setting is out of range or the data folder is missing.
    hnas_nni.data.DataError
        When the training starts, if the images can't be used.

    Examples
    --------
    >>> from nni.nas.experiment import NasExperiment
    >>> from nni.nas.strategy import ENAS
    >>> from search_spaces import HNASSpace
    >>> space = HNASSpace(scale=2, channels=8, layers=12, normalization="mean")
    >>> evaluator = SuperResolution("embedded:photos", **PAPER_SEARCH)  # or a folder of images
    >>> experiment = NasExperiment(space, evaluator, ENAS())
    >>> experiment.run()  # doctest: +SKIP
    """

    def __init__(
        self, train_data: str = EMBEDDED, validation_data: str | None = None, stages: str | None = None, **settings: Any
    ) -> None:
        stated = EvaluatorSettings.stated()
        own = {name: value for name, value in settings.items() if name in stated}
        told = EvaluatorSettings(train_data=train_data, validation_data=validation_data, stages=stages, **own)
        epochs, steps = told.length
        others = {name: value for name, value in settings.items() if name not in stated}
        self.seed = told.seed
        self.stage = told.of_stage
        self.stages = stages
        self._interpolates = told.first_weights == "interpolation"
        self._trainer_kwargs = {"max_epochs": epochs, **_QUIET, **others}
        self._measured = MeasuredBatches(told.architectures_per_epoch)
        batches = PatchBatches(told.batch, steps)
        silence_lightning()
        super().__init__(
            SuperResolutionModule(vars(told), batches, self._measured, self.stage),
            Trainer(**self._trainer_kwargs),
            train_dataloaders=DataLoader(batches, batch_size=None),
            val_dataloaders=DataLoader(self._measured, batch_size=None),
        )

    def at_stage(self, stage: Stage, folder: str | None = None) -> SuperResolution:
        """Return the same evaluator for a stage of successive halving.

        A trial trains for the steps of the stage, from the second on with the weights and the optimizer's moments that
        the one before has left; the schedule of the learning rate is the stage's. The first stage has the figures of as
        many steps without stages.

        Parameters
        ----------
        stage
            Its number, from 1, and the steps. They are measured in `epochs` equal parts, or fewer that divide them.
        folder
            For the weights, where the evaluator has no `stages`.
        """
        stages = self.stages or folder
        where = None if stages is None else str(Path(stages).expanduser().absolute())
        same: SuperResolution = type(self)(**{**self.trace_kwargs, **stage.to_nni(), "stages": where})
        return same

    def _execute(self, model: Any) -> Any:
        folder = trial_folder()
        if folder is not None and (before := noted_final_result(folder, self._handed(model))) is not None:
            nni.report_final_result(before)
            return None
        # The network's initial weights are drawn while NNI builds it, before evaluate().
        torch.manual_seed(self.seed)
        return super()._execute(model)

    def evaluate(self, model: nn.Module) -> TrialResult:
        """Train and measure the network of one architecture.

        Parameters
        ----------
        model
            From :meth:`hnas_nni.Genotype.build`, or what NNI froze; it is trained in place.

        Returns
        -------
        hnas_nni.trial.TrialResult
            Reward, PSNR and cost, as reported to NNI.

        Raises
        ------
        ValueError
            If the training diverges, or a stage has no weights to go on from.
        """
        module: Any = self.module
        network: Any = model
        if self.stage is not None:
            folder = stages_folder(self.stages)
            number = self.stage.number
            module.left_before, module.checkpoint = (
                checkpoint_path(folder, network.genotype, stage) for stage in (number - 1, number)
            )
        module.reports_final = False
        # A trainer that has reached its last epoch does not train a second network.
        self.trainer = Trainer(**self._trainer_kwargs)
        if self._interpolates:
            interpolate(model)
        expand(model)
        self._measured.repetitions = 1
        super().evaluate(model)
        module.leave()
        collapse(model)
        self._report(model)
        result: TrialResult = module.result
        return result

    def _report(self, network: nn.Module) -> None:
        """Report the result to NNI as the final one; in a trial's process leave network and result before."""
        handed, metric, folder = nni.get_current_parameter(), self.module.metric(), trial_folder()
        if handed is None:
            return
        if folder is not None:
            save(network, folder / MODEL_FILE)
            note_final_result(folder, self._handed(handed), metric)
        nni.report_final_result(metric)

    def _handed(self, model: Any) -> dict[str, Any]:
        """Return what NNI handed to the trial, as plain data: choices, and the stage if there is one."""
        return {**model.sample, **({} if self.stage is None else self.stage.to_nni())}
