"""The user's model: loading, inspection, and the tf_keras copy for training."""
