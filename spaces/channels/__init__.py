"""Structured pruning: which channels belong together, which matter, and how they are removed."""
