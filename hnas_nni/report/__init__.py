"""Architectures and results for people: pictures, texts and tables.

Importing this package loads no matplotlib; the pictures, which need it, are loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
