"""What the server imports before the first trial, and what a trial makes of it."""

from __future__ import annotations

import importlib
import os
import random
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = (
    "numpy",
    "torch",
    # NNI, and what it loads when a trial speaks to its manager, over HTTP or in files.
    "nni",
    "nni.runtime.trial_command_channel.v3",
    "nni.runtime.trial_command_channel.local_legacy",
    "netrc",
    # What opening a PNG or JPEG file, and counting multiply-adds, load.
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "distutils",
    "thop",
    "torch.utils._device",
    # What hnas_nni.trial.evaluation loads when a trial begins.
    "hnas_nni.trial.__main__",
    "hnas_nni.cost",
    "hnas_nni.data",
    "hnas_nni.data.patches",
    "hnas_nni.data.smaller_copies",
    "hnas_nni.data.splits",
    "hnas_nni.metrics",
    "hnas_nni.network.devices",
    "hnas_nni.network.efficient_network",
    "hnas_nni.network.efficient_operations",
    "hnas_nni.network.first_weights",
    "hnas_nni.network.model_file",
    "hnas_nni.network.network",
    "hnas_nni.network.normal_operations",
    "hnas_nni.network.upsampling_operations",
    "hnas_nni.training.step",
    "hnas_nni.trial.pricing",
    "hnas_nni.trial.shared_weights",
)


def load() -> None:
    """Import :data:`MODULES`, without a thread or a GPU being started that a forked process would miss.

    To NNI this process is a unit test, as then it opens no file and writes no log as it is imported.

    Raises
    ------
    RuntimeError
        If a Python thread has been started, or CUDA is in use.
    """
    import threading

    os.environ["NNI_PLATFORM"] = "unittest"
    for name in MODULES:
        importlib.import_module(name)
    del os.environ["NNI_PLATFORM"]
    import torch

    if threading.active_count() > 1:
        raise RuntimeError(f"a module has started threads: {threading.enumerate()}")
    if torch.cuda.is_initialized():
        raise RuntimeError("a module has started CUDA")


def adapt() -> None:
    """Bring the modules of a forked process into the state that imports in this process would have given them.

    Random generators start anywhere, each time. NNI is to the trial a module that is still to be imported: from then
    on, and not before, what is printed goes to the log in the trial's folder.
    """
    import numpy

    random.seed()
    numpy.random.seed()
    sys.meta_path.insert(0, _ImportOfNNI(sys.modules.pop("nni")))


class _ImportOfNNI(MetaPathFinder, Loader):
    """Gives the NNI that the server has imported to the first who imports it, as this process's own.

    NNI reads the environment as it is imported: who the trial is goes from ``nni.runtime.env_vars`` into the modules
    that import its two tuples, and into ``nni.trial``, whose functions read it there.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "nni" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        sys.meta_path.remove(self)
        module.__spec__ = self._spec
        from nni.runtime import env_vars, log

        names = ("trial_env_vars", "dispatcher_env_vars")
        before = {name: getattr(env_vars, name) for name in names}
        importlib.reload(env_vars)
        for one in [module for name, module in sys.modules.items() if name.partition(".")[0] == "nni"]:
            for name in names:
                if vars(one).get(name) is before[name]:
                    setattr(one, name, getattr(env_vars, name))
        importlib.reload(sys.modules["nni.trial"])
        log._init_logger()
