"""What the server prepares for all trials of an experiment when it sees the settings of the first."""

from __future__ import annotations

from hnas_nni.settings.options import given
from hnas_nni.trial.images import keep_images
from hnas_nni.trial.settings import TrialSettings


def prepare(arguments: list[str]) -> None:
    """Decode the photographs and count the candidates, where it has not been done.

    Torch computes with one thread on the way, as a forked process would miss the others. That can't be undone to the
    last detail, and so it is not done for trials that leave the number of threads to torch.

    Parameters
    ----------
    arguments
        A trial's command line. What is wrong with it, or with the images, the trial tells.
    """
    import torch

    from hnas_nni.cost import cost_table
    from hnas_nni.trial.__main__ import _parser

    try:
        settings = TrialSettings(**given(_parser().parse_args(arguments), TrialSettings))
        keep_images(settings)
        if settings.threads:
            torch.set_num_threads(1)
            cost_table(settings.scale, settings.channels, settings.layers)
    except (SystemExit, ValueError, OSError):
        return
