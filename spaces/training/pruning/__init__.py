"""Sparsity by layer, and over the steps of a training."""
