"""Experiments of NNI: found on this machine, and read from their database while they run or afterwards."""
