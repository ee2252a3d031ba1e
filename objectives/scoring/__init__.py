"""Predictions of a file, and its metric."""
