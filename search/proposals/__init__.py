"""What to try next: recipes, samplers, neighbors, promotions."""
