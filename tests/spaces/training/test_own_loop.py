"""A training loop of the user's: every training step uses it, and what does not fit is named at the inspection."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, ConfigError, Refused
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.steps.prune import Prune
from litetuner.spaces.steps.qat import Qat
from litetuner.spaces.tf import load
from litetuner.spaces.training.fit import seeded
from litetuner.spaces.training.own_loop import make_dataset, make_loop, try_loop

RNG = np.random.default_rng(0)
N, STEPS, SIGNS = 96, 12, 3  # words of two signs, read from twelve steps; class 3 is CTC's blank


def ctc(y: Any, outputs: Any) -> Any:
    tf = load()
    count = tf.shape(outputs)[0]
    lengths = {"label_length": tf.fill([count], 2), "logit_length": tf.fill([count], STEPS)}
    logits = tf.math.log(outputs + 1e-7)
    losses = tf.nn.ctc_loss(tf.cast(y, tf.int32), logits, **lengths, logits_time_major=False, blank_index=SIGNS)
    return tf.reduce_mean(losses)


def by_keras(model: Any, dataset: Any, epochs: int, callbacks: list[Any], seed: int) -> None:
    model.compile(model.optimizer, ctc)
    model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)


def by_hand(model: Any, dataset: Any, epochs: int, callbacks: list[Any], seed: int) -> None:
    """A loop that calls no callback."""
    tf = load()
    model.optimizer.build(model.trainable_variables)

    @tf.function
    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = ctc(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        pairs = [pair for pair in zip(gradients, model.trainable_variables, strict=True) if pair[0] is not None]
        model.optimizer.apply_gradients(pairs)

    for _ in range(epochs):
        for batch in dataset:
            step(*batch)


@pytest.fixture(scope="module")
def words() -> tuple[np.ndarray, np.ndarray]:
    y = RNG.integers(0, SIGNS, (N, 2))
    x = RNG.normal(0, 0.2, (N, STEPS, 4)).astype(np.float32)
    for k in range(2):
        x[np.arange(N), 2 + 5 * k, y[:, k]] += 2
    return x, y


@pytest.fixture
def context(words: tuple[np.ndarray, np.ndarray]) -> Context:
    return Context(*words, words[0][:16], loss=None, batch_size=16, seed=3, loop=by_keras)


@pytest.fixture(scope="module")
def reader() -> Any:
    load()
    import tf_keras

    with seeded(5):
        source = tf_keras.layers.Input((STEPS, 4))
        x = tf_keras.layers.Conv1D(8, 3, padding="same", activation="relu", name="look")(source)
        return tf_keras.Model(source, tf_keras.layers.Dense(SIGNS + 1, activation="softmax", name="name")(x))


def value(model: Any, context: Context) -> float:
    return float(ctc(context.y_train, model(context.x_train)))


def test_every_training_step_uses_the_loop(reader: Any, context: Context) -> None:
    before, kernel = value(reader, context), reader.get_layer("look").kernel.numpy()
    given = {"epochs": 6.0, "learning_rate": 1e-2}
    tuned = Finetune(**given).apply(reader, context)
    assert value(tuned, context) < 0.8 * before
    context = dataclasses.replace(context, loop=by_hand)
    pruned = Prune(sparsity=0.5, leave=(), **given).apply(reader, context)
    assert value(pruned, context) < 0.9 * before
    assert np.mean(pruned.get_layer("look").kernel.numpy() == 0) == 0.5
    clustered = Cluster(count=4, **given).apply(reader, context)
    assert len(np.unique(clustered.get_layer("look").kernel.numpy())) <= 4
    assert not np.array_equal(clustered.get_layer("look").kernel.numpy(), kernel)
    assert np.array_equal(reader.get_layer("look").kernel.numpy(), kernel)


def test_zeros_stay_in_what_is_trained_for_integers(reader: Any, context: Context) -> None:
    """Although the loop calls no callback."""
    pruned = Prune(sparsity=0.5, leave=(), epochs=0.0).apply(reader, context)
    qat = Qat(skip=("look",), preserve_sparsity=True, epochs=0.5, learning_rate=1e-2)
    trained = qat.apply(pruned, dataclasses.replace(context, loop=by_hand))
    (kernel,) = [each.numpy() for each in trained.weights if each.shape == (3, 4, 8)]
    assert np.mean(kernel == 0) >= 0.5
    assert not np.array_equal(kernel, pruned.get_layer("look").kernel.numpy())


def test_distillation_is_refused(reader: Any, context: Context) -> None:
    with pytest.raises(Refused, match="set distill to 0"):
        Finetune(distill=0.5).apply(reader, context)


def test_the_dataset_has_full_batches_of_a_share_of_the_samples_in_a_new_order(context: Context) -> None:
    weighted = dataclasses.replace(context, w_train=np.arange(N, dtype=np.float32))
    dataset = make_dataset(weighted, 0.4, "none")
    assert int(dataset.cardinality()) == 3
    first, second = ([batch[2].numpy() for batch in dataset] for _ in range(2))
    again = [batch[2].numpy() for batch in make_dataset(weighted, 0.4, "none")]
    assert np.array_equal(first, again)  # drawn from the seed
    assert [part.shape for part in first] == [(16,)] * 3 and len(np.unique(np.concatenate(first))) == 48
    assert not np.array_equal(first, second)
    for x, y, w in dataset.take(1):
        rows = w.numpy().astype(int)
        assert np.array_equal(x, context.x_train[rows]) and np.array_equal(y, context.y_train[rows])


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    found = types.ModuleType("own_loops")
    monkeypatch.setitem(sys.modules, "own_loops", found)
    yield found


def test_what_does_not_fit_is_named(reader: Any, context: Context, module: Any) -> None:
    module.few = lambda model, dataset: None
    with pytest.raises(ConfigError, match=r"called with \(model, dataset, epochs, callbacks, seed\)"):
        make_loop("own_loops:few")

    def attempt(loop: Any) -> bool:
        return try_loop(reader, dataclasses.replace(context, loop=loop))

    def labels_of_a_word(model: Any, dataset: Any, epochs: int, callbacks: list[Any], seed: int) -> None:
        model.compile(model.optimizer, "categorical_crossentropy")
        model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)

    def layer_by_name(model: Any, *others: Any) -> None:
        assert model.get_layer("look").name
        by_keras(model, *others)

    def own_optimizer(model: Any, dataset: Any, epochs: int, callbacks: list[Any], seed: int) -> None:
        model.compile("adam", ctc)
        model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)

    assert attempt(by_keras) and attempt(by_hand)
    assert not attempt(own_optimizer)
    with pytest.raises(ConfigError, match="changes no weight"):
        attempt(lambda *given: None)
    with pytest.raises(ConfigError, match=r"--fit failed: ValueError: Shapes .*test_own_loop.py, line \d+"):
        attempt(labels_of_a_word)
    with pytest.raises(ConfigError, match=r"No such layer: look.*in the wrappers of tfmot"):
        attempt(layer_by_name)
    with pytest.raises(BuildFailed, match="--fit failed: ZeroDivisionError"):
        Finetune().apply(reader, dataclasses.replace(context, loop=lambda *given: 1 / 0))
