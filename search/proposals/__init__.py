"""Which candidate to try next: one file per proposal strategy, and a scheduler that divides the time among them."""
