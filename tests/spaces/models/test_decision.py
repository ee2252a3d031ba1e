"""How outputs are read: from what the user says, the compiled loss, the last activation and the labels, in this order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.models.decision import (
    CLASSIFICATION,
    TASKS,
    CompiledLoss,
    Decision,
    Evidence,
    OutputSettings,
    compiled_loss,
    decide,
)

ONE, MANY = (None, 1), (None, 4)
TWO, ROWS = np.arange(8) % 2, np.eye(4)[np.arange(8) % 4]
SOME = np.array([[1, 0, 1, 0], [0, 0, 0, 0]])


def loss(name: str, threshold: float | None = None, **config: Any) -> CompiledLoss:
    return CompiledLoss(name, name, config, threshold)


@pytest.mark.parametrize(
    ("shape", "activation", "compiled", "y", "said"),
    [
        (
            ONE,
            "linear",
            loss("mean_squared_error"),
            TWO,
            "binary, threshold 0.5, from the compiled loss mean_squared_error",
        ),
        (
            ONE,
            "linear",
            loss("binary_crossentropy", from_logits=True),
            TWO,
            "binary, threshold 0 (logits), from the compiled loss binary_crossentropy of logits",
        ),
        (ONE, "sigmoid", None, TWO, "binary, threshold 0.5, from the last activation sigmoid"),
        (ONE, "linear", loss("hinge"), TWO, "binary, threshold 0, from the compiled loss hinge"),
        (ONE, "sigmoid", loss("f", 0.3), TWO, "binary, threshold 0.3, from the compiled metric BinaryAccuracy"),
        (
            ONE,
            "linear",
            None,
            TWO,
            "binary, threshold 0 (logits), from the last activation linear (no compiled loss is stored; "
            "--threshold 0.5 if it was trained with mse)",
        ),
        (MANY, "softmax", None, TWO, "multiclass, argmax of probabilities, from the last activation softmax"),
        (
            MANY,
            "sigmoid",
            loss("binary_crossentropy"),
            ROWS,
            "multiclass, argmax of probabilities, from the compiled loss binary_crossentropy",
        ),
        (MANY, "linear", loss("my_focal"), TWO, "multiclass, argmax of logits, from the last activation linear"),
        (MANY, "sigmoid", None, SOME, "multilabel, threshold 0.5, from the last activation sigmoid"),
    ],
)
def test_the_decision_and_its_evidence(
    shape: tuple[int | None, ...], activation: str, compiled: CompiledLoss | None, y: np.ndarray, said: str
) -> None:
    found = decide(Evidence("accuracy", CLASSIFICATION, activation, shape, compiled), [y])
    assert found.words == said
    assert Decision.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_one_vs_rest_sigmoids_go_through_no_softmax() -> None:
    sigmoids = Evidence("roc-auc", CLASSIFICATION, "sigmoid", MANY, loss("binary_crossentropy"))
    assert decide(sigmoids, [ROWS]).link == "none"
    of_logits = Evidence("roc-auc", CLASSIFICATION, "linear", MANY, loss("binary_crossentropy", from_logits=True))
    assert decide(of_logits, [ROWS]).link == "sigmoid"
    assert decide(Evidence("roc-auc", CLASSIFICATION, "linear", MANY), [TWO]).link == "softmax"


def test_what_the_user_says_comes_first() -> None:
    compiled = loss("binary_crossentropy", 0.4)
    said = decide(Evidence("accuracy", CLASSIFICATION, "sigmoid", ONE, compiled, OutputSettings(None, 0.7)), [TWO])
    assert (said.threshold, said.evidence) == (0.7, "as --threshold says")
    several = decide(Evidence("accuracy", CLASSIFICATION, "softmax", MANY, None, OutputSettings("multilabel")), [ROWS])
    assert several.task == "multilabel"
    own = Evidence("m:f", TASKS, "softmax", MANY, None, OutputSettings("multiclass"))
    assert decide(own, [ROWS]).task == "multiclass"
    assert decide(Evidence("m:f", TASKS, "softmax", MANY), [ROWS]).task == "raw"
    mse = Evidence("accuracy", CLASSIFICATION, "linear", ONE, None, OutputSettings(None, 0.5))
    assert decide(mse, [TWO]).outputs == "scores"


@pytest.mark.parametrize(
    ("known", "y", "said"),
    [
        (Evidence("mae", ("regression",), "linear", ONE, None, OutputSettings("binary")), TWO, "not of binary"),
        (Evidence("accuracy", CLASSIFICATION, "softmax", MANY, None, OutputSettings("binary")), TWO, "does not fit"),
        (
            Evidence("accuracy", CLASSIFICATION, "softmax", MANY, None, OutputSettings(None, 0.5)),
            TWO,
            "several classes",
        ),
        (Evidence("mean-iou", ("binary", "multiclass"), "sigmoid", MANY), SOME, "the labels are multilabel"),
    ],
)
def test_contradictions_are_usage_errors(known: Evidence, y: np.ndarray, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decide(known, [y])


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"loss": "mse"}, "mean_squared_error"),
        ({"loss": {"module": "builtins", "class_name": "function", "config": "focal"}}, "focal"),
        ({"loss": {"a": "mae", "head": "kld"}}, "kl_divergence"),
        ({"loss": ["mae", {"class_name": "Huber", "config": {"delta": 2.0}}]}, "huber"),
        ({"loss": {"class_name": "KLDivergence", "config": {}}}, "kl_divergence"),
        ({"loss": {"class_name": "__lambda__", "config": {"value": []}}}, "__lambda__"),
        ({"loss": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_stored_losses_are_read_as_data(settings: dict[str, Any] | None, name: str | None) -> None:
    found = compiled_loss(settings, "head", 1)
    assert (None if found is None else found.name) == name


@pytest.mark.parametrize("form", ["by name", "by place"])
def test_the_threshold_of_one_output_is_not_that_of_another(form: str) -> None:
    strict = [{"class_name": "BinaryAccuracy", "config": {"threshold": 0.9}}]
    metrics: Any = {"fault": strict, "head": ["accuracy"]} if form == "by name" else [strict, ["accuracy"]]
    settings = {"loss": "binary_crossentropy", "metrics": metrics}
    found = [compiled_loss(settings, name, index) for index, name in enumerate(("fault", "head"))]
    assert [None if each is None else each.threshold for each in found] == [0.9, None]


@pytest.mark.parametrize("suffix", [".keras", ".h5", "function"])
def test_a_model_keeps_its_loss_and_threshold(suffix: str, tmp_path: Path) -> None:
    from litetuner.spaces.models.loading.compile_settings import settings_of, stored_settings
    from litetuner.spaces.tf import load

    load()
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    settings = settings_of(model)
    assert compiled_loss(settings, "", 0) is None, "not compiled"
    metric = keras.metrics.BinaryAccuracy(threshold=0.3)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), metrics=[metric])
    if suffix == "function":
        settings = settings_of(model)
    else:
        model.save(tmp_path / f"m{suffix}")
        settings = stored_settings(tmp_path / f"m{suffix}")
    found = compiled_loss(settings, "", 0)
    assert found is not None and found.name == "binary_crossentropy" and found.from_logits
    assert found.config["label_smoothing"] == 0.1 and found.threshold == pytest.approx(0.3)
