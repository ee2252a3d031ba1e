"""The user's data as three splits of plain arrays on disk, checked before any compute is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from litetuner.spaces.data.arrays import SPLITS, ArrayWriter, open_split
from litetuner.spaces.data.labels import absent_classes, classes_of, prepare_labels
from litetuner.spaces.data.named_inputs import labels_of, samples_of
from litetuner.spaces.data.samples import SamplePreparer
from litetuner.spaces.data.sources import read_source
from litetuner.spaces.data.splits import Cut, cut_missing
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import DataInfo
from litetuner.spaces.models.signature import Port
from litetuner.spaces.named_arrays import all_finite, pack, row_type
from litetuner.spaces.user_function import load_function

__all__ = ["SPLITS", "calibration_samples", "open_split", "prepare_data"]


def prepare_data(
    source: str,
    folder: Path,
    *,
    seed: int,
    preprocess: str | None,
    input_shape: tuple[int | None, ...],
    input_dtype: str,
    output_shape: tuple[int | None, ...],
    task: Literal["classification", "regression"],
    inputs: Sequence[Port] = (),
    outputs: Sequence[Port] = (),
    output: str | None = None,
) -> DataInfo:
    """Read ``source``, cut the splits that it lacks, check all, and write ``<folder>/{x,y}_{train,search,test}.npy``.

    ``source`` is an ``.npz`` with ``x_train, y_train`` and, where there are, ``x_search, y_search, x_test, y_test``; a folder
    of class folders of images; or ``module:function`` that returns arrays or a ``tf.data.Dataset`` (see ``read_source``).
    ``inputs`` and ``outputs`` are the model's where it has several: then ``x_train`` is ``x_train:<input>`` for each, stored as
    one structured array. ``output`` names the one that is scored, whose labels are ``y_train`` or ``y_train:<output>``; with
    several outputs and none named, labels of all are stored, as they are.
    ``preprocess`` is the user's ``module:function(x) -> x``: it gets batches (b, *sample) of every split and returns batches
    (b, *sample of the model). ``input_shape`` and ``output_shape`` are the model's, with the batch axis.

    Samples keep the user's type where it has at most 32 bits and the model can take it (8-bit images stay 8-bit and are
    cast when used). Labels are stored as int64 class numbers (n,), or as float32 (n,) or (n, k) for regression.
    A missing search or test split is cut from train by ``seed``, a tenth each, the same share of every class. Without train
    samples the train split is empty, and what needs training data cannot be had. What was done is said in ``notes``.

    Raises ``DataError`` when the data cannot be read or do not fit the model, with what to do; ``ConfigError`` when a
    function that is named does not exist.
    """
    several = len(inputs) > 1
    if several and preprocess is not None:
        raise DataError(
            "--preprocess takes models with one input. Give --data module:function that returns what the model expects."
        )
    ports = tuple(inputs) if several else (Port("", tuple(input_shape), input_dtype),)
    whole = len(outputs) > 1 and output is None
    stratify = task == "classification" and not whole
    classes = classes_of(output_shape) if stratify else None
    raw = read_source(source, tuple(input_shape), {port.name: port.shape for port in inputs})
    if raw.class_names is not None and classes is None:
        raise DataError(
            f"{source}: class folders give classes, the metric is of a regression. Choose --metric accuracy."
        )
    if raw.class_names is not None and len(raw.class_names) != classes:
        raise DataError(
            f"{source} has {len(raw.class_names)} classes ({', '.join(raw.class_names[:5])}...), the model has {classes}. "
            "They must be the same, as classes are numbered in the order of their names."
        )
    names = [port.name for port in inputs]
    xs = {split: samples_of(source, split, x, names) for split, (x, _) in raw.splits.items()}
    labels = {}
    for split, (_, given) in raw.splits.items():
        y = labels_of(source, split, given, [port.name for port in outputs], output)
        for name, part in xs[split].items():
            if len(part) != len(y):
                raise DataError(
                    f"{source}: x_{split}{':' + name if name else ''} has {len(part)} samples, y_{split} has {len(y)} labels"
                )
        if len(y) == 0:
            raise DataError(f"{source}: the {split} split is empty. Fill it, or leave x_{split} and y_{split} out.")
        labels[split] = y if whole else prepare_labels(f"y_{split}", y, task, tuple(output_shape))
    cuts, notes = cut_missing(labels, seed, stratify and all(y.ndim == 1 for y in labels.values()))

    function = None if preprocess is None else load_function(preprocess, "--preprocess")
    preparers = {port.name: SamplePreparer(port.shape, port.dtype, function, preprocess) for port in ports}
    for name, preparer in preparers.items():
        preparer.settle({_key(split, name): x[name] for split, x in xs.items()})
    first = next(iter(preparers.values()))
    dtype = row_type({name: (item.dtype, item.shape) for name, item in preparers.items()}) if several else first.dtype
    writer = ArrayWriter(folder)
    for split in SPLITS:
        cut = cuts[split]
        y = labels[cut.given][cut.rows]
        columns = {
            name: item.batches(split, xs[cut.given][name], Cut(_key(cut.given, name), cut.rows))
            for name, item in preparers.items()
        }
        rows = _rows(columns) if several else columns[""]
        writer.write(f"x_{split}", (len(y), *(() if several else first.shape)), dtype, rows)
        writer.write(f"y_{split}", y.shape, y.dtype, [y])
        if classes is not None:
            notes += absent_classes(split, y, classes)
    findings = (
        [f"{name}: {note}" for name, item in preparers.items() for note in item.notes] if several else first.findings()
    )
    return DataInfo(
        sha256=writer.sha256,
        folder=str(folder),
        counts={split: len(cuts[split].rows) for split in SPLITS},
        x_shape=first.shape,
        x_dtype=first.dtype.name,
        classes=classes,
        class_names=raw.class_names,
        notes=(*raw.notes, *notes, *findings),
    )


def _key(split: str, name: str) -> str:
    """What a split of an input is called: ``train``, or ``train:left`` where there are several."""
    return f"{split}:{name}" if name else split


def _rows(columns: Mapping[str, Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Batches of several inputs as batches of rows."""
    for batches in zip(*columns.values(), strict=True):
        yield pack(dict(zip(columns, batches, strict=True)))


def calibration_samples(folder: Path | str, count: int, seed: int) -> np.ndarray:
    """Real inputs (m, *sample) for calibration, m at most ``count``, drawn by ``seed`` from the train split alone.

    Classes take turns, so that each is seen however rare. The type is the stored one; cast it as for any other input.
    Raises ``DataError`` when there are no train samples, or some are not finite: one NaN would crash the runtime later.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    x, y = open_split(folder, "train")
    if len(x) == 0:
        raise DataError(
            "integer quantization is calibrated on train samples, and there are none: search and test samples may not be used. "
            "Give x_train and y_train (some hundreds are enough), or use techniques without calibration (float16, dynamic range)."
        )
    order = np.random.default_rng(seed).permutation(len(x))
    if y.dtype.kind == "i" and y.ndim == 1:
        _, classes = np.unique(y[order], return_inverse=True)
        by_class = np.argsort(classes, kind="stable")
        turn = np.empty(len(order), int)  # how many of its class came before
        starts = np.concatenate([[0], np.cumsum(np.bincount(classes))[:-1]])
        turn[by_class] = np.arange(len(order)) - starts[classes[by_class]]
        order = order[np.argsort(turn, kind="stable")]
    samples = np.asarray(x[np.sort(order[:count])])
    if not all_finite(samples):
        raise DataError(
            f"the train samples in {folder} hold NaN or infinity, which they did not when they were prepared. Prepare again."
        )
    return samples
