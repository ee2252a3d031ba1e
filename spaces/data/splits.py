"""Assign samples to splits."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from litetuner.spaces.data.arrays import SPLITS
from litetuner.spaces.errors import DataError

SHARE = 0.1  # of train, for each missing split
LEAST_SAMPLES = 100  # minimum size of such a split; at most a quarter of a small train split


@dataclasses.dataclass(frozen=True)
class SplitRows:
    """The samples of one split: row numbers in one of the splits that the user gave (``given``)."""

    given: str
    rows: np.ndarray


def complete_splits(
    labels: dict[str, np.ndarray], seed: int, stratify: bool, unlabeled: int = 0
) -> tuple[dict[str, SplitRows], list[str]]:
    """The rows of all three splits, and notes on splits that were created. ``labels`` are those of the given splits.

    Missing splits are drawn from train by ``seed``; with ``stratify`` each gets the same share of every class. Without
    train samples train is empty, and a missing test split is half of search. Every split is shuffled by ``seed``, so
    that its first samples are representative even if the user's data are sorted by class. ``unlabeled`` is the number
    of train samples without labels; no split can be taken from them. Raises ``DataError`` if there are too few samples.
    """
    found = {split: SplitRows(split, np.arange(len(values))) for split, values in labels.items()}
    notes: list[str] = []
    check_given(labels, unlabeled)
    rng = np.random.default_rng(seed)

    def split_off(given: str, split: str, count: int) -> None:
        rows = found[given].rows
        if count < 1 or count >= len(rows):
            raise DataError(
                f"there are too few samples: the {given} split has {len(labels[given])}, not enough to take a {split} split "
                f"from it. Give x_{split} and y_{split}, or more samples."
            )
        taken = _stratified(labels[given][rows], count, rng) if stratify else rng.permutation(len(rows))[:count]
        mask = np.zeros(len(rows), bool)
        mask[taken] = True
        found[split], found[given] = SplitRows(given, rows[mask]), SplitRows(given, rows[~mask])
        how = "the same share of every class" if stratify else "at random"
        notes.append(
            f"no {split} split was given: {count} of the {len(labels[given])} {given} samples are used for it, {how}"
        )

    if "train" not in found:
        if unlabeled:
            notes.append("the train samples have no labels: they calibrate quantization, and nothing is trained")
        else:
            notes.append("no train samples: only techniques that need no training data and no calibration can be used")
        if "test" not in found:
            split_off("search", "test", len(found["search"].rows) // 2)
        found["train"] = SplitRows("train" if unlabeled else "search", np.arange(unlabeled))
    else:
        whole = len(found["train"].rows)
        count = max(round(SHARE * whole), min(LEAST_SAMPLES, whole // 4), 1)
        for split in ("search", "test"):
            if split not in found:
                split_off("train", split, count)
    return {split: SplitRows(found[split].given, rng.permutation(found[split].rows)) for split in SPLITS}, notes


def check_given(labels: Mapping[str, object], unlabeled: int) -> None:
    """Raise ``DataError`` if no search split can be made from the splits in ``labels``.

    ``unlabeled`` is not 0 if the train split has samples without labels.
    """
    if "train" in labels or "search" in labels:
        return
    given = ", ".join(labels) or "nothing"
    if unlabeled:
        raise DataError(
            "there is no y_train, so no search split can be taken from x_train. Give x_search and y_search."
        )
    raise DataError(
        f"the data hold neither train nor search samples, only {given}. Give x_train, y_train or x_search, y_search."
    )


def _stratified(classes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``count`` samples, each class by its share; remaining places go to the largest remainders."""
    _, inverse, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    exact = sizes * (count / len(classes))
    quota = np.floor(exact).astype(int)
    leftover = np.argsort(-(exact - quota), kind="stable")[: count - quota.sum()]
    quota[leftover] += 1
    order = rng.permutation(len(classes))
    order = order[np.argsort(inverse[order], kind="stable")]  # sorted by class, shuffled within each class
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.concatenate([order[start : start + n] for start, n in zip(starts, quota, strict=True)])
