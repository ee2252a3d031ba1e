"""Jobs that turn a candidate into a file."""
