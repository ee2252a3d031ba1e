"""Sparsity by layer, and sparsity schedules over the steps of a training."""
