"""Lossless changes to a finished ``.tflite``."""
