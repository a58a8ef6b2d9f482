"""HNAS: hierarchical neural architecture search for image super-resolution, the part without a NAS framework."""

from hnas_nni.genotype import Cell, Edge, Genotype, GenotypeError
from hnas_nni.published import HNAS_A, HNAS_B, HNAS_C

__all__ = ["HNAS_A", "HNAS_B", "HNAS_C", "Cell", "Edge", "Genotype", "GenotypeError"]
