"""What a short training makes of its first weights: those of an interpolation against torch's random ones.

    python benchmarks/first_weights.py --data BSDS500/train --validation Set5 --out runs

The published cells and random architectures without up-and-down projections, each trained twice with the same patches,
as ``hnas train`` does it. Started again, it goes on with the next training. Printed is a Markdown table of the PSNR on
the validation images after the last step.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import HNAS_A, HNAS_B, HNAS_C
from hnas_nni.cost import count
from hnas_nni.settings import FIRST_WEIGHTS
from hnas_nni.training import TrainingSettings, train

_WEIGHTS = FIRST_WEIGHTS.choices


def architectures_to_train(layers: int, number: int) -> Iterator[tuple[str, Genotype]]:
    """Yield the published cells and random architectures without up-and-down projections, with their names."""
    for name, genotype in (("HNAS-A", HNAS_A), ("HNAS-B", HNAS_B), ("HNAS-C", HNAS_C)):
        yield f"cells of {name}", replace(genotype, position=min(genotype.position, layers))
    plain = (
        (f"random {seed}", genotype)
        for seed in itertools.count()
        if "up_down_projection" not in str(genotype := Genotype.random(seed, layers))
    )
    yield from itertools.islice(plain, number)


def main() -> None:
    """Train and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="training images")
    parser.add_argument("--validation", required=True, metavar="DIR", help="images that networks are measured on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the trainings")
    parser.add_argument("--random", type=int, default=5, help="random architectures (default: 5)")
    parser.add_argument("--steps", type=int, default=1500, help="of a training (default: 1500)")
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--layers", type=int, default=6, help="L (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and patches (default: 0)")
    options = parser.parse_args()
    settings = TrainingSettings(
        data=(options.data,),
        validation=options.validation,
        channels=options.channels,
        layers=options.layers,
        epochs=1,
        steps_per_epoch=options.steps,
        batch=8,
        patch=48,
        seed=options.seed,
    )
    found: dict[str, list[float]] = {weights: [] for weights in _WEIGHTS}
    architectures = list(architectures_to_train(options.layers, options.random))
    for (name, genotype), weights in tqdm(list(itertools.product(architectures, _WEIGHTS)), desc="trainings"):
        folder = options.out / f"{name.replace(' ', '_')}_{weights}"
        training = train(genotype, replace(settings, first_weights=weights), folder, accelerator="cpu", quiet=True)
        assert training.best is not None
        found[weights].append(training.best["validation_psnr"])
    print(f"| architecture | GMAC | {' (dB) | '.join(_WEIGHTS)} (dB) |")
    print("|---|---|" + "---|" * len(_WEIGHTS))
    for row, (name, genotype) in enumerate(architectures):
        gmacs = count(genotype, settings.scale, settings.channels, settings.layers).gmacs
        print(f"| {name} | {gmacs:.1f} | " + " | ".join(f"{found[weights][row]:.2f}" for weights in _WEIGHTS) + " |")
    means = [f"{statistics.mean(found[weights]):.2f} ± {statistics.stdev(found[weights]):.2f}" for weights in _WEIGHTS]
    print(f"| mean ± standard deviation | | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
