"""The weight-sharing search of the paper (Algorithm 1) from a folder of images to ranked genotypes.

Names are loaded when they are first used, so that settings can be checked before torch is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
