"""HNAS: hierarchical neural architecture search for image super-resolution, the part without a NAS framework.

Architectures are read in many places that need no torch; what needs it is loaded on first use.
"""

import os

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if os.environ.get("HNAS_OPERATIONS"):
    from hnas_nni.architecture.own_modules import load_modules

    load_modules()
