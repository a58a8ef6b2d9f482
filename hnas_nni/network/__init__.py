"""Architectures as plain torch networks: modules, first weights, model files and exports."""
