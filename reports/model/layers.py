"""The layers inside the files of the front: read from the files themselves, once each, and kept in the run's cache."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed, RunError
from litetuner.spaces.step import Stage
from litetuner.spaces.store import write_json
from litetuner.spaces.tflite.layer_bytes import LayerInFile, read_layers

if TYPE_CHECKING:
    from litetuner.reports.model.view import View

MOST_FILES = 60
MOST_BYTES = 100_000_000  # of files in all: a report is written every few minutes
VERSION = 1


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer: what the file holds, what the untouched file held, and what was asked of it (by property)."""

    name: str
    operator: str
    shape: tuple[int, ...]
    found: LayerInFile
    before: LayerInFile | None
    asked: dict[str, str]


@dataclasses.dataclass(frozen=True)
class LayerTable:
    """The layers of one file, or ``problem``: why they could not be read."""

    rows: tuple[LayerRow, ...]
    problem: str = ""


def find_layer_tables(view: View) -> dict[int, LayerTable]:
    """The layers of the files of the baseline, the picks and the front, by trial."""
    baseline = view.record.baseline
    before, _ = ((), "") if baseline is None else _read(view, baseline, ())
    chosen = [*([baseline] if baseline else []), *view.picks.values(), *view.front]
    if view.blocked is not None and view.blocked.nearest is not None:
        chosen.append(view.blocked.nearest)
    found: dict[int, LayerTable] = {}
    total = 0
    for trial in {trial.number: trial for trial in chosen}.values():
        total += int(trial.value("file_bytes") or 0)
        if len(found) >= MOST_FILES or total > MOST_BYTES:
            break
        if trial.artifact is not None:
            layers, problem = _read(view, trial, before)
            found[trial.number] = LayerTable(_rows(trial, layers, before), problem)
    return found


def _rows(trial: Trial, layers: tuple[LayerInFile, ...], before: tuple[LayerInFile, ...]) -> tuple[LayerRow, ...]:
    old = {layer.layer: layer for layer in before if layer.layer is not None}
    asked: dict[str, dict[str, str]] = {}
    for item in trial.invariants:
        asked.setdefault(str(item.get("layer")), {})[str(item.get("property"))] = text_of(item.get("requested"))
    return tuple(
        LayerRow(
            name=clean(layer.layer if layer.layer is not None else f"operator {at}", 60),
            operator=layer.operator,
            shape=layer.shape,
            found=layer,
            before=old.get(layer.layer or ""),
            asked=asked.get(layer.layer or "", {}),
        )
        for at, layer in enumerate(layers)
    )


def text_of(value: Any) -> str:
    """A value of an invariant in words."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else clean(value, 80)


def _read(view: View, trial: Trial, before: tuple[LayerInFile, ...]) -> tuple[tuple[LayerInFile, ...], str]:
    """The layers of a trial's file, and why they cannot be read where that is so."""
    record = view.record
    name = PurePosixPath(trial.artifact or "").name
    kept = record.folder.path / "cache" / "layers" / f"{name.partition('.')[0]}.json"
    known = _known(kept)
    if known is not None:
        return known, ""
    kernels = {layer.name: layer.kernel_shape for layer in record.model.layers if layer.has_kernel}
    reshaped = bool(trial.candidate.of_stage(Stage.RESHAPE))
    try:
        layers = read_layers(record.folder.artifacts.get(name), kernels, before, reshaped=reshaped)
    except (BuildFailed, RunError) as error:
        return (), str(error)
    write_json(kept, {"version": VERSION, "layers": [dataclasses.asdict(layer) for layer in layers]}, durable=False)
    return layers, ""


def _known(kept: Path) -> tuple[LayerInFile, ...] | None:
    if not kept.exists():
        return None
    try:
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["version"] != VERSION:
            return None
        return tuple(LayerInFile.from_json(item) for item in record["layers"])
    except (ValueError, KeyError, TypeError):  # a torn cache is made again
        return None
