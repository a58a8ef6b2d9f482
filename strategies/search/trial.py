"""One trial of an NNI experiment: a whole weight-sharing search, with the settings that NNI chose for it.

NNI itself runs one-shot searches outside of its manager, so that they never show in its web UI. Here each trial is
one: ``python -m strategies.search.trial`` takes the options of ``hnas search``, and NNI's parameters replace those of
the same names ("lambda", "seed", "layers" and so on). Reported are the reward and PSNR on the validation images after
each epoch, and at the end those of the best architecture, its multiply-adds, parameters and genotype. The search's
folder, which ``hnas report`` reads, is ``search`` in the trial's own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hnas_nni.cli.terminal import Parser, one_line, print_error
from hnas_nni.searches.search_folder import SEARCH_FOLDER
from strategies.search import command
from strategies.search.settings import SearchSettings


def with_parameters(settings: SearchSettings, parameters: Mapping[str, Any]) -> SearchSettings:
    """Return the settings with those replaced that NNI has chosen.

    Raises
    ------
    ValueError
        If a parameter is not a setting of a search, or out of range.
    """
    names = {setting.option or name: name for name, (setting, _) in SearchSettings.stated().items()}
    for given in parameters:
        if given not in names:
            raise ValueError(f"{given}: not a setting of a search; see hnas search --help")
    return replace(settings, **{names[given]: value for given, value in parameters.items()})


def main(arguments: list[str] | None = None) -> int:
    """Run the trial; returns the exit code, 2 for bad input."""
    name = "python -m strategies.search.trial"
    parser = Parser(prog=name, description=__doc__)
    command.configure(parser)
    # The folder is the trial's.
    options: argparse.Namespace = parser.parse_args([*(sys.argv[1:] if arguments is None else arguments), "--out", "."])
    try:
        if not os.environ.get("NNI_PLATFORM"):
            raise ValueError("runs as a trial of nnictl; by hand, use hnas search")
        _run(command.settings_of(options))
    except (ValueError, OSError) as error:
        print_error(name, one_line(error))
        return 2
    return 0


def _run(settings: SearchSettings) -> None:
    import nni

    settings = with_parameters(settings, nni.get_next_parameter()).located()
    command.quiet_imports()
    from strategies.search.engine import WeightSharingSearch

    def report(row: dict[str, float]) -> None:
        nni.report_intermediate_result(
            {
                "default": row["validation_reward"],
                "psnr": row["validation_psnr"],
                "gmacs": row["validation_gmacs"],
                "epoch": row["epoch"],
            }
        )

    folder = Path(os.environ["NNI_OUTPUT_DIR"]) / SEARCH_FOLDER
    best = WeightSharingSearch(settings, folder, command=" ".join(sys.argv), on_epoch=report).run()[0]
    nni.report_final_result(
        {
            "default": best.reward,
            "psnr": best.psnr,
            "gmacs": best.gmacs,
            "params": best.params,
            "position": best.genotype.position,
            "genotype": str(best.genotype),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
