"""What a step of the weight-sharing search takes, against a plain version of the same step.

    python benchmarks/search_step.py                  L = 12, C = 8, batch 16, HR patches of 96 pixels
    python benchmarks/search_step.py --growth         how time and memory grow with L, C and batch

The plain version does what the authors' released code does: one architecture to a controller batch of 16 patches, batch
norm in the supernet, the upsampling cell computed twice, multiply-adds counted by a forward pass of one patch in each
step of the controller, an optimiser that walks over all of the supernet's parameters, the images' channels outermost,
and a value read back from the device at each step. Both run the same architectures, one after the other in turns, in
one process.

The authors' code has the up-and-down projection switched off, the most expensive candidate by far; so have the drawn
architectures here, unless --projections is given.

An epoch is 20 steps of the weights and, for the controller, either the 480 patches of the paper's controller split,
which reward 120 architectures here and 30 in the plain version, or 120 rewarded architectures in both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn
from tqdm import tqdm

from hnas_nni.data import PatchSampler, Splits, load_splits
from hnas_nni.metrics import psnr_y_batch
from search_spaces.settings import NORMALIZATION
from strategies.search import SearchSettings
from strategies.search.command import quiet_imports

quiet_imports()

from strategies.search.supernet_training import SupernetTraining, make_supernet  # noqa: E402
from strategies.supernet_policy import Architecture, SupernetPolicy  # noqa: E402

EPOCH_WEIGHT_STEPS = 20
EPOCH_PATCHES = 480
EPOCH_ARCHITECTURES = 120


@lru_cache(maxsize=1)
def _splits(data: tuple[str, ...], validation: str | None, scale: int, patch: int, limit: int) -> Splits:
    """Load the images once for all that is measured on them."""
    return load_splits(data, scale, validation=validation, patch_size=patch, limit=limit or None)


class Ours:
    """The steps as :class:`strategies.search.WeightSharingSearch` does them."""

    name = "ours"

    def __init__(self, settings: SearchSettings, device: str) -> None:
        splits = _splits(settings.data, settings.validation, settings.scale, settings.patch, settings.limit)
        supernet = make_supernet(settings, device)
        self.settings = settings
        self.policy = SupernetPolicy(supernet, settings.policy(), seed=settings.seed)
        self.training = SupernetTraining(supernet, self.policy, settings, splits.validation)
        self.sampler = PatchSampler(splits.weight, settings.scale, settings.patch, device)

    def weight_step(self, architectures: list[Architecture]) -> None:
        """Do one step on the weights."""
        lr, hr = self.sampler.sample(self.settings.batch)
        self.training.weight_step(architectures[0], lr, hr, 1e-3)

    def controller_step(self, architectures: list[Architecture]) -> None:
        """Reward architectures on one batch, and learn."""
        lr, hr = self.sampler.sample(self.settings.controller_batch)
        psnrs = self.training.batch_psnrs(architectures, lr, hr)
        reward = self.settings.reward()
        costs = [self.training.cost(architecture).gmacs for architecture in architectures]
        self.policy.learn(architectures, [reward(*pair) for pair in zip(psnrs, costs, strict=True)])


class Plain(Ours):
    """The same steps in the plain way."""

    name = "plain"

    def __init__(self, settings: SearchSettings, device: str) -> None:
        super().__init__(settings, device)
        supernet = self.training.supernet
        for module in supernet.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.Adam(supernet.parameters(), 1e-3, foreach=False)

    def weight_step(self, architectures: list[Architecture]) -> None:
        """Do one step on the weights."""
        lr, hr = self.sampler.sample(self.settings.batch)
        self.policy.activate(architectures[0])
        self.optimizer.zero_grad()
        loss = nn.functional.l1_loss(self._forward(lr), hr)
        loss.backward()
        self.optimizer.step()
        loss.item()

    def controller_step(self, architectures: list[Architecture]) -> None:
        """Reward one architecture on one batch of the weights' size, and learn."""
        lr, hr = self.sampler.sample(self.settings.batch)
        self.policy.activate(architectures[0])
        with torch.no_grad():
            psnr = psnr_y_batch(self._forward(lr), hr, self.settings.scale).mean().item()
        reward = self.settings.reward()(psnr, self._count(lr[:1]))
        self.policy.learn(architectures[:1], [reward])

    def _forward(self, lr: torch.Tensor) -> torch.Tensor:
        supernet = self.training.supernet
        blocks = supernet.blocks
        sample = blocks.active_sample()
        position = sample["upsample_position"]
        second_last = last = supernet.stem(lr)
        for index, block in enumerate(blocks.blocks(position), start=1):
            out = block([second_last, last])
            second_last, last = (block([second_last, last]), out) if index == position else (last, out)
        result: torch.Tensor = supernet.tail(last)
        return result

    def _count(self, lr: torch.Tensor) -> float:
        """Multiply-adds of convolutions in a forward pass, in 10^9."""
        total = 0

        def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            nonlocal total
            assert isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
            pixels = output if isinstance(module, nn.Conv2d) else inputs[0]
            total += module.weight.numel() * pixels[0, 0].numel()

        convolutions = [
            module for module in self.training.supernet.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
        ]
        hooks = [module.register_forward_hook(add) for module in convolutions]
        with torch.no_grad():
            self._forward(lr)
        for hook in hooks:
            hook.remove()
        return total / 1e9


def measure(
    settings: SearchSettings,
    device: str,
    steps: int,
    variants: list[type[Ours]],
    projections: bool = False,
    plain_normalization: str = "batch",
) -> dict[str, float]:
    """Return the mean seconds of both kinds of step for each variant, e.g. ``ours/weights``."""
    plain = replace(settings, normalization=plain_normalization)
    runs = {variant.name: variant(plain if variant is Plain else settings, device) for variant in variants}
    first = next(iter(runs.values()))
    batches = [draw(first.policy, settings.architectures, projections) for _ in range(steps + 1)]
    times: dict[str, list[float]] = {}
    for number, architectures in enumerate(tqdm(batches, desc="steps", leave=False, disable=None)):
        for name, run in runs.items():
            for kind, step in (("weights", run.weight_step), ("controller", run.controller_step)):
                seconds = _timed(step, architectures, device)
                if number:  # the first warms up
                    times.setdefault(f"{name}/{kind}", []).append(seconds)
    return {name: sum(values) / len(values) for name, values in times.items()}


def draw(policy: SupernetPolicy, number: int, projections: bool) -> list[Architecture]:
    """Draw architectures from the policy, with or without up-and-down projections."""
    drawn: list[Architecture] = []
    while len(drawn) < number:
        drawn += [one for one in policy.draw(64) if projections or "up_down_projection" not in one.sample.values()]
    return drawn[:number]


def _timed(step: Callable[[list[Architecture]], None], architectures: list[Architecture], device: str) -> float:
    _synchronize(device)
    start = time.perf_counter()
    step(architectures)
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def epoch(times: dict[str, float], variant: str, controller_steps: float) -> float:
    """Return the seconds of an epoch."""
    return EPOCH_WEIGHT_STEPS * times[f"{variant}/weights"] + controller_steps * times[f"{variant}/controller"]


def peak_memory(settings: SearchSettings, steps: int, projections: bool) -> dict[str, float]:
    """Run the weight steps in a process of its own: seconds a step, and the most memory it took in GB."""
    # getrusage would start from what this process has taken.
    code = (
        "import json, sys\n"
        "def peak():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 1e6\n"
        "sys.path.insert(0, 'benchmarks')\n"
        "from search_step import Ours, measure\n"
        "from strategies.search import SearchSettings\n"
        "settings = SearchSettings(**json.loads(sys.argv[1]))\n"
        "base = peak()\n"
        "times = measure(settings, 'cpu', int(sys.argv[2]), [Ours], sys.argv[3] == 'True')\n"
        "print(json.dumps({'seconds': times['ours/weights'], 'process': peak(), 'search': peak() - base}))\n"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", code, json.dumps(settings.to_dict()), str(steps)]
    arguments.append(str(projections))
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure, and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12, help="L (default: 12)")
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--batch", type=int, default=16, help="patches in a step (default: 16)")
    parser.add_argument("--patch", type=int, default=96, help="HR patch (default: 96)")
    parser.add_argument("--steps", type=int, default=10, help="steps of each kind (default: 10)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32", help="of ours (default: 32)")
    parser.add_argument(
        "--plain-normalization",
        choices=NORMALIZATION.choices,
        default="batch",
        help="of the plain version: batch as in the authors' code, or mean as ours (default: batch)",
    )
    parser.add_argument("--projections", action="store_true", help="with up-and-down projections")
    parser.add_argument("--profile", action="store_true", help="also print where the time of our weight steps goes")
    parser.add_argument(
        "--growth", action="store_true", help="only time and memory by L, C and batch, on the CPU (Linux)"
    )
    options = parser.parse_args()
    settings = SearchSettings(
        layers=options.layers,
        channels=options.channels,
        batch=options.batch,
        patch=options.patch,
        precision=options.precision,
    )
    if options.growth:
        _print_growth(settings, options.steps, options.projections)
        return
    variants: list[type[Ours]] = [Ours, Plain]
    times = measure(settings, options.device, options.steps, variants, options.projections, options.plain_normalization)
    in_step = settings.controller_batch * settings.architectures
    steps = {
        "patches": (EPOCH_PATCHES / in_step, EPOCH_PATCHES / options.batch),
        "architectures": (EPOCH_ARCHITECTURES / settings.architectures, float(EPOCH_ARCHITECTURES)),
    }
    print(f"{options.device}, {torch.get_num_threads()} threads, mean of {options.steps} architectures\n")
    print("| | ours | plain | plain / ours |\n|---|---|---|---|")
    for label, ours, plain in (
        ("weight step (s)", times["ours/weights"], times["plain/weights"]),
        ("controller step (s)", times["ours/controller"], times["plain/controller"]),
        *(
            (f"epoch, same {kind} (s)", epoch(times, "ours", ours), epoch(times, "plain", plain))
            for kind, (ours, plain) in steps.items()
        ),
    ):
        print(f"| {label} | {ours:.3f} | {plain:.3f} | {plain / ours:.1f} |")
    print(
        f"| images/s in weight steps | {options.batch / times['ours/weights']:.1f} | "
        f"{options.batch / times['plain/weights']:.1f} | |"
    )
    if options.profile:
        _profile(settings, options.device, options.steps)


def _print_growth(settings: SearchSettings, steps: int, projections: bool) -> None:
    print("| L | C | batch | weight step (s) | search (GB) | whole process (GB) |\n|---|---|---|---|---|---|")
    sizes = ((12, 8, 16), (6, 8, 16), (24, 8, 16), (12, 4, 16), (12, 16, 16), (12, 8, 8), (12, 8, 32))
    for layers, channels, batch in sizes:
        changed = replace(settings, layers=layers, channels=channels, batch=batch)
        figures = peak_memory(changed, steps, projections)
        cells = f"| {layers} | {channels} | {batch} "
        print(cells + "| {seconds:.2f} | {search:.2f} | {process:.2f} |".format(**figures), flush=True)


def _profile(settings: SearchSettings, device: str, steps: int) -> None:
    from torch.profiler import ProfilerActivity, profile

    ours = Ours(settings, device)
    batches = [ours.policy.draw(1) for _ in range(steps)]
    ours.weight_step(batches[0])
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as profiled:
        for architectures in batches:
            ours.weight_step(architectures)
    print(profiled.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=15))


if __name__ == "__main__":
    main()
