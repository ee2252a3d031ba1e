"""What to try next: one file for each proposal strategy, and a scheduler that shares time among them."""
