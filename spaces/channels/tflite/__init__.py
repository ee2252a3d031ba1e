"""Channels of a float ``.tflite``: followed through its operators, ranked, removed, and what reads fewer is refitted."""
