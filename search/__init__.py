"""The search: configuration, trials, Pareto front, samplers, executors and the loop."""
