"""Architectures as data, free of torch: genotypes, the candidate operations, the paper's cells."""
