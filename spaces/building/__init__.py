"""The jobs that build the file of a candidate."""
