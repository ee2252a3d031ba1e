"""What can be tried: steps, candidates, the rules between them, and how a candidate becomes a file."""
