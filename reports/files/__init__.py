"""``summary.json`` and ``trials.csv``."""
