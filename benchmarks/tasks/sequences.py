"""Models of sequences: time series, speech-like features, tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import own, scores
from tasks.images import compiled
from tasks.task import Made, seed, split, task, trained


def waves(count: int, length: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Noisy time series (n, length, 2) of three shapes, and their class (n,)."""
    rng = np.random.default_rng(2)
    y, phase, time = rng.integers(0, 3, count), rng.uniform(0, 6, (count, 1)), np.arange(length)
    pitch = np.array([0.3, 0.5, 0.8])[y][:, None]
    wave = np.sin(pitch * time + phase)
    x = np.stack([wave, np.sign(wave) * (y[:, None] == 2)], axis=-1) + rng.normal(0, 0.7, (count, length, 2))
    return x.astype("float32"), y


def tokens(count: int, length: int = 16, words: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Sentences (n, length) of word numbers, with label 1 if more words are below 10 than are 40 or above, else 0."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, words, (count, length))
    return x.astype("int32"), ((x < 10).sum(axis=1) > (x >= 40).sum(axis=1)).astype("int64")


@task("forecast, LSTM", scores.mae, keras_metric="mae", metric="mae")
def forecast() -> Made:
    import keras

    rng = seed()
    layers, time = keras.layers, np.arange(32) + rng.uniform(0, 50, (900, 1))
    series = np.sin(rng.uniform(0.1, 0.3, (900, 1)) * time) + rng.normal(0, 0.05, (900, 32))
    x, y = series[:, :24, None].astype("float32"), series[:, 24:].astype("float32")
    model = keras.Sequential([keras.Input((24, 1)), layers.LSTM(16), layers.Dense(8)])
    return trained(compiled(model, "mse", ["mae"], 5e-3), split(x, y), 6)


@task("forecast of tiny values, r2", scores.r2, metric="r2")
def tiny_values() -> Made:
    import keras

    rng = seed()
    layers, x = keras.layers, rng.normal(size=(1200, 20, 1)).astype("float32")
    y = (x[:, -4:, 0] * 3e-5 + 2e-5 * x[:, :4, 0]).astype("float32")
    model = keras.Sequential(
        [keras.Input((20, 1)), layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(4)]
    )
    made = trained(compiled(model, "mse"), split(x, y * 1e4), 8)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 1e-4, bias * 1e-4])
    return Made(made.model, split(x, y))


@task("sequence classifier, GRU", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def gru() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, waves(900)
    parts = [keras.Input((32, 2)), layers.Bidirectional(layers.GRU(12)), layers.Dense(3, activation="softmax")]
    return trained(
        compiled(keras.Sequential(parts), "sparse_categorical_crossentropy", ["accuracy"], 1e-2), split(x, y), 4
    )


@task("temporal convolutions", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def tcn() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, waves(900)
    inputs = keras.Input((32, 2))
    h = layers.Conv1D(16, 3, padding="causal", activation="relu")(inputs)
    for dilation in (2, 4):
        h = layers.Add()([h, layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, activation="relu")(h)])
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(h))
    model = compiled(keras.Model(inputs, outputs), "sparse_categorical_crossentropy", ["accuracy"])
    return trained(model, split(x, y), 6)


@task("transformer of tokens", scores.at_half, keras_metric="accuracy", metric="accuracy")
def transformer() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, tokens(1500)
    inputs = keras.Input((16,), dtype="int32")
    h = layers.Embedding(50, 16)(inputs)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 8)(h, h))
    h = layers.LayerNormalization()(h + layers.Dense(16)(layers.Dense(32, activation="gelu")(h)))
    outputs = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(h))
    model = compiled(keras.Model(inputs, outputs), "binary_crossentropy", ["accuracy"])
    return trained(model, split(x, y), 5)


@task("text, embedding bag", scores.at_zero, metric="accuracy")
def bag_of_words() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, tokens(1500)
    parts = [keras.Input((16,), dtype="int32"), layers.Embedding(50, 8), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*parts, layers.Dense(16, activation="relu"), layers.Dense(1)])
    return trained(compiled(model, keras.losses.BinaryCrossentropy(from_logits=True)), split(x, y), 8)


@task("tagging of steps", scores.per_place, keras_metric="accuracy", metric="accuracy")
def tagging() -> Made:
    import keras

    seed()
    layers, (x, _) = keras.layers, tokens(900)
    y = np.where(np.roll(x, 1, axis=1) < 25, x % 3, 3)
    parts = [keras.Input((16,), dtype="int32"), layers.Embedding(50, 12), layers.Conv1D(32, 3, padding="same")]
    parts += [layers.ReLU(), layers.Dense(4, activation="softmax")]
    model = compiled(keras.Sequential(parts), "sparse_categorical_crossentropy", ["accuracy"], 1e-2)
    return trained(model, split(x, y), 5)


@task(
    "speech, CTC with a loop of its own",
    lambda y, p, x: own.words(y, p),
    metric="tasks.own:words",
    fit="tasks.own:fit_ctc",
)
def speech() -> Made:
    import keras

    def loss(y_true: Any, y_pred: Any) -> Any:
        return own.ctc(y_true, y_pred)

    rng = seed()
    layers, y = keras.layers, rng.integers(0, 5, (1000, 3))
    x = rng.normal(0, 0.4, (1000, 18, 8))
    for k in range(3):
        for step in range(2):
            x[np.arange(1000), 1 + 6 * k + rng.integers(0, 3, 1000) + step, y[:, k]] += 2
    parts = [keras.Input((18, 8)), layers.Conv1D(24, 3, padding="same", activation="relu")]
    model = keras.Sequential(
        [*parts, layers.Conv1D(24, 3, padding="same", activation="relu"), layers.Dense(6, activation="softmax")]
    )
    return trained(compiled(model, loss, rate=1e-2), split(x.astype("float32"), y), 10)


@task("electrocardiogram-like, AUC", scores.mean_auc, metric="roc-auc")
def heartbeat() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, waves(900, 48)
    parts = [keras.Input((48, 2)), layers.SeparableConv1D(16, 5, activation="elu"), layers.MaxPooling1D(4)]
    parts += [
        layers.Conv1D(16, 3, activation="elu"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(1, activation="sigmoid"),
    ]
    return trained(compiled(keras.Sequential(parts), "binary_crossentropy"), split(x, (y == 1).astype("int64")), 6)
