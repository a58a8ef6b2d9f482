"""Training one architecture to the end, with PyTorch Lightning.

Importing this package loads neither torch nor Lightning.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
