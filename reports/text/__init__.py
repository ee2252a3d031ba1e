"""Numbers and names as readable text."""
