"""The search space: steps, candidates, the rules that combine them, and how a candidate becomes a file."""
