"""Expected measurements of files with treated layers, and the preferred arithmetic, given the trials so far."""
