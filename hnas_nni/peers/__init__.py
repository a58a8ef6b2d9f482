"""Networks of the literature in plain torch, one file each; :mod:`hnas_nni.architecture.peers` has them by name."""
