"""One trial of a search: an architecture trained for a few steps, measured and rewarded.

NNI starts it as ``python -m hnas_nni.trial``. Importing this package loads no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
