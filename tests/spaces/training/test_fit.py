"""The training loop: deterministic, fractional, finite, weighted."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import VIEWS, augmented
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.training import samples
from litetuner.spaces.training.fit import TIMED_STEPS, TrainingHooks, count_steps, fit, seconds_per_step, seeded

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 5)).astype(np.float32)
WEIGHTS = RNG.normal(size=5)


@pytest.fixture
def line() -> Context:
    return Context(X, (X @ WEIGHTS).astype(np.float32), X[:0], loss="mse", batch_size=16, seed=3)


def network(units: int = 1, dropout: float = 0.0) -> Any:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    with seeded(5):
        source = tf_keras.layers.Input((5,))
        x = tf_keras.layers.Dropout(dropout)(source) if dropout else source
        return tf_keras.Model(source, tf_keras.layers.Dense(units)(x))


def test_steps_are_counted_up(line: Context) -> None:
    assert [count_steps(line, epochs) for epochs in (0, 0.01, 1, 2.5)] == [0, 1, 5, 11]


def test_the_seconds_of_a_step_are_those_after_the_first_call(line: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short steps are timed more often; the weights stay as they are."""
    model, ticks = network(), iter([0.0, 0.4, 1.0, 1.4, 2.0, 3.6])
    before = model.get_weights()
    monkeypatch.setattr("litetuner.spaces.training.fit.time.perf_counter", lambda: next(ticks))
    assert seconds_per_step(model, line) == pytest.approx(1.6 / TIMED_STEPS[2])
    ticks = iter([0.0, 2.0])
    assert seconds_per_step(model, line) == pytest.approx(2.0 / TIMED_STEPS[0])
    assert all((was == now).all() for was, now in zip(before, model.get_weights(), strict=True))


def test_a_linear_model_finds_its_weights(line: Context) -> None:
    model = network()
    fit(model, line, epochs=300, learning_rate=0.05)
    assert np.abs(model.get_weights()[0][:, 0] - WEIGHTS).max() < 0.01  # the data are exact


def test_labels_without_an_axis_of_one_are_not_broadcast(line: Context) -> None:
    """(n,) labels against (n, 1) outputs would give a constant model in the plain losses."""
    model = network()
    fit(model, line, epochs=100, learning_rate=0.05)
    assert np.std(model(X).numpy()) > 0.5 * np.std(line.y_train)


def test_equal_seeds_give_equal_weights_also_with_dropout(line: Context) -> None:
    trained = []
    for seed in (1, 1, 2):
        with seeded(seed):
            model = network(dropout=0.3)
            fit(model, dataclasses.replace(line, seed=seed), epochs=3, learning_rate=0.01)
        trained.append(model.get_weights()[0])
    assert np.array_equal(trained[0], trained[1])
    assert not np.array_equal(trained[0], trained[2])


def test_global_generators_are_left_as_they_were() -> None:
    random.seed(11)
    np.random.seed(11)
    expected = random.random(), np.random.random()
    random.seed(11)
    np.random.seed(11)
    with seeded(4):
        random.random(), np.random.random()
    assert (random.random(), np.random.random()) == expected


def test_memory_mapped_integers_are_cast(tmp_path: Path, line: Context) -> None:
    np.save(tmp_path / "x.npy", (X * 10).astype(np.int16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = network()
    fit(model, dataclasses.replace(line, x_train=mapped), epochs=2, learning_rate=0.01)
    assert not np.array_equal(model.get_weights()[0], network().get_weights()[0])


def test_masks_hold_zeros(line: Context) -> None:
    model = network()
    mask = np.array([[1], [0], [1], [0], [1]])
    fit(model, line, epochs=5, learning_rate=0.05, hooks=TrainingHooks(masks=[(model.trainable_variables[0], mask)]))
    assert np.array_equal(model.get_weights()[0] != 0, mask.astype(bool))


def test_short_trainings_let_batch_normalization_catch_up(line: Context) -> None:
    import tf_keras

    source = tf_keras.layers.Input((5,))
    normalization = tf_keras.layers.BatchNormalization()
    model = tf_keras.Model(source, tf_keras.layers.Dense(1)(normalization(source)))
    shifted = dataclasses.replace(line, x_train=X + 100)
    fit(model, shifted, epochs=12, learning_rate=0.0)  # 53 steps: a momentum of 0.99 would reach 41
    assert np.abs(normalization.moving_mean.numpy() - 100).max() < 3
    assert normalization.momentum == 0.99


def test_no_data_is_refused(line: Context) -> None:
    with pytest.raises(Refused, match="no training data"):
        fit(network(), dataclasses.replace(line, x_train=X[:0], y_train=X[:0, 0]), epochs=1, learning_rate=0.1)


def test_diverging_training_fails(line: Context) -> None:
    broken = np.where(np.arange(70) == 3, np.nan, line.y_train).astype(np.float32)
    with pytest.raises(BuildFailed, match="diverged"):
        fit(network(), dataclasses.replace(line, y_train=broken), epochs=1, learning_rate=0.1)


def test_weights_of_samples_decide_which_are_learned(line: Context) -> None:
    """The second half has other labels and no weight: the weights of the first half are found."""
    y = np.where(np.arange(70) < 35, line.y_train, 5.0).astype(np.float32)
    weights = (np.arange(70) < 35).astype(np.float32)
    model = network()
    fit(model, dataclasses.replace(line, y_train=y, w_train=weights), epochs=300, learning_rate=0.05)
    assert np.abs(model.get_weights()[0][:, 0] - WEIGHTS).max() < 0.02


def test_views_are_drawn_by_seed_and_only_of_images() -> None:
    images = np.arange(2 * 16 * 16 * 3, dtype=np.float32).reshape(2, 16, 16, 3)
    views = {kind: augmented(np.repeat(images, 20, axis=0), kind, np.random.default_rng(0)) for kind in VIEWS}
    again = augmented(np.repeat(images, 20, axis=0), "flip+shift", np.random.default_rng(0))
    assert np.array_equal(views["flip+shift"], again)
    assert np.array_equal(views["none"], np.repeat(images, 20, axis=0))
    first = views["flip"][:20]
    mirrored = [np.array_equal(view, images[0, :, ::-1]) for view in first]
    assert 0 < sum(mirrored) < 20
    assert all(kept or np.array_equal(view, images[0]) for kept, view in zip(mirrored, first, strict=True))
    for view in views["shift"][:20]:  # some shift of at most two pixels, whose inside is the image's
        assert any(
            np.array_equal(view[2:-2, 2:-2], images[0, 2 + row : 14 + row, 2 + column : 14 + column])
            for row in range(-2, 3)
            for column in range(-2, 3)
        )
    with pytest.raises(Refused, match="is for images"):
        augmented(X, "flip", np.random.default_rng(0))
    with pytest.raises(Refused, match="did you mean 'flip'"):
        Finetune(augment="flop")


def test_data_that_are_kept_on_a_gpu_train_the_same_weights(line: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is made up: the data are copied to TensorFlow's default device, here the CPU."""
    trained = []
    for gpus, most in (((), 10**9), (("GPU:0",), 10**9), (("GPU:0",), 70 * 6 * 4 - 1)):
        monkeypatch.setattr(samples, "RESIDENT_BYTES", most)
        monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind, gpus=gpus: list(gpus))
        copied: list[Any] = []
        from_gpu = samples._from_gpu
        monkeypatch.setattr(samples, "_from_gpu", lambda *given, f=from_gpu, c=copied: (c.append(1), f(*given))[1])
        model = network()
        fit(model, line, epochs=3, learning_rate=0.05)
        trained.append((bool(copied), model.get_weights()))
        monkeypatch.undo()
    assert [copied for copied, _ in trained] == [False, True, False], "too large by a byte"
    for _, weights in trained[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(weights, trained[0][1], strict=True))
