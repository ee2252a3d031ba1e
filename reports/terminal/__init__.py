"""The terminal output of the command line."""
