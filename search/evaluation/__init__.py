"""The evaluation of candidates."""
