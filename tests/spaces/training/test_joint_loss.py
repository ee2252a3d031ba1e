"""Models with several inputs and outputs are trained by all steps, with a loss for each output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.scoring.predict import predict
from litetuner.objectives.scoring.scorer import describe_metric
from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.inspect import inspect
from litetuner.spaces.building.jobs import InspectJob, InspectResult, TrainJob
from litetuner.spaces.building.train import train
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.models.checkpoint import read_model
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.models.signature import feed
from litetuner.spaces.steps.channels import Channels
from litetuner.spaces.steps.cluster import Cluster
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.steps.int8 import Int8
from litetuner.spaces.steps.prune import Prune
from litetuner.spaces.steps.qat import Qat
from litetuner.spaces.store import Store
from litetuner.spaces.tf import load
from litetuner.spaces.training.joint_loss import by_output, output_weights
from litetuner.spaces.training.own_loop import make_dataset

RNG = np.random.default_rng(0)
N = 240
X = {"meta": RNG.normal(size=(N, 5)).astype("f4"), "image": RNG.normal(size=(N, 6, 6, 2)).astype("f4")}
KIND = np.argmax(X["meta"][:, :3] + X["image"].mean(axis=(1, 2))[:, :1], axis=1)
AGE = (X["meta"] @ np.arange(5) / 3).astype("f4")
PARTS = {"train": slice(0, 160), "search": slice(160, 200), "test": slice(200, N)}
LIMITS = Limits(60.0, 1 << 32)


@pytest.fixture(scope="module")
def model() -> Any:
    load()
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    meta, image = keras.Input((5,), name="meta"), keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(16, 3, activation="relu", name="conv")(image)
    x = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(x), layers.Dense(16, activation="relu", name="look")(meta)]
    )
    x = layers.Dense(16, activation="relu", name="both")(x)
    outputs = [layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="age")(x)]
    made = keras.Model([meta, image], outputs, name="two")
    made.compile("adam", {"kind": "categorical_crossentropy", "age": "mse"}, loss_weights={"kind": 1.0, "age": 0.5})
    return made


def arrays(**labels: np.ndarray) -> dict[str, np.ndarray]:
    found = {f"x_{split}:{name}": x[rows] for split, rows in PARTS.items() for name, x in X.items()}
    return found | {f"y_{split}:{name}": y[rows] for split, rows in PARTS.items() for name, y in labels.items()}


def inspected(
    folder: Path, model: Any, given: dict[str, np.ndarray], metric: str = "accuracy@kind", **asked: Any
) -> tuple[InspectResult, Workspace, InspectJob]:
    model.save(folder / "m.keras")
    np.savez(folder / "d.npz", **given)  # type: ignore[arg-type]
    sources = Sources(str(folder / "m.keras"), str(folder / "d.npz"))
    workspace = Workspace(folder, Store(folder / "blobs"), Store(folder / "artifacts"), sources)
    fixed: dict[str, Any] = {"environment": Environment({}, "", ""), "limits": LIMITS, "model_content": "m"}
    fixed |= {"data_content": "d", "outputs": OutputSettings(), "class_weights": None, "preprocess": None}
    fixed |= {"custom_objects": None, "seed": 0, "batch_size": 16, "calibration": 32, "loss": None}
    job = InspectJob(metric=metric, **fixed | asked)
    return inspect(job, describe_metric(metric), workspace), workspace, job


@pytest.fixture(scope="module")
def ready(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litetuner.spaces.building.inspect.seconds_per_epoch", lambda *_: 1.0)
        return inspected(folder, model, arrays(kind=np.eye(3)[KIND], age=AGE))


@pytest.fixture
def context(ready: Any) -> Context:
    found, workspace, job = ready
    return make_context(workspace, workspace.inspected(found.inspected), job)


@pytest.fixture
def base(ready: Any) -> Any:
    found, workspace, _ = ready
    return read_model(workspace.blobs.get(found.base))


def quality(model: Any, context: Context) -> tuple[float, float]:
    """Accuracy of the kind and mean squared error of the age on the training data."""
    kind, age = model(feed(model, context.x_train))
    labels = context.y_train
    return float(np.mean(np.argmax(kind, axis=1) == labels["kind"])), float(np.mean((age[:, 0] - labels["age"]) ** 2))


def test_the_losses_are_those_of_the_compiled_model(ready: Any) -> None:
    found, workspace, job = ready
    assert found.model.bridge_refusal is None and found.loss is not None
    kind, age = found.loss.outputs["kind"], found.loss.outputs["age"]
    assert (kind.name, kind.one_hot, kind.weight) == ("categorical_crossentropy", 3, 1.0)
    assert (age.name, age.position, age.weight) == ("mean_squared_error", 1, 0.5)
    assert [found.data.decisions[name].task for name in ("kind", "age")] == ["multiclass", "regression"]
    context = make_context(workspace, workspace.inspected(found.inspected), job)
    by_sample = {row["meta"].tobytes(): label for row, label in zip(context.x_train, context.y_train, strict=True)}
    assert all(by_sample[X["meta"][row].tobytes()]["kind"] == KIND[row] for row in range(160))


def test_the_loss_is_the_one_that_keras_computes(model: Any, context: Context, base: Any) -> None:
    order = [int(np.flatnonzero((X["meta"] == row["meta"]).all(axis=1))[0]) for row in context.x_train[:64]]
    labels = {"kind": np.eye(3)[KIND[order]], "age": AGE[order]}
    expected = model.evaluate({name: x[order] for name, x in X.items()}, labels, verbose=0, return_dict=True)["loss"]
    tf = load()
    y = {name: tf.constant(context.y_train[name][:64]) for name in ("kind", "age")}
    loss: Any = context.loss
    assert float(np.mean(loss(y, base(feed(base, context.x_train[:64]))))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        Finetune(epochs=8, learning_rate=1e-2),
        Prune(sparsity=0.5, epochs=8, learning_rate=1e-2),
        Cluster(count=16, epochs=8, learning_rate=1e-2),
        Qat(epochs=1),
    ],
    ids=lambda step: step.name,
)
def test_all_outputs_are_trained(step: Any, base: Any, context: Context) -> None:
    before = quality(base, context)
    start = base
    if step.name == "qat":  # whose ranges are those of the model that it begins with
        start = Finetune(epochs=8, learning_rate=1e-2).apply(base, context)
    trained = step.apply(start, context)
    after = quality(trained, context)
    assert after[0] > before[0] + 0.2 and after[1] < 0.5 * before[1]
    if step.name == "qat":
        file = Int8().apply(trained, context)
        kind = predict(file, context.x_train[:80], output="kind")
        assert np.mean(kind.argmax(axis=1) == context.y_train["kind"][:80]) > before[0] + 0.2


@pytest.mark.parametrize("importance", ["reconstruction", "taylor"])
def test_channels_of_both_branches_are_removed_and_refitted(importance: str, base: Any, context: Context) -> None:
    narrow = Channels(ratio=0.5, importance=importance).apply(base, context)
    assert [narrow.get_layer(name).units for name in ("look", "both")] == [8, 8]
    assert narrow.get_layer("conv").filters == 8
    assert [tuple(output.shape) for output in narrow.outputs] == [(None, 3), (None, 1)]


def test_a_loop_of_the_users_gets_tuples_in_the_order_of_the_model(context: Context) -> None:
    ((meta, image), (kind, age)) = next(iter(make_dataset(context, 1.0, "none")))
    assert [part.shape for part in (meta, image, kind, age)] == [(16, 5), (16, 6, 6, 2), (16,), (16,)]


def test_it_learns_from_the_baseline(ready: Any) -> None:
    found, workspace, job = ready
    step = Finetune(epochs=1, learning_rate=1e-3, distill=1.0)
    result = train(
        TrainJob(
            environment=job.environment,
            limits=LIMITS,
            inspected=found.inspected,
            seed=0,
            batch_size=16,
            calibration=32,
            prefix=Candidate((step,)),
            parents=(),
        ),
        workspace,
    )
    context = make_context(workspace, workspace.inspected(found.inspected), job)
    tuned, base = (read_model(workspace.blobs.get(name)) for name in (result.checkpoint, found.base))
    for one, other in zip(*(each(feed(each, context.x_train)) for each in (tuned, base)), strict=True):
        assert float(np.abs(one - other).max()) < 0.1  # trained towards what it gives already


def test_the_user_says_losses_and_weights(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.spaces.building.inspect.seconds_per_epoch", lambda *_: 1.0)
    given = arrays(kind=KIND, age=AGE)
    asked = {"loss": "age=mae", "loss_weights": "kind=2"}
    found, _, _ = inspected(tmp_path, model, given, **asked)
    assert found.loss is not None
    assert {name: (part.name, part.weight) for name, part in found.loss.outputs.items()} == {
        "kind": ("categorical_crossentropy", 2.0),
        "age": ("mean_absolute_error", 0.5),
    }
    only, _, _ = inspected(tmp_path, model, arrays(kind=KIND), loss_weights="age=0")
    assert only.loss is not None and list(only.loss.outputs) == ["kind"]
    untrained, _, _ = inspected(tmp_path, model, arrays(kind=KIND))
    assert "the output age has no labels for training. Give y_train:age" in str(untrained.model.bridge_refusal)
    with pytest.raises(ConfigError, match=r"output age: no training loss fits.*sparse_categorical_crossentropy"):
        inspected(tmp_path, model, given, loss="age=sparse_categorical_crossentropy")


def test_lists_by_output_are_checked() -> None:
    names = {"kind": None, "age": None}
    assert by_output("loss", "kind=mine:focal, age=mse", names) == {"kind": "mine:focal", "age": "mse"}
    assert output_weights("age=0.25", [1.0, 0.5], names) == {"kind": 1.0, "age": 0.25}
    for given, reason in (
        ("mse", "several outputs; give one for each: kind=...,age=..."),
        ("knd=mse", "no output 'knd' .did you mean 'kind'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            by_output("loss", given, names)
    for given in ("age=much", "age=-1"):
        with pytest.raises(ConfigError, match="loss-weights"):
            output_weights(given, None, names)
