"""What the weight-sharing search computes: steps on shared weights, and PSNR with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.cost import Cost, cost_table
from hnas_nni.data.sources import ImagePair
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.over_parameterised import collapse, expand
from search_spaces import HNASSpace
from search_spaces.path_training import PathTraining, make_path_supernet
from strategies.search.settings import SearchSettings
from strategies.supernet_policy import Architecture, SupernetPolicy


def make_supernet(settings: SearchSettings, device: str | torch.device = "cpu") -> HNASSpace:
    """Make the path-sampled supernet of a search, its weights drawn by the seed.

    Convolutions that are to train as a product of two do so, as in the training of one network.
    """
    supernet = make_path_supernet(
        settings.scale,
        settings.channels,
        settings.layers,
        settings.supernet_normalization,
        seed=settings.seed,
        device=device,
        space=settings.space,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        expand(supernet)
    return supernet


_CPU_PIXELS = 4 * 96**2
"""HR pixels of a micro-batch on a CPU: there, more at once take memory and no less time."""


class SupernetTraining:
    """Steps on the shared weights, and measuring with them; nothing here waits for the device but the PSNRs.

    Parameters
    ----------
    supernet
        From :func:`make_supernet`.
    policy
        Lets the supernet run architectures.
    settings
        Of the search.
    validation
        Images that architectures are chosen on.
    """

    def __init__(
        self, supernet: HNASSpace, policy: SupernetPolicy, settings: SearchSettings, validation: Sequence[ImagePair]
    ) -> None:
        self.supernet = supernet
        self.policy = policy
        self._scale = settings.scale
        self._device = next(supernet.parameters()).device
        self._paths = PathTraining(
            supernet, bfloat16=settings.precision == "bf16", micro_batch=_micro_batch(settings, self._device)
        )
        self._table = cost_table(settings.scale, settings.channels, settings.layers)
        self._validation = [(self._to_device(pair.lr), self._to_device(pair.hr)) for pair in validation]

    def weight_step(self, architecture: Architecture, lr: Tensor, hr: Tensor, learning_rate: float) -> Tensor:
        """Do one step on the weights of one path; see :func:`hnas_nni.training.step.training_step`."""
        self.policy.activate(architecture)
        return self._paths.step(lr, hr, learning_rate)

    @torch.inference_mode()
    def batch_psnrs(self, architectures: Sequence[Architecture], lr: Tensor, hr: Tensor) -> list[float]:
        """Return the mean PSNR of each architecture on one batch, in dB on Y; waits for the device once."""
        means = []
        for architecture in architectures:
            self.policy.activate(architecture)
            means.append(psnr_y_batch(self._paths.forward(lr), hr, self._scale).mean())
        return [float(mean) for mean in torch.stack(means).tolist()]

    @torch.inference_mode()
    def validation_psnr(self, architecture: Architecture) -> float:
        """Return the mean PSNR over the whole validation images, in dB on Y."""
        self.policy.activate(architecture)
        psnrs = [
            psnr_y_batch(self._paths.forward(lr.float().div(255)), hr, self._scale).squeeze()
            for lr, hr in self._validation
        ]
        return float(torch.stack(psnrs).mean())

    def cost(self, architecture: Architecture) -> Cost:
        """Return what the architecture costs, from the table."""
        return self._table(Genotype.from_sample(architecture.sample))

    def finish(self) -> None:
        """Leave the supernet as plain torch; it can't be trained on."""
        collapse(self.supernet)

    def state_dict(self) -> dict[str, Any]:
        """Return weights and the optimizer's moments."""
        return self._paths.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self._paths.load_state_dict(state)

    def _to_device(self, image: Any) -> Tensor:
        return torch.from_numpy(image).permute(2, 0, 1)[None].to(self._device)


def _micro_batch(settings: SearchSettings, device: torch.device) -> int | None:
    if settings.supernet_normalization == "batch":
        return None
    if settings.micro_batch or device.type != "cpu":
        return settings.micro_batch or None
    return max(1, _CPU_PIXELS // settings.patch**2)
