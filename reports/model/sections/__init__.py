"""The contents of single sections of the report."""
