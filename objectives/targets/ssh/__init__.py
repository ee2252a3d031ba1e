"""The ssh target: a remote machine."""
