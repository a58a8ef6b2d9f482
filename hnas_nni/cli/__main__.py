"""``python -m hnas_nni.cli``: the ``hnas`` command."""

from __future__ import annotations

import sys

from hnas_nni.cli import main

if __name__ == "__main__":
    sys.exit(main())
