"""Promotions: promising candidates are trained, first for a short time, then for longer."""
