"""What can be computed from a file's bytes: memory, MACs, estimates."""
