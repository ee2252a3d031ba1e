"""Fitting a tf_keras model, and what is trained towards."""
