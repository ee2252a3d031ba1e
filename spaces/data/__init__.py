"""The user's data as three splits of arrays on disk."""
