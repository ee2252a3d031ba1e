"""The picks of a run."""
