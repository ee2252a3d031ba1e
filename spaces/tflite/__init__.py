"""Reading, checking, slimming and running ``.tflite`` files."""
