"""The parts of ``benchmarks/on_gpu.py``, one to a file."""
