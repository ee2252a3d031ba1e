"""Lossless changes of a finished ``.tflite``."""
