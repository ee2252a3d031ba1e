"""The layers in files of the Pareto front (each file is read once, then cached), and the sensitivity of each layer."""

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath

from litetuner.reports.model.rows import finite
from litetuner.reports.model.sections.invariants import value_words
from litetuner.reports.text.formatting import clean
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed, RunError
from litetuner.spaces.jobs.record import decode
from litetuner.spaces.step import Stage
from litetuner.spaces.tflite.layer_bytes import LayerInFile, read_layers

MOST_FILES = 60
MOST_BYTES = 100_000_000  # limit for all files together, because a report is written every few minutes
VERSION = 1


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer: its data in the file (``found``) and the baseline (``before``), and requested values by property."""

    name: str
    found: LayerInFile
    before: LayerInFile | None
    requested: dict[str, str]


@dataclasses.dataclass(frozen=True)
class LayerTable:
    """The layers of one file. ``problem`` says why they could not be read, else it is empty."""

    rows: tuple[LayerRow, ...]
    problem: str = ""


def find_layer_tables(record: RunRecord, trials: Iterable[Trial]) -> dict[int, LayerTable]:
    """The layer tables of these trials by number, up to the limits ``MOST_FILES`` and ``MOST_BYTES``."""
    baseline = record.baseline
    before, _ = ((), "") if baseline is None else _read(record, baseline, ())
    found: dict[int, LayerTable] = {}
    total = 0
    for trial in {trial.number: trial for trial in trials}.values():
        total += int(trial.value("file_bytes") or 0)
        if len(found) >= MOST_FILES or total > MOST_BYTES:
            break
        if trial.artifact is not None:
            layers, problem = _read(record, trial, before)
            found[trial.number] = LayerTable(_rows(trial, layers, before), clean(problem, 300))
    return found


def _rows(trial: Trial, layers: tuple[LayerInFile, ...], before: tuple[LayerInFile, ...]) -> tuple[LayerRow, ...]:
    old = {layer.layer: layer for layer in before if layer.layer is not None}
    wanted: dict[str, dict[str, str]] = {}
    for item in trial.invariants:
        wanted.setdefault(str(item.get("layer")), {})[str(item.get("property"))] = value_words(item.get("requested"))
    return tuple(
        LayerRow(
            name=clean(layer.layer if layer.layer is not None else f"operator {at}", 60),
            found=layer,
            before=old.get(layer.layer or ""),
            requested=wanted.get(layer.layer or "", {}),
        )
        for at, layer in enumerate(layers)
    )


def _read(record: RunRecord, trial: Trial, before: tuple[LayerInFile, ...]) -> tuple[tuple[LayerInFile, ...], str]:
    """The layers of a trial's file and an empty text, or no layers and the reason why they cannot be read."""
    name = PurePosixPath(trial.artifact or "").name
    kept = f"cache/layers/{name.partition('.')[0]}"
    known = _known(record.folder, kept)
    if known is not None:
        return known, ""
    kernels = {layer.name: layer.kernel_shape for layer in record.model.layers if layer.has_kernel}
    reshaped = bool(trial.candidate.of_stage(Stage.RESHAPE))
    try:
        layers = read_layers(record.folder.artifacts.get(name), kernels, before, reshaped=reshaped)
    except (BuildFailed, RunError) as error:
        return (), str(error)
    found = {"version": VERSION, "layers": [dataclasses.asdict(layer) for layer in layers]}
    record.folder.write(kept, found, durable=False)
    return layers, ""


def _known(folder: RunFolder, kept: str) -> tuple[LayerInFile, ...] | None:
    try:
        record = folder.read(kept)
    except RunError:  # a damaged cache entry is computed again
        return None
    if record is None or record.get("version") != VERSION:
        return None
    try:
        return decode(tuple[LayerInFile, ...], record.get("layers"))
    except ValueError:  # litetuner did not write this record
        return None


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """The sensitivity of one layer to quantization.

    ``changes`` holds a value for each precision of this layer alone (such as ``int4``): the root mean square change of
    the model's outputs in units of their standard deviation. It is ``None`` if it was not measured; ``reason`` says
    why.
    """

    name: str
    type: str
    parameters: int
    changes: dict[str, float | None]
    reason: str


def find_sensitivity(record: RunRecord) -> tuple[LayerSensitivity, ...]:
    """The sensitivity of each measured layer; empty if the search has not measured any layer yet."""
    measured = (record.folder.read("sensitivity") or {}).get("layers", {})
    return tuple(
        LayerSensitivity(
            name=clean(layer.name, 60),
            type=layer.type,
            parameters=layer.parameters,
            changes={clean(entry["precision"] or "not measured", 30): finite(entry["change"])},
            reason=clean(entry.get("reason", ""), 200),
        )
        for layer in record.model.layers
        if (entry := measured.get(layer.name))
    )
