"""The predictions of a file, and its metric."""
