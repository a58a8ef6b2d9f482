"""Training one architecture to the end, with PyTorch Lightning.

Importing this package loads neither torch nor Lightning.
"""
