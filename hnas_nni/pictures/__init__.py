"""Picture files: reading and writing."""
