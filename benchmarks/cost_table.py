"""How long the cost of an architecture takes: by the table, and by profiling the network.

    python benchmarks/cost_table.py

Profiled twice: with thop on the meta device, where nothing is computed (``hnas_nni.cost.count``), and with thop during
a forward pass that computes, as search code commonly does it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from hnas_nni import Genotype
from hnas_nni.cost import CostTable, count, profile


def _seconds(function: Callable[[Genotype], object], genotypes: list[Genotype]) -> float:
    start = time.perf_counter()
    for genotype in genotypes:
        function(genotype)
    return (time.perf_counter() - start) / len(genotypes)


def main() -> None:
    """Measure and print seconds for one architecture and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--layers", type=int, default=12, help="L (default: 12)")
    parser.add_argument("--forward-size", type=int, default=48, help="side of the computed forward (default: 48)")
    options = parser.parse_args()
    sizes = (2, options.channels, options.layers)

    def forward(genotype: Genotype) -> object:
        side = options.forward_size
        return profile(genotype.build(*sizes), torch.zeros(1, 3, side, side))

    start = time.perf_counter()
    table = CostTable(*sizes)
    built = time.perf_counter() - start
    genotypes = [Genotype.random(seed, options.layers) for seed in range(2000)]
    count(genotypes[0], *sizes)  # the first use of the meta device imports more of torch
    table_time = _seconds(table, genotypes)
    meta_time = _seconds(lambda genotype: count(genotype, *sizes), genotypes[:10])
    forward_time = _seconds(forward, genotypes[:10])
    print(f"table, built once in {built:.3f} s      {table_time * 1e6:10.1f} us")
    print(f"thop, meta device               {meta_time * 1e6:10.1f} us   {meta_time / table_time:8.0f} times")
    print(
        f"thop, computing at {options.forward_size}x{options.forward_size}      "
        f"{forward_time * 1e6:10.1f} us   {forward_time / table_time:8.0f} times"
    )


if __name__ == "__main__":
    main()
