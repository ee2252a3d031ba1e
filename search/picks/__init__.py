"""The picks of a run: the best file, and the extremes of the Pareto front."""
