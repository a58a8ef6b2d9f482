"""Searches on disk: NNI experiments, with or without a running manager, and folders of ``hnas search``.

:func:`open_search` opens either by its name; what both tell is a :class:`Search`. NNI's database is opened for reading
only, so an experiment can be read while it runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
