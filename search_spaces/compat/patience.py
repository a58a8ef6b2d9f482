"""Time for a tuner to start on a busy machine: NNI 3.0 gives it ten seconds, most of which its own imports may take.

NNI has no setting for it. The node that NNI brings along takes a file to load before NNI's own, and ours makes a minute
of them. For nnictl the shell hands it over:

    export NODE_OPTIONS=$(python -m search_spaces.compat.patience)
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from search_spaces.compat.preload import VARIABLE, node_options

PRELOAD = Path(__file__).with_name("patience.js")

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(f"search_spaces.compat.patience: error: {shlex.join(sys.argv[1:])}: takes no arguments")
    print(node_options(PRELOAD, os.environ.get(VARIABLE, "")))
