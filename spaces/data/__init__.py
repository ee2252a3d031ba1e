"""The user's data as arrays on disk, in three splits."""
