"""Rebuilds a Keras 3 model in tf_keras, which tfmot needs."""
