"""Channel pruning of a float ``.tflite``: channels are traced, ranked and removed, and layers after them refitted."""
