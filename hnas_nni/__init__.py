"""HNAS: hierarchical neural architecture search for image super-resolution, the part without a NAS framework.

Architectures are read in many places that need no torch; what needs it is loaded on first use.
"""

import os
import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# The process of a trial imports them itself, if no server does it.
if os.environ.get("HNAS_OPERATIONS") and sys.orig_argv[1:3] != ["-m", "hnas_nni.trial"]:
    from hnas_nni.architecture.own_modules import load_modules

    load_modules()
