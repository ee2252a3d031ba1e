"""The configuration: keys, units, budgets."""
