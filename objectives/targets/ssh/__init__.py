"""A machine reached by ssh."""
