"""The user's model: loaded, inspected, rebuilt for training."""
