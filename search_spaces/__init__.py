"""The hierarchical super-resolution space as NNI mutables, and as search-space JSON for nnictl.

Importing this package is cheap: torch and NNI are imported when :class:`HNASSpace` is first touched.
"""

import warnings
from typing import Any

import lazy_loader

# NNI 3.0 looks through all of torch.nn and wonders at what torch put there since.
warnings.filterwarnings("ignore", message=".* is found to be not a nn.Module", category=RuntimeWarning)

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name != "pytorch_lightning":
            raise
        raise ModuleNotFoundError(
            f"{name}: NNI's model spaces need PyTorch Lightning; install pytorch-lightning "
            "(or set NNI_FRAMEWORK=none, if no one-shot strategy and no Lightning evaluator is used)",
            name=error.name,
        ) from error
