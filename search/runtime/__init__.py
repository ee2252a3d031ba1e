"""Runs jobs: executors, workers and the job cache."""
