"""Costs that are computed from the bytes of a file: memory, MACs, an energy estimate."""
