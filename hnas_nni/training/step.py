"""The training step: L1 loss and Adam with a cosine learning rate (paper, section III-A)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

FIRST_LEARNING_RATE = 1e-3
LAST_LEARNING_RATE = 1e-5

Moments = tuple[Tensor, Tensor, Tensor]
"""Of a parameter, the first and the second moment of its gradients, and the number of its steps."""


class Adam:
    """Adam on whichever parameters a step has gradients for (Kingma & Ba, 2015).

    The arithmetic is torch's fused kernel. :class:`torch.optim.Adam` itself is not used because its constructor
    imports torch's compiler, which takes longer than the rest of what a trial imports, and because it walks over all
    parameters where a step touches only those of one path.

    Parameters
    ----------
    betas
        Decay of the two moments.
    eps
        Added to the denominator.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.betas = betas
        self.eps = eps
        self._moments: dict[Tensor, Moments] = {}

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        """Update the parameters that have a gradient, and drop their gradients."""
        active: list[Tensor] = [parameter for parameter in parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in active if parameter.grad is not None]
        for parameter in active:
            if parameter not in self._moments:
                zeros = torch.zeros_like(parameter)
                steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
                self._moments[parameter] = (zeros, zeros.clone(), steps)
        first, second, counts = ([self._moments[parameter][i] for parameter in active] for i in range(3))
        adam(
            active,
            gradients,
            first,
            second,
            [],
            counts,
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=learning_rate,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )
        for parameter in active:
            parameter.grad = None

    def state_dict(self, network: nn.Module) -> dict[str, Moments]:
        """Return both moments and the number of steps of each parameter that was trained, by its name in `network`."""
        return {
            name: self._moments[parameter]
            for name, parameter in network.named_parameters()
            if parameter in self._moments
        }

    def load_state_dict(self, network: nn.Module, state: dict[str, Moments]) -> None:
        """Go on from :meth:`state_dict` with the parameters that bear the same names in `network`."""
        parameters = dict(network.named_parameters())
        self._moments = {}
        for name, moments in state.items():
            self._moments[parameters[name]] = _fitting(parameters[name], moments)


class MomentsOfTorch:
    """The moments of torch's own Adam, saved as :class:`Adam` saves its own, so that either goes on from the other's.

    Parameters
    ----------
    optimizer
        Fused, with one group of parameters.
    """

    def __init__(self, optimizer: torch.optim.Adam) -> None:
        self._optimizer = optimizer

    def state_dict(self, network: nn.Module) -> dict[str, Moments]:
        """Return both moments and the number of steps of each parameter that was trained, by its name in `network`."""
        states = self._optimizer.state
        return {
            name: (states[parameter]["exp_avg"], states[parameter]["exp_avg_sq"], states[parameter]["step"])
            for name, parameter in network.named_parameters()
            if parameter in states
        }

    def load_state_dict(self, network: nn.Module, state: dict[str, Moments]) -> None:
        """Go on from :meth:`state_dict` with the parameters that bear the same names in `network`."""
        parameters = dict(network.named_parameters())
        for name, moments in state.items():
            first, second, steps = _fitting(parameters[name], moments)
            self._optimizer.state[parameters[name]] = {"step": steps, "exp_avg": first, "exp_avg_sq": second}


def _fitting(parameter: nn.Parameter, moments: Moments) -> Moments:
    """Return copies in the parameter's memory format and on its device, as the fused kernel wants them."""
    first, second = (torch.zeros_like(parameter).copy_(moment) for moment in moments[:2])
    return first, second, moments[2].to(parameter.device)


def cosine_learning_rate(
    progress: float, first: float = FIRST_LEARNING_RATE, last: float = LAST_LEARNING_RATE, warm_up: float = 0.0
) -> float:
    """Return the learning rate after a share `progress` (0..1) of the steps: half a cosine from `first` to `last`.

    Over the share `warm_up` (0..1) of the steps it climbs from `last` to that cosine, in proportion.
    """
    climbed = min(progress / warm_up, 1.0) if warm_up else 1.0
    return last + climbed * (first - last) * (1 + math.cos(math.pi * progress)) / 2


def reconstruction_loss(network: Callable[[Tensor], Tensor], lr: Tensor, hr: Tensor) -> Tensor:
    """Return the L1 loss of a batch of aligned patches in 0..1, ``(n, 3, h, w)`` and ``(n, 3, s * h, s * w)``."""
    return F.l1_loss(network(lr), hr)


def training_step(
    network: Callable[[Tensor], Tensor],
    optimizer: Adam,
    lr: Tensor,
    hr: Tensor,
    learning_rate: float,
    trained: Callable[[], Iterable[nn.Parameter]] | None = None,
    micro_batch: int | None = None,
) -> Tensor:
    """Do one step on the L1 loss.

    Parameters
    ----------
    network
        Maps ``(n, 3, h, w)`` to ``(n, 3, s * h, s * w)``.
    optimizer
        Keeps the moments.
    lr, hr
        Batch of aligned patches in 0..1.
    learning_rate
        Of this step.
    trained
        Gives the parameters that the backward pass reached; by default all of the network are looked through.
    micro_batch
        At most so many patches run through the network at once, and their gradients are added up: the same step in less
        memory, unless the network looks at the whole batch, as batch norm does. None for all.

    Returns
    -------
    torch.Tensor
        The loss before the step, detached; reading it waits for the device.
    """
    loss = torch.zeros((), device=lr.device)
    for low, high in zip(lr.split(micro_batch or len(lr)), hr.split(micro_batch or len(hr)), strict=True):
        part = reconstruction_loss(network, low, high) * (len(low) / len(lr))
        part.backward()
        loss += part.detach()
    if trained is None:
        assert isinstance(network, nn.Module)
        trained = network.parameters
    optimizer.step(trained(), learning_rate)
    return loss


@torch.no_grad()
def patch_psnr(network: nn.Module, lr: Tensor, hr: Tensor, scale: int, batch: int = 16) -> float:
    """Return the PSNR on Y over a set of patches, in dB, from the mean squared error of all of them.

    As in the authors' code, and of patches of equal size. A mean of the patches' own PSNRs is ruled by those that
    hardly have anything to see.

    Parameters
    ----------
    network
        Set to evaluation mode for the while.
    lr, hr
        uint8 ``(n, 3, h, w)`` and ``(n, 3, s * h, s * w)``, on the network's device.
    scale
        s; a border of so many pixels is left out.
    batch
        Patches at a time.
    """
    from hnas_nni.metrics import pooled_psnr, psnr_y_batch

    training = network.training
    if training:  # a supernet has thousands of modules to tell, which can take longer than to measure a path
        network.eval()
    values = [
        psnr_y_batch(network(low.float().div(255)), high, scale)
        for low, high in zip(lr.split(batch), hr.split(batch), strict=True)
    ]
    if training:
        network.train()
    return pooled_psnr(torch.cat(values))


def bicubic_psnr(lr: Tensor, hr: Tensor, scale: int) -> float:
    """Return what :func:`patch_psnr` is of bicubic interpolation, in dB."""
    bicubic = nn.Upsample(scale_factor=scale, mode="bicubic", align_corners=False)
    return patch_psnr(bicubic, lr, hr, scale, len(lr))
