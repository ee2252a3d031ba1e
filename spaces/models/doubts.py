"""Checks of the baseline before a search: is it better than guessing, and do samples and labels fit the model?"""

from collections.abc import Callable, Iterator

import numpy as np

from litetuner.spaces.models.classes import class_numbers
from litetuner.spaces.models.decision import CLASSIFICATION, Decision

SAMPLES = 300  # number of samples for which other scalings are tested
# Limit of output values; of masks only the first samples are used. Ranking 33 million labels takes too much memory.
MOST_VALUES = 1 << 22
GOOD = 0.85  # the inputs of a model with a higher score are not questioned
GAIN = 0.15  # required gain of accuracy or R2 to suggest another scaling
NEAR = 0.02  # the first scaling within this distance of the best score is suggested
SCALED = "Are the samples scaled as in training? --preprocess module:function(x) applies what is missing"


def find_doubts(
    outputs: np.ndarray,
    y: np.ndarray,
    decision: Decision | None,
    x: np.ndarray,
    run: Callable[[np.ndarray], np.ndarray],
) -> tuple[str, ...]:
    """Doubts about a model, one sentence each with the likely cause; () if there are none.

    ``outputs`` (m, ...) are the model's raw outputs on the first samples of ``x`` (n, *sample), ``y`` (n, ...) are the
    labels. ``run`` computes its outputs on other samples (k, *sample).
    """
    if outputs.dtype.names is not None or len(outputs) < 2:
        return ()
    constant = bool((outputs == outputs[0]).all())
    doubts = [f"the model gives the same output for all of {len(outputs)} samples. {SCALED}; or is it untrained?"]
    if decision is None or decision.task == "raw":
        return tuple(doubts) if constant else ()
    outputs = outputs[: max(2, MOST_VALUES // max(1, outputs[0].size))]
    labels = np.asarray(y[: len(outputs)])
    score = quality(outputs, labels, decision)
    if not constant:
        doubts = list(_guessing(outputs, labels, decision, score))
    if score < GOOD and x.dtype.names is None and x.dtype.kind in "uif":
        doubts = [*_scaling(labels, decision, x, run), *doubts]
    return tuple(doubts)


def quality(outputs: np.ndarray, y: np.ndarray, decision: Decision) -> float:
    """Accuracy over all labels of a classifier; R2 over all outputs of a regression, but at least -1."""
    if decision.task in CLASSIFICATION:
        return float((class_numbers(outputs, decision).ravel() == np.ravel(y)).mean())
    true, found = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (y, outputs))
    spread = np.square(true - true.mean(axis=0)).sum()
    return max(-1.0, float(1 - np.square(true - found).sum() / spread)) if spread > 0 else 0.0


def _guessing(outputs: np.ndarray, y: np.ndarray, decision: Decision, score: float) -> Iterator[str]:
    if decision.task == "regression":
        if score <= 0:
            yield f"R2 is {score:.3g}: predicting the mean would be as good. {SCALED}; or have the labels another unit or order?"
        return
    values, counts = np.unique(y, return_counts=True)
    most = counts.max() / counts.sum()
    if len(values) > 1 and score < most:
        cause = "are labels shuffled, or in another order than the outputs?"
        if decision.task == "multiclass":
            renumbered = _best_order(class_numbers(outputs, decision).ravel(), np.ravel(y))
            if renumbered > max(2 * score, most):
                yield (
                    f"accuracy {score:.3f} is below that of always naming the most frequent label ({most:.3f}): the classes "
                    f"seem to be in another order: renumbered, the accuracy would be {renumbered:.3f}. Give class numbers in "
                    "the order of the model's outputs (labels that are text are numbered in alphabetical order)."
                )
                return
        yield f"accuracy {score:.3f} is below that of always naming the most frequent label ({most:.3f}). {SCALED}; or {cause}"
    if decision.task == "binary" and len(values) == 2:
        auc = _auc(np.ravel(outputs), np.ravel(y) > 0)
        if auc < 0.5:
            yield f"ROC AUC {auc:.3f} is below 0.5: are the labels 0 and 1 swapped?"


def _scaling(
    y: np.ndarray, decision: Decision, x: np.ndarray, run: Callable[[np.ndarray], np.ndarray]
) -> Iterator[str]:
    """The scaling with which the model is clearly better, if there is one."""
    first = np.asarray(x[: min(SAMPLES, len(y))])
    y = y[: len(first)]
    before = quality(run(first), y, decision)
    scalings = _scalings(first.astype(np.float32), integer=x.dtype.kind in "ui")
    found = [(quality(run(scaled), y, decision), words) for words, scaled in scalings]
    best = max((score for score, _ in found), default=before)
    after, words = next((pair for pair in found if pair[0] >= best - NEAR), (before, ""))
    if after >= before + GAIN:
        name = "accuracy" if decision.task in CLASSIFICATION else "R2"
        yield (
            f"{name} is {before:.3f} on the samples as they are, and {after:.3f} if they are {words}. "
            "Give --preprocess module:function(x) that does what was done in training."
        )


def _scalings(x: np.ndarray, *, integer: bool) -> Iterator[tuple[str, np.ndarray]]:
    if x.max() > 2 and x.min() >= 0 and x.max() <= 255:
        yield "divided by 255", x / 255
        yield "scaled to [-1, 1] (x / 127.5 - 1)", x / 127.5 - 1
    axes = tuple(range(x.ndim - 1)) if x.ndim > 2 else (0,)
    if not integer or x.ndim > 2:
        yield "standardized (mean 0, variance 1)", (x - x.mean(axis=axes)) / np.maximum(x.std(axis=axes), 1e-9)


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve, computed from ranks (Mann and Whitney)."""
    from scipy.stats import rankdata

    count = positive.sum()
    return float((rankdata(scores)[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def _best_order(found: np.ndarray, y: np.ndarray) -> float:
    """The accuracy with the best renumbering of the classes."""
    from scipy.optimize import linear_sum_assignment

    size = int(max(found.max(), y.max())) + 1
    table = np.bincount(found * size + y, minlength=size * size).reshape(size, size)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(y))
