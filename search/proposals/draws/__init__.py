"""What Optuna draws, and the trials that it is told of."""
