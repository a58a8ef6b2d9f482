"""The report of a search: one HTML file to look at, print and pass on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
