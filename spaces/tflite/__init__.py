"""The ``.tflite`` file: read, checked, slimmed, run."""
