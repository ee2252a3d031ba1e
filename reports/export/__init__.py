"""The export of a trial: its ``.tflite`` file and the files that are written beside it."""
