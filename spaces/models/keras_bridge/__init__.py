"""A Keras 3 model rebuilt in tf_keras, which tfmot needs."""
