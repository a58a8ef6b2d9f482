"""Images for super-resolution: reading, the papers' bicubic degradation, splits and patches.

Importing this package loads no torch; the patches, which need it, are loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
