"""Where jobs run: executors, workers, the cache."""
