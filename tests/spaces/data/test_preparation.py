"""Data: every source, every split, every refusal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.calibration import calibration_samples
from litetuner.spaces.data.preparation import open_split
from litetuner.spaces.errors import DataError, RunError
from litetuner.spaces.info import DataInfo
from litetuner.spaces.store import Store
from tests.spaces.data.prepared import images, labels, npz, prepare, refused

# --- splits ---------------------------------------------------------------------------------------------------------


def test_all_splits_given_are_kept_with_their_samples(tmp_path: Path) -> None:
    arrays = {f"x_{s}": images(n, n) for s, n in (("train", 150), ("search", 9), ("test", 12))}
    source = npz(tmp_path, **arrays, y_train=labels(150), y_search=labels(9), y_test=labels(12))
    facts = prepare(source, tmp_path)
    assert facts.counts == {"train": 150, "search": 9, "test": 12}
    assert (facts.x_shape, facts.x_dtype, facts.classes, facts.notes) == ((4, 4, 1), "uint8", 3, ())
    for split in ("train", "search", "test"):
        x, y = open_split(Store(tmp_path / "data"), facts.arrays, split)
        given = {sample.tobytes(): label for sample, label in zip(arrays[f"x_{split}"], labels(len(x)), strict=True)}
        assert {sample.tobytes(): int(label) for sample, label in zip(x, y, strict=True)} == given
        assert isinstance(x, np.memmap) and not x.flags.writeable and y.dtype == np.int64
    assert DataInfo.from_json(facts.to_json()) == facts


def test_missing_splits_are_cut_stratified_disjoint_and_by_seed(tmp_path: Path) -> None:
    y = np.repeat([0, 1, 2], [700, 200, 100])
    source = npz(tmp_path, x_train=np.arange(16000, dtype=np.float32).reshape(1000, 4, 4, 1), y_train=y)
    facts = prepare(source, tmp_path)
    assert facts.counts == {"train": 800, "search": 100, "test": 100}
    first = {
        split: set(open_split(Store(tmp_path / "data"), facts.arrays, split)[0][:, 0, 0, 0]) for split in facts.counts
    }
    assert len(set.union(*first.values())) == 1000
    for split in ("search", "test"):
        assert np.bincount(open_split(Store(tmp_path / "data"), facts.arrays, split)[1]).tolist() == [70, 20, 10]
    assert sum("are used for it" in note for note in facts.notes) == 2
    assert prepare(source, tmp_path).sha256 == facts.sha256
    assert prepare(source, tmp_path, seed=1).sha256 != facts.sha256


def test_sorted_data_are_shuffled_within_a_split(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(900), y_train=np.repeat([0, 1, 2], 300)), tmp_path)
    for split in facts.counts:
        assert len(set(open_split(Store(tmp_path / "data"), facts.arrays, split)[1][:30])) == 3


def test_without_train_samples_train_is_empty_and_calibration_refuses(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_search=images(40), y_search=labels(40)), tmp_path)
    assert facts.counts == {"train": 0, "search": 20, "test": 20}
    x, y = open_split(Store(tmp_path / "data"), facts.arrays, "train")
    assert x.shape == (0, 4, 4, 1) and y.shape == (0,)
    assert any("no train samples" in note for note in facts.notes)
    with pytest.raises(DataError, match="x_train"):
        calibration_samples(x, y, 10, 0)


def test_train_samples_without_labels_calibrate_and_train_nothing(tmp_path: Path) -> None:
    given = {"x_train": images(400), "x_search": images(40, 1), "y_search": labels(40)}
    facts = prepare(npz(tmp_path, **given), tmp_path)
    assert facts.counts == {"train": 400, "search": 20, "test": 20} and not facts.labeled
    assert any("train samples have no labels" in note for note in facts.notes)
    assert not any("train split has no sample" in note for note in facts.notes)
    found = {
        sample.tobytes()
        for sample in calibration_samples(*open_split(Store(tmp_path / "data"), facts.arrays, "train"), 50, 0)
    }
    assert len(found) == 50 and found <= {sample.tobytes() for sample in given["x_train"]}
    refused(npz(tmp_path, x_train=images(40)), tmp_path, "no y_train", "Give x_search and y_search")
    refused(npz(tmp_path, **given, x_test=images(9)), tmp_path, "x_test but no y_test")
    refused(npz(tmp_path, **given, y_test=labels(9)), tmp_path, "y_test but no x_test")


def test_few_samples_of_a_class_are_named(tmp_path: Path) -> None:
    y = np.r_[np.zeros(60), np.ones(60), np.full(49, 2)]
    splits = {"x_search": images(9, 1), "y_search": labels(9), "x_test": images(9, 2), "y_test": labels(9)}
    notes = prepare(npz(tmp_path, x_train=images(169), y_train=y, **splits), tmp_path).notes
    assert any("only 49 samples of class 2: training may overfit" in note for note in notes)
    notes = prepare(npz(tmp_path, x_train=images(180), y_train=labels(180), **splits), tmp_path).notes
    assert not any("overfit" in note for note in notes)


def test_few_samples_give_small_splits_and_too_few_are_refused(tmp_path: Path) -> None:
    assert prepare(npz(tmp_path, x_train=images(40), y_train=labels(40)), tmp_path).counts["search"] == 10
    refused(npz(tmp_path, x_train=images(2), y_train=labels(2)), tmp_path, "too few samples")
    refused(npz(tmp_path, x_test=images(20), y_test=labels(20)), tmp_path, "neither train nor search", "x_search")


def test_shared_samples_and_unequal_ranges_are_noted(tmp_path: Path) -> None:
    x = images(60)
    notes = prepare(npz(tmp_path, x_train=x, y_train=labels(60), x_test=x[:6], y_test=labels(6)), tmp_path).notes
    assert any("of test are also in train" in note for note in notes)
    scaled = {
        "x_train": images(60),
        "y_train": labels(60),
        "x_test": images(9, 1) / np.float32(255),
        "y_test": labels(9),
    }
    facts = prepare(npz(tmp_path, **scaled), tmp_path)
    assert any("scaled" in note for note in facts.notes) and facts.x_dtype == "float32"


def test_an_interrupted_preparation_keeps_the_files_before(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=labels(60)), tmp_path)
    refused(npz(tmp_path, x_train=np.full((60, 4, 4, 1), np.nan), y_train=labels(60)), tmp_path, "NaN")
    assert all(Store(tmp_path / "data").has(blob) for blob in facts.arrays.values())


# --- npz ------------------------------------------------------------------------------------------------------------


def test_npz_refusals(tmp_path: Path) -> None:
    good = npz(tmp_path, x_train=images(60), y_train=labels(60))
    refused(tmp_path / "dd.npz", tmp_path, "no such file", "'d.npz'")
    (tmp_path / "text.npz").write_text("hello")
    refused(tmp_path / "text.npz", tmp_path, "is not an .npz")
    (tmp_path / "torn.npz").write_bytes(good.read_bytes()[:-500])
    refused(tmp_path / "torn.npz", tmp_path, "torn.npz")
    refused(npz(tmp_path, x_trian=images(9), y_train=labels(9)), tmp_path, "'x_trian' (did you mean 'x_train'?)")
    refused(npz(tmp_path, x_train=images(9), y_train=labels(9), x_val=images(9)), tmp_path, "did you mean 'x_search'?")
    refused(npz(tmp_path, pictures=images(9)), tmp_path, "'pictures'", "Known keys: x_train")
    refused(npz(tmp_path, x_train=images(9)), tmp_path, "no y_train")
    refused(npz(tmp_path, x_train=images(9), y_train=labels(8)), tmp_path, "9 samples", "8 labels")
    refused(npz(tmp_path, x_train=images(0), y_train=labels(0)), tmp_path, "train split is empty")
    refused(npz(tmp_path, x_train=images(9), y_train=np.array(3)), tmp_path, "single value")


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path) -> None:
    class Mine:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    refused(npz(tmp_path, x_train=np.array([Mine()], dtype=object), y_train=labels(1)), tmp_path, "x_train", "refused")
    assert not (tmp_path / "ran").exists()


def test_other_keys_are_noted(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=labels(60), speakers=labels(60)), tmp_path)
    assert any("speakers" in note for note in facts.notes)


# --- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_comes_from_train_alone_balanced_and_by_seed(tmp_path: Path) -> None:
    x = np.arange(9600, dtype=np.float32).reshape(600, 4, 4, 1)
    y = np.repeat([0, 1, 2], [580, 10, 10])
    facts = prepare(npz(tmp_path, x_train=x, y_train=y), tmp_path)
    train = open_split(Store(tmp_path / "data"), facts.arrays, "train")
    found = calibration_samples(*train, 12, 0)
    assert found.shape == (12, 4, 4, 1) and set(found[:, 0, 0, 0]) <= set(train[0][:, 0, 0, 0])
    assert np.bincount(y[(found[:, 0, 0, 0] / 16).astype(int)]).tolist() == [4, 4, 4]
    assert (calibration_samples(*train, 12, 0) == found).all()
    assert not np.array_equal(calibration_samples(*train, 12, 1), found)
    assert len(calibration_samples(*train, 10_000, 0)) == facts.counts["train"]


def test_arrays_that_are_missing_or_altered_are_refused(tmp_path: Path) -> None:
    facts, store = prepare(npz(tmp_path, x_train=images(40), y_train=labels(40)), tmp_path), Store(tmp_path / "data")
    with pytest.raises(ValueError, match="no split"):
        open_split(store, facts.arrays, "validation")
    altered, missing = store.path(facts.arrays["y_train"]), store.path(facts.arrays["x_search"])
    content = bytearray(altered.read_bytes())
    content[-1] ^= 1
    altered.write_bytes(content)
    missing.unlink()
    for split, what in (("train", "was altered"), ("search", "is missing")):
        with pytest.raises(RunError, match=f"{what}.*Repeat the search command"):
            open_split(store, facts.arrays, split)
    assert len(open_split(store, facts.arrays, "test")[0]) == facts.counts["test"]
