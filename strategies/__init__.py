"""The hierarchical controller, its policy gradient, and the doors to NNI that use them.

Names are loaded when they are first used: the tuner must answer NNI within seconds of its start, before torch could be
loaded on a busy machine, and the controller works without NNI.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
