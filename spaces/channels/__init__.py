"""Structured pruning: which channels belong together, which are important, and how they are removed."""
