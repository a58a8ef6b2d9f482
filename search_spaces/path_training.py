"""A path-sampled supernet: all networks of the space share weights; one of them runs and is trained at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nni.nas.strategy  # noqa: F401  before its one-shot part, which imports it in turn
import torch
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.sampling import PathSamplingCell
from nni.nas.strategy import RandomOneShot
from torch import Tensor, nn

from hnas_nni.training.step import Adam, training_step
from search_spaces.space import HNASSpace

Sample = dict[str, Any]
"""An architecture as NNI has it: label -> value."""


def make_path_supernet(
    scale: int,
    channels: int,
    layers: int,
    normalization: str,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    space: str = "paper",
) -> HNASSpace:
    """Make the path-sampled supernet of :class:`HNASSpace`, its weights drawn by the seed and by nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = HNASSpace(scale, channels, layers, normalization, space)
        return RandomOneShot().mutate_model(made).to(device)


class PathChoice:
    """Lets a path-sampled supernet run the architecture that it is called with.

    Parameters
    ----------
    supernet
        Any model space that a path-sampling one-shot strategy of NNI has mutated.
    """

    def __init__(self, supernet: nn.Module) -> None:
        modules = [module for module in supernet.modules() if isinstance(module, BaseSuperNetModule)]
        self._activators = [_activator(module) for module in modules]

    def __call__(self, sample: Sample) -> None:
        """Run this architecture from now on."""
        for activate in self._activators:
            activate(sample)


class PathTraining:
    """Steps on the weights of one path at a time, and what it takes to go on with them after a kill.

    Parameters
    ----------
    supernet
        From :func:`make_path_supernet`.
    bfloat16
        Whether convolutions run in 16 bits under autocast; the output is float32 all the same.
    micro_batch
        As for :func:`hnas_nni.training.step.training_step`.
    """

    def __init__(self, supernet: HNASSpace, *, bfloat16: bool = False, micro_batch: int | None = None) -> None:
        self.supernet = supernet
        self.optimizer = Adam()
        self._device = next(supernet.parameters()).device
        self._bfloat16 = bfloat16
        self._micro_batch = micro_batch
        self._trained = _TrainedParameters(supernet)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale a batch in 0..1 by the architecture that runs: ``(n, 3, h, w)`` to ``(n, 3, s * h, s * w)``."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            out: Tensor = self.supernet(lr)
        return out.float()

    def step(self, lr: Tensor, hr: Tensor, learning_rate: float) -> Tensor:
        """Do one step on the weights of the path that runs; see :func:`hnas_nni.training.step.training_step`."""
        return training_step(self.forward, self.optimizer, lr, hr, learning_rate, self._trained.take, self._micro_batch)

    def state_dict(self) -> dict[str, Any]:
        """Return weights and the optimizer's moments."""
        return {"supernet": self.supernet.state_dict(), "optimizer": self.optimizer.state_dict(self.supernet)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.supernet.load_state_dict(state["supernet"])
        self.optimizer.load_state_dict(self.supernet, state["optimizer"])


class _TrainedParameters:
    """Which parameters the last backward passes have reached.

    A supernet has thousands of parameters and a path a few hundred; walking over all of them at each step to find those
    with a gradient takes as long as updating them.

    Parameters
    ----------
    network
        The supernet.
    """

    def __init__(self, network: nn.Module) -> None:
        self._reached: list[nn.Parameter] = []
        for parameter in network.parameters():
            parameter.register_post_accumulate_grad_hook(self._note)

    def take(self) -> Iterator[nn.Parameter]:
        """Yield the parameters reached since the last call, each once."""
        reached, self._reached = self._reached, []
        return iter(dict.fromkeys(reached))

    def _note(self, parameter: Tensor) -> None:
        self._reached.append(parameter)  # type: ignore[arg-type]


def _activator(module: BaseSuperNetModule) -> Callable[[Sample], None]:
    """Return what makes a supernet's module run its part of a sample."""
    if type(module) is PathSamplingCell:
        # Its own method describes the whole cell anew at each call, which takes longer than a small cell runs.
        labels = tuple(module.simplify())

        def activate(sample: Sample) -> None:
            module._sampled = {label: sample[label] for label in labels}

        return activate
    return lambda sample: module.resample(memo=sample)
