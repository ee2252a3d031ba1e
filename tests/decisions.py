"""How outputs are read, for tests that inspect no model."""

from __future__ import annotations

from litetuner.spaces.models.decision import CLASSIFICATION, Decision, Evidence

PROBABILITIES = Decision("multiclass", None, "probabilities", "softmax", "for a test")
LOGITS = Decision("multiclass", None, "logits", "softmax", "for a test")
BINARY = Decision("binary", 0.5, "probabilities", "sigmoid", "for a test")
BINARY_LOGITS = Decision("binary", 0.0, "logits", "sigmoid", "for a test")
SEVERAL = Decision("multilabel", 0.5, "probabilities", "sigmoid", "for a test")
NUMBERS = Decision("regression", None, "scores", "none", "for a test")


def classes_known(output_shape: tuple[int | None, ...], activation: str = "softmax") -> Evidence:
    """What is known of a classifier before its labels are seen."""
    return Evidence("accuracy", CLASSIFICATION, activation, output_shape)


def numbers_known(output_shape: tuple[int | None, ...]) -> Evidence:
    return Evidence("mae", ("regression",), "linear", output_shape)
