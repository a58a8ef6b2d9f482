"""Search with candidate operations of one's own beside those of the paper.

    python examples/own_operations.py --out found

The operations are in convnext_operation.py. This script looks at them, lets a weight-sharing search choose among all
candidates, and tells which it took.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from strategies.search.command import quiet_imports

OWN = ("convnext", "resize_conv")


def main() -> None:
    """Search, and say what was chosen."""
    options = _options()

    quiet_imports()  # NNI's warnings of its dependencies
    import convnext_operation  # noqa: F401, registers the two

    from hnas_nni import Cell, Edge, Genotype
    from hnas_nni.architecture.operations import candidates
    from hnas_nni.cost import cost_table
    from hnas_nni.report import draw_genotype
    from strategies.search import SearchSettings, WeightSharingSearch

    for cell in Genotype.space.cells:
        print(f"candidates of the {cell} cell: {', '.join(candidates(Genotype.space, cell))}")

    # Genotypes know them, and so does all that is made of a genotype: networks, files, costs, pictures. What a cell
    # of one operation alone costs tells how dear that operation is.
    plain = Cell((Edge("nearest", 0),) * 8)
    costs = cost_table(scale=2, channels=options.channels, layers=options.layers)
    for operation in ("sep_conv_5x5", "rcab", "convnext"):
        genotype = Genotype(Cell((Edge(operation, 0),) * 8), plain, position=options.layers)
        print(f"a network of {operation:13s} costs {costs(genotype).gmacs:5.2f} G multiply-adds")

    # The search needs no word about them. With so few epochs it shows how, not what is best.
    settings = SearchSettings.miniature(
        layers=options.layers,
        channels=options.channels,
        epochs=options.epochs,
        weight_steps=options.steps,
        controller_steps=options.steps // 2,
        candidates=options.candidates,
        threads=options.threads,
    )
    ranking = WeightSharingSearch(settings, options.out).run()

    winner = ranking[0].genotype
    uses = Counter(edge.operation for row in ranking for _, cell in row.genotype.cells() for edge in cell.edges)
    edges = sum(uses.values())
    print(f"\nof {edges} operations in the {len(ranking)} ranked architectures:")
    for name in OWN:
        print(f"  {name}: {uses[name]} ({uses[name] / edges:.0%})")
    draw_genotype(winner, options.out / "winner.svg", layers=options.layers)
    print(f"\nwinner: {winner}")
    print(f"written: {options.out / 'winner.json'}, {options.out / 'winner.svg'}")
    print("In another process: HNAS_OPERATIONS=convnext_operation PYTHONPATH=examples hnas show FILE")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the search")
    for name, default, text in (
        ("epochs", 10, "turns of weights and controller"),
        ("steps", 20, "steps of the weights in an epoch; the controller does half as many"),
        ("candidates", 20, "architectures that are ranked at the end"),
        ("layers", 6, "L, blocks of a network"),
        ("channels", 6, "C, channels of an operation"),
        ("threads", 1, "CPU threads"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # bad input: a line, no traceback
        sys.exit(f"own_operations.py: error: {error}")
