"""Data: every source, every split, every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.data.calibration import calibration_samples
from litetuner.spaces.data.preparation import DataRequest, open_split, prepare_data
from litetuner.spaces.errors import ConfigError, DataError, RunError
from litetuner.spaces.info import DataInfo, TensorInfo
from litetuner.spaces.store import Store
from tests.decisions import classes_known, numbers_known

SHAPE = (None, 4, 4, 1)


def images(n: int, seed: int = 0, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def labels(n: int, classes: int = 3) -> np.ndarray:
    return np.arange(n) % classes


def prepare(source: Any, folder: Path, **changed: Any) -> DataInfo:
    inputs = (TensorInfo("image", changed.pop("input_shape", SHAPE), changed.pop("input_dtype", "float32")),)
    outputs = (TensorInfo("class", changed.pop("output_shape", (None, 3)), "float32"),)
    known = numbers_known if changed.pop("task", "classification") == "regression" else classes_known
    settings: dict[str, Any] = {"seed": 0, "preprocess": None, "known": known(outputs[0].shape)}
    request = DataRequest(source=str(source), inputs=inputs, outputs=outputs, **settings | changed)
    return prepare_data(request, Store(folder / "data"))


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "d.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module of the user into the working folder and returns its name."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(source: str) -> str:
        name = f"user_data_{len(names)}_{os.getpid()}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + textwrap.dedent(source))
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in names:
        sys.modules.pop(name, None)


def refused(source: Any, folder: Path, *parts: str, **changed: Any) -> None:
    with pytest.raises(DataError) as caught:
        prepare(source, folder, **changed)
    for part in parts:
        assert part in str(caught.value)
    assert not list((folder / "data").glob(".*")), "temporary files stay behind"


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


# --- types, shapes, labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "model", "stored"),
    [
        ("uint8", "float32", "uint8"),
        ("float16", "float32", "float16"),
        ("float64", "float32", "float32"),
        ("int64", "float32", "float32"),
        ("bool", "float32", "uint8"),
        ("int64", "int32", "int32"),
        ("uint8", "int32", "uint8"),
        (">f4", "float32", "float32"),
    ],
)
def test_types_are_kept_where_the_model_takes_them(tmp_path: Path, given: str, model: str, stored: str) -> None:
    x = (images(60) % 2).astype(given)
    facts = prepare(npz(tmp_path, x_train=x, y_train=labels(60)), tmp_path, input_dtype=model)
    found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[0]
    assert facts.x_dtype == stored and found.dtype.isnative and set(np.unique(found)) == {0, 1}


def test_integer_models_refuse_floats_and_what_does_not_fit(tmp_path: Path) -> None:
    refused(npz(tmp_path, x_train=images(60) / 2, y_train=labels(60)), tmp_path, "takes int32", input_dtype="int32")
    large = images(60).astype(np.int64) + 2**40
    refused(npz(tmp_path, x_train=large, y_train=labels(60)), tmp_path, "beyond int32", input_dtype="int32")


def test_a_missing_channel_axis_is_added_and_noted(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60, shape=(4, 4)), y_train=labels(60)), tmp_path)
    assert facts.x_shape == (4, 4, 1) and any("channel axis" in note for note in facts.notes)


@pytest.mark.parametrize(
    ("shape", "model", "hint"),
    [
        ((3, 4, 4), (None, 4, 4, 3), "moveaxis"),
        ((4, 4), (None, 4, 4, 3), "repeat"),
        ((4, 4, 1), (None, 4, 4, 3), "repeat"),
        ((4, 4, 1), (None, 4, 4), "x[..., 0]"),
        ((16,), (None, 4, 4, 1), "reshape(len(x), 4, 4, 1)"),
        ((5, 5, 1), (None, 4, 4, 1), "Resize"),
        ((4, 1), (None, 4, 4, 1), "x[None]"),
        ((7,), (None, 4, 4, 1), "--preprocess"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_a_way_out(
    tmp_path: Path, shape: tuple[int, ...], model: tuple[int | None, ...], hint: str
) -> None:
    source = npz(tmp_path, x_train=images(60, shape=shape), y_train=labels(60))
    refused(source, tmp_path, str(shape), str(model[1:]), hint, input_shape=model)


def test_free_sizes_are_taken_but_must_agree_between_splits(tmp_path: Path) -> None:
    free = (None, None, None, 1)
    source = npz(tmp_path, x_train=images(60, shape=(6, 5, 1)), y_train=labels(60))
    assert prepare(source, tmp_path, input_shape=free).x_shape == (6, 5, 1)
    other = npz(tmp_path, x_train=images(60), y_train=labels(60), x_test=images(6, shape=(5, 5, 1)), y_test=labels(6))
    refused(other, tmp_path, "different shapes", input_shape=free)


@pytest.mark.parametrize("form", ["numbers", "column", "one-hot", "floats", "bytes"])
def test_class_labels_in_any_form_become_numbers(tmp_path: Path, form: str) -> None:
    y = labels(60)
    given = {
        "numbers": y,
        "column": y[:, None],
        "one-hot": np.eye(3)[y],
        "floats": y.astype(float),
        "bytes": y.astype("u1"),
    }
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=given[form]), tmp_path)
    found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[1]
    assert found.dtype == np.int64 and found.ndim == 1 and sorted(set(found)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("y", "parts"),
    [
        (labels(60) + 1, ("from 1 to 3", "subtract 1", "y_train[2] = 3")),
        (labels(60) - 1, ("from -1 to 1",)),
        (np.array(["cat", "dog"] * 30), ("'cat'", "class numbers")),
        (labels(60) + 0.5, ("y_train[0] is 0.5", "--metric mae")),
        (np.full((60, 3), 1 / 3), ("not one-hot",)),
        (np.eye(4)[labels(60)], ("4 columns", "3 classes")),
        (np.zeros((60, 2, 2)), ("(60, 2, 2)",)),
        (np.where(np.arange(60) == 7, np.nan, 0.0), ("NaN", "y_train[7]")),
    ],
)
def test_class_labels_that_cannot_be_are_refused(tmp_path: Path, y: np.ndarray, parts: tuple[str, ...]) -> None:
    refused(npz(tmp_path, x_train=images(60), y_train=y), tmp_path, *parts)


def test_binary_and_regression_labels(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=labels(60, 2)), tmp_path, output_shape=(None, 1))
    assert facts.classes == 2
    for y, output, shape in (
        (np.linspace(0, 1, 60), (None, 1), ()),
        (np.zeros((60, 1)), (None, 1), ()),
        (np.zeros((60, 2)), (None, 2), (2,)),
    ):
        source = npz(tmp_path, x_train=images(60), y_train=y)
        facts = prepare(source, tmp_path, output_shape=output, task="regression")
        found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[1]
        assert facts.classes is None and found.dtype == np.float32 and found.shape[1:] == shape
    refused(source, tmp_path, "the model gives (3,)", task="regression")
    refused(source, tmp_path, "class labels are numbers (n, 4, 4)", "--metric mae", output_shape=(None, 4, 4, 1))


def test_masks_are_stored_as_class_numbers_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.spaces.data.arrays.CHUNK_BYTES", 64)  # four masks
    masks = np.random.default_rng(1).integers(0, 2, (30, 4, 4), np.uint8)
    source = npz(tmp_path, x_train=images(30), y_train=masks, x_search=images(9, 1), y_search=masks[:9])
    info = prepare(source, tmp_path, output_shape=(None, 4, 4, 3))
    x, y = open_split(Store(tmp_path / "data"), info.arrays, "search")
    place = {sample.tobytes(): number for number, sample in enumerate(images(9, 1))}
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, masks[[place[np.asarray(sample, np.uint8).tobytes()] for sample in x]])
    assert any("the train split has no sample of 1 of the 3 classes (2)" in note for note in info.notes)


def test_absent_classes_are_noted(tmp_path: Path) -> None:
    given = {"x_train": images(60), "y_train": labels(60), "x_search": images(4, 1), "y_search": np.array([0, 0, 1, 1])}
    assert any(
        "search split has no sample of 1 of the 3" in note for note in prepare(npz(tmp_path, **given), tmp_path).notes
    )


def test_nan_and_infinity_are_counted_and_located(tmp_path: Path) -> None:
    x = images(60).astype(np.float32)
    x[17, 0, 0] = np.nan
    x[20, 0, 0] = np.inf
    given = {"x_train": images(60), "y_train": labels(60), "x_search": x, "y_search": labels(60)}
    refused(npz(tmp_path, **given), tmp_path, "2 values", "2 samples", "x_search[17]")
    refused(npz(tmp_path, x_train=images(60) + 1e300, y_train=labels(60)), tmp_path, "infinite")  # beyond float32


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


# --- preprocessing and functions ------------------------------------------------------------------------------------


def test_preprocessing_is_done_in_batches_for_every_split(tmp_path: Path, module: Any) -> None:
    name = module("def scale(x):\n    assert len(x) <= 256\n    return x[..., None] / 255.0\n")
    source = npz(tmp_path, x_train=images(700, shape=(4, 4)), y_train=labels(700))
    facts = prepare(source, tmp_path, preprocess=f"{name}:scale")
    assert facts.x_dtype == "float32" and facts.x_shape == (4, 4, 1)
    for split in facts.counts:
        assert 0.9 < open_split(Store(tmp_path / "data"), facts.arrays, split)[0].max() <= 1.0


def test_what_the_users_functions_print_stays_off_standard_output(tmp_path: Path, module: Any) -> None:
    name = module("def f(x):\n    print('noise')\n    return x\n")
    source = npz(tmp_path, x_train=images(60), y_train=labels(60))
    inputs, outputs = (TensorInfo("image", SHAPE, "float32"),), (TensorInfo("class", (None, 3), "float32"),)
    request = DataRequest(str(source), 0, f"{name}:f", classes_known(outputs[0].shape), inputs, outputs)
    code = (
        "from pathlib import Path\n"
        "from litetuner.spaces.data.preparation import DataRequest, prepare_data\n"
        "from litetuner.spaces.info import TensorInfo\n"
        "from litetuner.spaces.models.decision import Evidence, OutputSettings\n"
        "from litetuner.spaces.store import Store\n"
        f"prepare_data({request!r}, Store(Path('data')))\nprint('result')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "result\n" and "noise" in done.stderr


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return None", "nothing"),
        ("return x.mean()", "shape ()"),
        ("return x[:-1]", "one row for each sample"),
        ("return x / x.mean()", "batch is another"),
        ("return x + np.random.default_rng().normal(size=x.shape)", "random"),
        ("raise RuntimeError('oh')", "RuntimeError: oh"),
        ("return x.reshape(len(x), -1)", "samples of shape (16,)"),
        ("return np.log(x * 0.0 - 1)", "after --preprocess"),
    ],
)
def test_preprocessing_that_cannot_be_used_is_refused(tmp_path: Path, module: Any, body: str, part: str) -> None:
    name = module(f"def f(x):\n    with np.errstate(all='ignore'):\n        {body}\n")
    source = npz(tmp_path, x_train=images(60), y_train=labels(60))
    refused(source, tmp_path, part, preprocess=f"{name}:f")


def test_a_missing_function_is_a_config_error(tmp_path: Path, module: Any) -> None:
    name = module("def scale(x): return x\n")
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        prepare(npz(tmp_path, x_train=images(60), y_train=labels(60)), tmp_path, preprocess=f"{name}:scal")


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
