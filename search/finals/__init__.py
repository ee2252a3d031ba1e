"""The measurements after the search: finals and ablation."""
