"""Prepare the user's data: three splits of plain arrays on disk, checked before the search computes anything."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from litetuner.spaces.data.arrays import SPLITS, ArrayWriter, chunks, open_split
from litetuner.spaces.data.labels import absent_classes, classes_of, few_samples, prepare_labels
from litetuner.spaces.data.named_arrays import pack, row_type
from litetuner.spaces.data.named_inputs import labels_of, samples_of
from litetuner.spaces.data.output_labels import training_labels
from litetuner.spaces.data.raw import Arrays, RawData, Rows
from litetuner.spaces.data.samples import BATCH_SAMPLES, SamplePreparer
from litetuner.spaces.data.sources.choice import read_source
from litetuner.spaces.data.sources.streams import Streams
from litetuner.spaces.data.splits import SplitRows, complete_splits
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import DataInfo, TensorInfo
from litetuner.spaces.models.decision import Decision, Evidence, decide
from litetuner.spaces.store import Store
from litetuner.spaces.user_function import load_function

__all__ = ["SPLITS", "DataRequest", "open_split", "prepare_data"]


@dataclasses.dataclass(frozen=True)
class DataRequest:
    """The user's data and the model that they are prepared for.

    ``source`` is an ``.npz`` with ``x_train, y_train`` and optionally ``x_search, y_search, x_test, y_test``; a folder
    of class folders of images; or ``module:function`` that returns arrays or a ``tf.data.Dataset`` (see
    ``read_source``). ``preprocess`` is the user's ``module:function(x) -> x``: it gets batches (b, *sample) of every
    split and returns batches (b, *sample of the model). ``inputs`` and ``outputs`` are those of the model. ``scored``
    is the output whose labels are stored; ``None`` stores the labels of all outputs. ``known`` is the evidence that,
    together with the labels, decides how outputs are interpreted. ``resize`` is how images are resized (see
    ``read_images``). ``label`` is the label column of a table. ``trained`` has the evidence for each of several outputs
    whose labels are also stored for training.
    """

    source: str
    seed: int
    preprocess: str | None
    known: Evidence
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    scored: TensorInfo | None = None
    resize: tuple[str, ...] = ("bilinear",)
    label: str | None = None
    trained: Mapping[str, Evidence] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.inputs) > 1 and self.preprocess is not None:
            raise DataError(
                "--preprocess takes models with one input. Give --data module:function that returns what the model expects."
            )

    @property
    def all_outputs(self) -> bool:
        """True if the labels of several outputs are stored unchanged."""
        return len(self.outputs) > 1 and self.scored is None


def prepare_data(request: DataRequest, store: Store, progress: Callable[[str], None] = lambda text: None) -> DataInfo:
    """Read the source, create missing splits, check everything, and store ``{x,y}_{train,search,test}`` as blobs.

    Samples of several inputs are one structured array. They keep the user's type if it has at most 32 bits and the model
    can take it (8-bit images stay 8-bit). Labels have the format of the task (``prepare_labels``); weights and groups of
    samples are stored, too. A missing search or test split is drawn from train by ``seed``: a tenth each, the same share
    of every class. ``notes`` describe what was done. Raises ``DataError`` with advice, ``ConfigError`` for a function
    that does not exist. ``progress`` is called with a text while a long source is read.
    """
    streams = Streams(store.folder, progress)
    raw = read_source(request.source, request.inputs, resize=request.resize, label=request.label, streams=streams)
    source, names = request.source, [item.name for item in request.inputs]
    samples = {split: samples_of(source, split, x, names) for split, (x, _) in raw.splits.items()}
    given = {
        split: _given_labels(request, split, samples[split], y) for split, (_, y) in raw.splits.items() if y is not None
    }
    unlabeled = 0 if "train" in given or "train" not in samples else len(next(iter(samples["train"].values())))
    decision = None if request.all_outputs else decide(request.known, given.values())
    classes = classes_of(request.known.output_shape) if decision and decision.task in ("binary", "multiclass") else None
    _check_class_folders(request, raw, decision, classes)
    labels = given if decision is None else _prepared(given, decision.task, request.known.output_shape)
    stratify = decision is not None and all(y.ndim == 1 and y.dtype.kind in "iuU" for y in labels.values())
    rows, notes = complete_splits(labels, request.seed, stratify, unlabeled)
    counts = {split: len(y) for split, y in labels.items()}
    labels = labels | ({"train": np.empty((unlabeled, 0), np.float32)} if unlabeled else {})
    preparers = _preparers(request, samples)
    writer = ArrayWriter(store)
    for split in SPLITS:
        y, chosen = labels[rows[split].given], rows[split].rows
        _write_samples(writer, split, rows[split], samples, preparers)
        _write_labels(writer, split, y, chosen, classes)
        notes += [] if unlabeled and split == "train" else _label_notes(split, y, chosen, classes)
    decisions = _write_training_labels(request, raw, decision, rows, writer, notes)
    extras = _write_extras(writer, request.source, raw.extras, rows, counts)
    first = next(iter(preparers.values()))
    return DataInfo(
        sha256=writer.sha256,
        arrays=writer.arrays,
        counts={split: len(rows[split].rows) for split in SPLITS},
        x_shape=first.shape,
        x_dtype=first.dtype.name,
        classes=classes,
        class_names=raw.class_names,
        notes=(*raw.notes, *notes, *_findings(preparers)),
        labeled=not unlabeled,
        extras=extras,
        decision=decision,
        decisions=decisions,
    )


def _write_labels(writer: ArrayWriter, split: str, y: np.ndarray, rows: np.ndarray, classes: int | None) -> None:
    dtype = y.dtype if classes is None else np.dtype(np.int64)
    writer.write(f"y_{split}", (len(rows), *y.shape[1:]), dtype, chunks(y, rows))


def _label_notes(split: str, y: np.ndarray, rows: np.ndarray, classes: int | None) -> list[str]:
    notes = [] if classes is None else absent_classes(split, chunks(y, rows), classes)
    if split == "train":
        notes += few_samples(y[rows], classes) if y.ndim == 1 else few_samples(rows, None)
    return notes


def _check_class_folders(request: DataRequest, raw: RawData, decision: Decision | None, classes: int | None) -> None:
    if raw.class_names is None or (decision is not None and decision.task == "raw"):
        return
    if classes is None:
        raise DataError(
            f"{request.source}: class folders give classes, the metric is of a regression. Choose --metric accuracy."
        )
    if len(raw.class_names) != classes:
        raise DataError(
            f"{request.source} has {len(raw.class_names)} classes ({', '.join(raw.class_names[:5])}...), the model has "
            f"{classes}. They must be the same, as classes are numbered in the order of their names."
        )


def _given_labels(request: DataRequest, split: str, samples: Mapping[str, Rows], given: Arrays) -> np.ndarray:
    """The scored labels of a split, unchanged, one for each sample."""
    scored = None if request.scored is None else request.scored.name
    y = labels_of(request.source, split, given, [item.name for item in request.outputs], scored)
    for name, part in samples.items():
        if len(part) != len(y):
            raise DataError(
                f"{request.source}: x_{_key(split, name)} has {len(part)} samples, y_{split} has {len(y)} labels"
            )
    if len(y) == 0:
        raise DataError(f"{request.source}: the {split} split is empty. Fill it, or leave x_{split} and y_{split} out.")
    return y


def _prepared(
    given: Mapping[str, np.ndarray], task: str, output_shape: tuple[int | None, ...]
) -> dict[str, np.ndarray]:
    return {split: prepare_labels(f"y_{split}", y, task, output_shape) for split, y in given.items()}


def _write_training_labels(
    request: DataRequest,
    raw: RawData,
    decision: Decision | None,
    rows: Mapping[str, SplitRows],
    writer: ArrayWriter,
    notes: list[str],
) -> dict[str, Decision]:
    """Write ``labels_train``, a field for each of several outputs, and return the decisions of these outputs."""
    source = rows["train"]
    if source.given != "train" or not len(source.rows) or not request.trained:
        return {}
    scored = {} if decision is None or request.scored is None else {request.scored.name: decision}
    labels, decisions, found = training_labels("train", raw.splits["train"][1], request.trained, scored)
    notes += found
    if labels:
        parts = zip(*(chunks(values, source.rows, BATCH_SAMPLES) for values in labels.values()), strict=True)
        packed = (pack(dict(zip(labels, part, strict=True))) for part in parts)
        dtype = row_type({name: (values.dtype, values.shape[1:]) for name, values in labels.items()})
        writer.write("labels_train", (len(source.rows),), dtype, packed)
    return decisions


def _write_extras(
    writer: ArrayWriter,
    source: str,
    extras: Mapping[str, np.ndarray],
    rows: Mapping[str, SplitRows],
    counts: Mapping[str, int],
) -> tuple[str, ...]:
    """Write weights and groups in the order of the samples of their split, and return their keys."""
    groups = [key for key in extras if key[0] == "g"]
    if len(groups) == 1:
        raise DataError(f"{source} has {groups[0]}, and groups are needed for both: give g_search and g_test.")
    for key, values in extras.items():
        split = key.partition("_")[2]
        if rows[split].given != split or not len(rows[split].rows):
            raise DataError(f"{source} has {key}, but no {split} samples. Give x_{split} and y_{split} too.")
        if values.ndim != 1 or len(values) != counts[split] or values.dtype.kind not in "biufU":
            raise DataError(
                f"{source}: {key} is an array of {values.dtype} of shape {values.shape}; it must hold one number (of groups: "
                f"or name) for each of the {counts[split]} samples."
            )
        if key == "w_train":
            if values.dtype.kind == "U" or not np.isfinite(values).all() or (values < 0).any() or not values.any():
                raise DataError(
                    f"{source}: w_train must hold finite numbers that are not negative, and not only zeros."
                )
            values = values.astype(np.float32)
        kept = values[rows[split].rows]
        writer.write(key, kept.shape, kept.dtype, [kept])
    return tuple(extras)


def _preparers(request: DataRequest, samples: Mapping[str, Mapping[str, Rows]]) -> dict[str, SamplePreparer]:
    """The converter of the samples for each input, by the name of the input ("" for a single input)."""
    function = None if request.preprocess is None else load_function(request.preprocess, "--preprocess")
    several = len(request.inputs) > 1
    found = {
        item.name if several else "": SamplePreparer(item.shape, item.dtype, function, request.preprocess)
        for item in request.inputs
    }
    for name, preparer in found.items():
        preparer.settle({_key(split, name): x[name] for split, x in samples.items()})
    return found


def _write_samples(
    writer: ArrayWriter,
    split: str,
    rows: SplitRows,
    samples: Mapping[str, Mapping[str, Rows]],
    preparers: Mapping[str, SamplePreparer],
) -> None:
    columns = {
        name: item.batches(split, samples[rows.given][name], SplitRows(_key(rows.given, name), rows.rows))
        for name, item in preparers.items()
    }
    if len(preparers) == 1:
        ((name, item),) = preparers.items()
        writer.write(f"x_{split}", (len(rows.rows), *item.shape), item.dtype, columns[name])
    else:
        dtype = row_type({name: (item.dtype, item.shape) for name, item in preparers.items()})
        writer.write(f"x_{split}", (len(rows.rows),), dtype, _rows(columns))


def _findings(preparers: Mapping[str, SamplePreparer]) -> list[str]:
    if len(preparers) == 1:
        return next(iter(preparers.values())).findings()
    return [f"{name}: {note}" for name, item in preparers.items() for note in item.notes]


def _key(split: str, name: str) -> str:
    """The name of a split for one input: ``train``, or ``train:left`` if the model has several inputs."""
    return f"{split}:{name}" if name else split


def _rows(columns: Mapping[str, Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Batches of several inputs as batches of rows."""
    for batches in zip(*columns.values(), strict=True):
        yield pack(dict(zip(columns, batches, strict=True)))
