"""Promotions: what is trained, first for a short time, then for longer."""
