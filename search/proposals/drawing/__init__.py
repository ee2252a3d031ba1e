"""What the sampler draws, by Optuna and at random."""
