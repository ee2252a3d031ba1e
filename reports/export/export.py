"""The export of a trial: the measured file, and everything that is needed to use, evaluate and reproduce it."""

import json
import math
from pathlib import Path, PurePosixPath

from litetuner.reports.export.c_array import c_header, c_name, c_source
from litetuner.reports.export.device_files import DeviceFile, arena_of, device_files
from litetuner.reports.export.file_names import artifact_name
from litetuner.reports.export.micro_example import EXAMPLE, micro_example, op_resolver, resolver_name
from litetuner.reports.export.model_card import write_card
from litetuner.reports.export.out_folder import prepare_folder
from litetuner.reports.export.provenance import provenance, short
from litetuner.reports.export.run_example import run_example
from litetuner.reports.model.card import build_card
from litetuner.reports.model.nothing_feasible import NothingFeasible
from litetuner.reports.model.result import Result, build_result
from litetuner.reports.text.formatting import clean
from litetuner.search.picks.picks import PICKS
from litetuner.search.runs.record import RunRecord
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed, ConfigError, RunError, nearest
from litetuner.spaces.step import Role
from litetuner.spaces.store import write_atomic, write_json
from litetuner.spaces.tflite.rewriting.metadata import add_metadata
from litetuner.spaces.tflite.rewriting.slimming import slim

METADATA = "litetuner"  # name of the metadata buffer in the file


def export(
    record: RunRecord,
    *,
    trial: int | None = None,
    pick: str | None = None,
    out: Path,
    c_array: bool = False,
    metadata: bool = False,
    force: bool = False,
) -> Path:
    """Write a trial's export to ``out``, as described in ``Run.export``; returns the path of the ``.tflite``.

    Before anything is written, the file's sha256 is compared with the measured one. Nothing is deleted: files of an
    earlier export that are not valid any more are moved to ``earlier-ID`` in ``out``. With ``metadata`` the outputs of
    the file stay bit-identical, but its sha256 changes.

    Raises ``ConfigError`` for an unknown pick, or if both a trial and a pick are given. Raises ``RunError`` for a trial
    that does not exist or has no file, if nothing is feasible, if the file was changed, if ``out`` holds another
    trial's export, or if ``out`` cannot be written.
    """
    result = build_result(record)
    chosen = _choose(result, trial, pick)
    measured = content = _read(record, chosen)
    name = artifact_name(record.model.name, chosen.candidate)
    if metadata:
        content = _with_metadata(record, chosen, content)
    files = {name: content} | _for_devices(record, chosen, measured, (name, content), c_array)
    written = provenance(record, chosen, files)
    written["files"] |= prepare_folder(out, chosen, files, force)
    # ``trial.json`` is written first, so that an export that was killed is recognized and can be repeated.
    write_json(out / "trial.json", chosen.to_json())
    for file, data in files.items():
        write_atomic(out / file, data)
    write_atomic(out / "MODEL_CARD.md", write_card(build_card(result, chosen, content), name))
    write_atomic(out / "run_example.py", _example(record, name))
    write_json(out / "provenance.json", written)
    return out / name


def _with_metadata(record: RunRecord, trial: Trial, content: bytes) -> bytes:
    """The file with a short provenance as metadata. A file that was slimmed is slimmed again."""
    told = json.dumps(short(record, trial), separators=(",", ":")).encode()
    try:
        written = add_metadata(content, METADATA, told)
        slims = [step for step in trial.candidate.steps if step.role is Role.SLIM]
        return slim(written, keep_names=slims[0].knobs()["keep_names"]).file if slims else written
    except BuildFailed as error:
        raise RunError(f"{record.folder.path}: metadata cannot be added to trial {trial.number}: {error}") from error


def _for_devices(
    record: RunRecord, trial: Trial, measured: bytes, exported: tuple[str, bytes], c_array: bool
) -> dict[str, bytes]:
    """Files for NPUs and with look-up tables; with ``c_array`` also the sources for a TensorFlow Lite Micro program.

    ``measured`` is the content of the trial's file, ``exported`` the name and content of the exported ``.tflite``.
    """
    name, content = exported
    stem, devices = name.removesuffix(".tflite"), device_files(record, trial, measured)
    files = {f"{stem}{device.suffix}": device.content for device in devices}
    if not c_array:
        return files
    main = devices[0] if devices else DeviceFile(".tflite", content, "")
    symbol = c_name(f"{stem}{main.suffix}")
    about = f"{stem}{main.suffix}, trial {trial.number} of {clean(record.folder.path.name, 60)}, made by litetuner"
    about += f"; {main.about}" if main.about else ""
    files |= {
        f"{symbol}.h": c_header(symbol, about).encode(),
        f"{symbol}.cc": c_source(symbol, main.content, about).encode(),
    }
    if EXECUTORS[record.config.executor].simulated:  # files of a simulation have no operators
        return files
    files[resolver_name(symbol)] = op_resolver(symbol, main.content, about).encode()
    example = micro_example(symbol, measured, about, arena_of(trial, main.npu), main.npu)
    return files | {EXAMPLE: example.encode()}


def _example(record: RunRecord, name: str) -> str:
    outputs = math.prod(size for size in record.model.output_shape[1:] if size is not None)
    classes, names, preprocess = record.data.classes, record.data.class_names, record.config.preprocess
    return run_example(name, classes=classes, outputs=outputs, class_names=names, preprocess=preprocess)


def _choose(result: Result, number: int | None, pick: str | None) -> Trial:
    if number is not None and pick is not None:
        raise ConfigError(f"export: pass a trial ({number}) or a pick ({clean(pick, 40)!r}), not both.")
    if number is not None:
        return _numbered(result, number)
    name = pick or "best"
    if name not in PICKS:
        raise ConfigError(
            f"export: unknown pick {clean(name, 40)!r}{nearest(name, PICKS)}. The picks are {', '.join(PICKS)}."
        )
    if result.nothing_feasible is not None:
        raise RunError(_nothing_to_export(result, result.nothing_feasible, name))
    if name not in result.picks:
        raise RunError(
            f"{result.record.folder.path}: there is no {name} trial because latency was not measured. "
            f"The picks of this run are {', '.join(result.picks)}."
        )
    return result.record.trial(result.picks[name].trial)


def _nothing_to_export(result: Result, blocked: NothingFeasible, name: str) -> str:
    """Why there is no pick: which budgets block, and what to do."""
    why = f"there is no {name} trial because no candidate is within the budgets. {blocked.reason}"
    other = f", or export the nearest candidate with --trial {blocked.nearest[0].row.trial}" if blocked.nearest else ""
    again = f" Search again with {' '.join(blocked.settings)}{other}." if blocked.settings else ""
    return f"{result.record.folder.path}: {why}{again}"


def _numbered(result: Result, number: int) -> Trial:
    record = result.record
    known = {trial.number: trial for trial in record.trials}
    if number not in known:
        exported = [trial.number for trial in record.trials if trial.artifact]
        near = min(exported, key=lambda other: abs(other - number), default=None)
        hint = f" The nearest with a file is trial {near}." if near is not None else ""
        last = f"; trial numbers are {min(known)} to {max(known)}" if known else ""
        raise RunError(f"{record.folder.path}: there is no trial {number}{last}.{hint}")
    return known[number]


def _read(record: RunRecord, trial: Trial) -> bytes:
    """The content of the trial's file.

    Raises ``RunError`` if there is none, or if its sha256 is not the measured one.
    """
    where = f"{record.folder.path}: trial {trial.number}"
    if trial.artifact is None:
        if trial.duplicate_of is not None:
            raise RunError(f"{where} repeats trial {trial.duplicate_of}. Export that trial.")
        reason = f" ({clean(trial.reason, 200)})" if trial.reason else ""
        raise RunError(
            f"{where} is {trial.state}{reason} and has no file. Choose a trial with state COMPLETE or INFEASIBLE."
        )
    name = PurePosixPath(trial.artifact).name
    if trial.sha256 is not None and name.partition(".")[0] != trial.sha256:
        raise RunError(
            f"{where} was changed: its file is {clean(name, 90)}, but the measured file has sha256 {trial.sha256}."
        )
    return record.folder.artifacts.get(name)
