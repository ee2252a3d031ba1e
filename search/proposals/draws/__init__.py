"""Draws of Optuna for a proposal, and the trials that it learns from."""
