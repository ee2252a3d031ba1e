"""The baseline is questioned: guessing, swapped or renumbered classes, scaling that was forgotten, constant outputs."""

from __future__ import annotations

import numpy as np
import pytest

from litetuner.spaces.models.decision import Decision
from litetuner.spaces.models.doubts import find_doubts
from tests.decisions import BINARY, NUMBERS, PROBABILITIES

RNG = np.random.default_rng(0)
RAW = Decision("raw", None, "scores", "none", "for a test")
X, WEIGHTS = RNG.normal(size=(400, 5)), RNG.normal(size=(5, 3))


def network(x: np.ndarray) -> np.ndarray:
    """Class scores of standardized samples."""
    return x @ WEIGHTS


Y = network(X).argmax(axis=1)


def said(outputs: np.ndarray, y: np.ndarray, decision: Decision, x: np.ndarray = X) -> str:
    return " | ".join(find_doubts(outputs, y, decision, x, network))


def test_a_good_model_is_not_doubted() -> None:
    assert find_doubts(network(X), Y, PROBABILITIES, X, network) == ()
    assert find_doubts(X[:, :1], X[:, 0] + 0.1, NUMBERS, X, network) == ()
    assert find_doubts(network(X), np.array(["a", "b"] * 200), RAW, X, network) == ()


def test_of_many_labels_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = np.where(np.arange(400) < 4, Y, (Y + 1) % 3)
    assert "another order" in said(network(X), wrong, PROBABILITIES)
    monkeypatch.setattr("litetuner.spaces.models.doubts.MOST_VALUES", 12)  # four samples of three outputs
    assert said(network(X), wrong, PROBABILITIES) == ""


def test_constant_outputs() -> None:
    for decision in (PROBABILITIES, RAW):
        assert "the same output for all of 400 samples" in said(np.ones((400, 3)), Y, decision)


def test_a_forgotten_scaler_is_named_with_what_it_would_give() -> None:
    raw = X * [1, 30, 5, 200, 2] + [0, 100, 3, 900, 1]
    text = said(network(raw), Y, PROBABILITIES, raw)
    assert "if they are standardized" in text and "--preprocess" in text, text


@pytest.mark.parametrize(("scale", "words"), [((255, 0), "divided by 255"), ((127.5, 127.5), "[-1, 1]")])
def test_bytes_of_images_that_were_not_scaled(scale: tuple[float, float], words: str) -> None:
    """A network with biases, so that scaling matters, on bytes."""
    images = RNG.random((300, 8, 8, 1)) * (2 if scale[1] else 1) - (1 if scale[1] else 0)
    images += RNG.normal(0, 0.3, (300, 1, 1, 1))
    low = -1 if scale[1] else 0
    images = images.clip(low, 1)
    border = np.median(images.mean(axis=(1, 2, 3)))

    def run(x: np.ndarray) -> np.ndarray:
        means = np.asarray(x, np.float64).mean(axis=(1, 2, 3))
        return 1 / (1 + np.exp(-np.clip(20 * (means - border), -50, 50)))[:, None]

    y = (images.mean(axis=(1, 2, 3)) > border).astype(int)
    given = np.rint(images * scale[0] + scale[1]).astype(np.uint8)
    assert words in " | ".join(find_doubts(run(given), y, BINARY, given, run))


def test_labels_in_another_order() -> None:
    renumbered = np.array([1, 2, 0])[Y]
    assert "in another order: renumbered, the accuracy would be 1.000" in said(network(X), renumbered, PROBABILITIES)
    shuffled = said(network(X), RNG.permutation(Y), PROBABILITIES)
    assert "renumbered" not in shuffled
    two = (X[:, 0] > 0).astype(int)
    assert "are the labels 0 and 1 swapped" in said(1 / (1 + np.exp(X[:, :1])), two, BINARY)


def test_a_regression_worse_than_the_mean() -> None:
    assert "predicting the mean would be as good" in said(X[:, :1] + 9, X[:, 0], NUMBERS)
    assert said(X[:, :1], X[:, 0], NUMBERS) == ""


def test_several_outputs_are_not_questioned() -> None:
    packed = np.zeros(5, [("a", "f4"), ("b", "f4")])
    assert find_doubts(packed, packed, None, X, network) == ()
