"""How the space is walked: configuration, trials, front, samplers, executors and the loop."""
