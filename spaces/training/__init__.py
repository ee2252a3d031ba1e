"""Training of a tf_keras model: the training loop, losses, distillation, and pruning and clustering support."""
