"""HierarchicalOneShot: the paper's search through NNI's one-shot machinery, on real photographs in miniature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.profiler import RangeProfilerFilter
from nni.nas.profiler.pytorch.flops import NumParamsProfiler
from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy import RandomOneShot
from nni.nas.strategy.base import Strategy
from pytorch_lightning.loggers import CSVLogger
from rounding import same_psnr
from torch import nn
from torch.utils.data import TensorDataset

from hnas_nni import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.training.step import cosine_learning_rate
from hnas_nni.trial.evaluator import SuperResolution
from search_spaces import HNASSpace
from strategies import HierarchicalOneShot

LAYERS = 3
CHANNELS = 4


def _evaluator(epochs: int = 1, **settings: Any) -> SuperResolution:
    sizes = {"patch_size": 24, "batch": 4, "measured_patches": 4, "steps_per_epoch": 3, "architectures_per_epoch": 2}
    return SuperResolution(epochs=epochs, limit=2, **{**sizes, **settings})


def _run(strategy: HierarchicalOneShot, evaluator: Any, space: ModelSpace | None = None) -> Any:
    torch.manual_seed(0)
    space = space or HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    return space


@pytest.mark.slow
def test_ranks_different_architectures_with_their_trained_weights() -> None:
    strategy = HierarchicalOneShot(candidates=6)
    space = _run(strategy, _evaluator(weight=0.2))
    models = list(strategy.list_models(limit=4))
    genotypes = [Genotype.from_sample(model.sample) for model in models]
    assert len(set(genotypes)) == 4
    rewards = [model.metrics.final for model in models]
    assert rewards == sorted(rewards, reverse=True)
    assert len(list(strategy.list_models(limit=None))) == 6
    network = models[0].executable_model()
    assert network.genotype == genotypes[0]
    assert torch.equal(network.tail.conv.weight, space.tail.conv.weight)
    # The reward is the measured one: that of the frozen network, with the cost of this very architecture.
    low, high = fixed_patches(load_splits("embedded:photos", 2, patch_size=24, limit=2).validation, 2, 24, 4, seed=0)
    from hnas_nni.training.step import patch_psnr
    from hnas_nni.trial.reward import JointReward

    psnr = patch_psnr(network, low, high, 2)
    gmacs = cost_table(2, CHANNELS, LAYERS)(genotypes[0]).gmacs
    assert rewards[0] == same_psnr(JointReward(0.2)(psnr, gmacs))


@pytest.mark.slow
def test_the_three_splits_are_used_as_in_the_paper() -> None:
    """Weights learn from one, the controller from ever new patches of another; the third chooses."""
    evaluator = _evaluator(epochs=2, architectures_per_epoch=3)
    seen: dict[str, list[torch.Tensor]] = {"weights": [], "controller": [], "validation": []}
    module = evaluator.module
    training_step, validation_step = module.training_step, module.validation_step

    def on_training(batch: Any, index: int) -> Any:
        seen["weights"].append(batch[0].mul(255).round().byte())
        return training_step(batch, index)

    def on_validation(batch: Any, index: int) -> Any:
        # Candidates are measured after the training, on what a validation has.
        controller = module.trainer.training and module.trainer.current_epoch < 2
        seen["controller" if controller else "validation"].append(batch.lr)
        return validation_step(batch, index)

    module.training_step, module.validation_step = on_training, on_validation
    _run(HierarchicalOneShot(architectures=2, candidates=2), evaluator)
    splits = load_splits("embedded:photos", 2, patch_size=24, limit=2)
    for name, pairs in (("weights", splits.weight), ("controller", splits.controller), ("validation", splits[2])):
        pixels = {tuple(pixel) for pair in pairs for pixel in pair.lr.reshape(-1, 3)}
        for batch in seen[name]:
            assert {tuple(pixel) for pixel in batch.permute(0, 2, 3, 1).reshape(-1, 3).tolist()} <= pixels, name
    # Both architectures of a step see the same patches, the next step sees others.
    steps = seen["controller"]
    assert len(steps) == 2 * 3 * 2
    assert all(torch.equal(steps[index], steps[index + 1]) == (index % 2 == 0) for index in range(len(steps) - 1))
    assert len(seen["validation"]) == 2 * 3 + 2
    assert all(torch.equal(batch, seen["validation"][0]) for batch in seen["validation"])


@pytest.mark.slow
def test_learning_rate_reaches_the_end_of_its_cosine() -> None:
    small = {"patch_size": 8, "batch": 1, "measured_patches": 1}
    evaluator = _evaluator(epochs=3, steps_per_epoch=4, architectures_per_epoch=2, **small)
    rates: list[float] = []
    step = evaluator.module.training_step

    def training_step(batch: Any, index: int) -> Any:
        rates.append(evaluator.module.trainer.optimizers[0].param_groups[0]["lr"])
        return step(batch, index)

    evaluator.module.training_step = training_step
    _run(HierarchicalOneShot(architectures=1, candidates=1), evaluator)
    assert rates == pytest.approx([cosine_learning_rate(done / 12, 1e-3, 1e-5) for done in range(12)])


def test_schedules_by_the_epoch_advance() -> None:
    """As torch's examples and Lightning's default have it, in somebody else's evaluator."""
    rates: list[float] = []

    class Module(LightningModule):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
            return nn.functional.mse_loss(self.model(batch[0]), batch[1])

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("default", -nn.functional.mse_loss(self.model(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), 0.1)
            return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)}

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LayerChoice([nn.Linear(8, 2), nn.Linear(8, 2, bias=False)], label="layer")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    data = TensorDataset(torch.randn(32, 8), torch.randn(32, 2))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    evaluator = Lightning(
        Module(),
        Trainer(max_epochs=3, **quiet),
        train_dataloaders=DataLoader(data, batch_size=16),
        val_dataloaders=DataLoader(data, batch_size=16),
    )
    _run(HierarchicalOneShot(candidates=2), evaluator, Space())
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.slow
def test_penalty_as_enas_takes_it() -> None:
    """A dict makes NNI's penalty, whose profiler takes parameters off each reward."""
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    profiler = NumParamsProfiler(space, torch.zeros(1, 3, 8, 8))
    penalty = {"profiler": profiler, "baseline": 1000, "scale": -1e6}
    strategy = HierarchicalOneShot(candidates=6, penalty=penalty)
    _run(strategy, _evaluator(), space)
    sizes = [profiler.profile(sample) for sample, _ in strategy.oneshot_module.ranking]
    assert sizes == sorted(sizes)


@pytest.mark.slow
def test_policy_moves_to_what_is_rewarded(tmp_path: Path) -> None:
    """With cost alone in the reward the upsampling cell must move to the end, where the network is cheapest."""
    strategy = HierarchicalOneShot(
        architectures=6, learning_rate=0.05, entropy_weight=0.01, position_weight=1.0, relative=True, candidates=4
    )
    logger = CSVLogger(tmp_path, name="", version="")
    _run(
        strategy,
        _evaluator(
            weight=0.0,
            epochs=4,
            steps_per_epoch=1,
            architectures_per_epoch=4,
            measured_patches=1,
            logger=logger,
            log_every_n_steps=1,
        ),
    )
    probabilities = strategy.oneshot_module.export_probs()["upsample_position"]
    assert probabilities[LAYERS] > 0.6
    rows = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    header = rows[0]
    for column in ("controller/reward", "controller/entropy/network", f"controller/upsample_position/{LAYERS}", "psnr"):
        assert column in header
    column = header.index("controller/reward")
    rewards = [float(row[column]) for row in rows[1:] if row[column]]
    assert len(rewards) == 4
    assert rewards[-1] > rewards[0]


@pytest.mark.slow
def test_seeds_decide_the_search() -> None:
    first, second, other = (HierarchicalOneShot(seed=seed, candidates=3) for seed in (1, 1, 2))
    for strategy in (first, second, other):
        _run(strategy, _evaluator())
    assert first.oneshot_module.ranking == second.oneshot_module.ranking
    assert first.oneshot_module.ranking != other.oneshot_module.ranking


@pytest.mark.slow
def test_warmup_leaves_the_policy_alone() -> None:
    strategy = HierarchicalOneShot(warmup_epochs=1, learning_rate=0.1)
    _run(strategy, _evaluator())
    assert strategy.oneshot_module.policy.policy.updates == 0


@pytest.mark.slow
def test_filter_of_nni_bounds_what_is_found() -> None:
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    table = cost_table(2, CHANNELS, LAYERS)
    params = sorted(table(Genotype.random(seed, LAYERS)).params for seed in range(50))
    strategy = HierarchicalOneShot(
        candidates=5, filter=RangeProfilerFilter(NumParamsProfiler(space, torch.zeros(1, 3, 8, 8)), max=params[25])
    )
    _run(strategy, _evaluator(), space)
    found = [table(Genotype.from_sample(sample)).params for sample, _ in strategy.oneshot_module.ranking]
    assert found
    assert max(found) <= params[25]


class _Digits(ModelSpace):
    """Somebody else's space: no cells, no super-resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice({"narrow": torch.nn.Linear(8, 4), "zero": _Zero()}, label="first")
        self.second = LayerChoice(
            {"linear": torch.nn.Linear(4, 2), "tanh": torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh())},
            label="second",
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


class _Zero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :4] * 0


def _regression(epochs: int) -> Any:
    from nni.nas.evaluator.pytorch import Regression

    torch.manual_seed(0)
    x = torch.randn(256, 8)
    y = torch.stack([x[:, 0] - 2 * x[:, 1], x[:, 2]], dim=1)
    data = torch.utils.data.TensorDataset(x, y)
    return Regression(
        learning_rate=0.02,
        max_epochs=epochs,
        train_dataloaders=DataLoader(data, batch_size=16),
        val_dataloaders=DataLoader(data, batch_size=64),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.parametrize(
    "make",
    [lambda: HierarchicalOneShot(reward_metric_name="val_mse"), RandomOneShot],
    ids=["HierarchicalOneShot", "NNI's RandomOneShot"],
)
def test_it_runs_once_and_lists_models_of_the_space_as_nni_demands(make: Callable[[], Strategy]) -> None:
    strategy, engine = make(), SequentialExecutionEngine()
    space = RawFormatModelSpace.from_model(_Digits(), _regression(epochs=1))
    assert type(strategy).__name__ in repr(strategy)
    with pytest.raises(RuntimeError):
        list(strategy.list_models())
    with pytest.raises(RuntimeError):
        strategy.run()
    strategy = make()
    strategy.initialize(space, engine)
    with pytest.raises(RuntimeError):
        strategy.initialize(space, engine)
    strategy.run()
    (best,) = strategy.list_models(limit=1)
    assert space.contains(best.sample)
    with pytest.raises(RuntimeError):
        strategy.run()


def test_other_spaces_and_evaluators() -> None:
    evaluator = _regression(epochs=8)
    strategy = HierarchicalOneShot(
        reward_metric_name="val_mse", learning_rate=0.05, entropy_weight=0.0, normalize_advantage=True, relative=True
    )
    _run(strategy, evaluator, _Digits())
    # Maximising the error leads to the layer that throws the input away.
    assert strategy.oneshot_module.export_probs()["first"]["zero"] > 0.6


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="architectures: 1 is not valid"):
        HierarchicalOneShot(architectures=1, relative=True)
    with pytest.raises(ValueError, match="controller: 'flat'"):
        HierarchicalOneShot(controller="flat")
    with pytest.raises(ValueError, match="lerning_rate: is unknown"):
        HierarchicalOneShot(lerning_rate=1.0)
    with pytest.raises(ValueError, match="entropy_weight: -1"):
        HierarchicalOneShot(entropy_weight=-1)
    strategy = HierarchicalOneShot(reward_metric_name="accuracy")
    with pytest.raises(KeyError, match=r"logs no 'accuracy'.*default"):
        _run(strategy, _evaluator())
