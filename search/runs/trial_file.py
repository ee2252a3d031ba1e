"""A ``trial.json`` from somewhere, maybe from a stranger: read strictly, and refused in a sentence where it is not one."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from litetuner.search.config.config import Config, make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import FORMAT_VERSION
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import Refused, RunError
from litetuner.spaces.steps import STEPS

LARGEST_FILE = 64_000_000  # bytes; a trial with all its raw samples has some tens of kilobytes
MOST_STEPS = 16
LONGEST_TEXT = 1000
MOST_ITEMS = 10_000  # of a list of layers
SLACK = 10.0  # a number may lie this far beyond the smallest and largest value that a search tries
LARGEST_NUMBER = 1e6  # where a knob has no such values
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class TrialFile:
    """What is needed to make a trial's file again, and what the new one is compared with.

    ``contents`` are the sha256 sums of the model's and the data's files, ``facts`` those of what was read from them;
    ``None`` where they are not recorded. ``versions`` are the packages that made the file. ``folder`` is what relative paths
    of the configuration may be meant from, besides the folder that the command is called in.
    """

    path: Path
    number: int
    candidate: Candidate
    config: Config
    sha256: str
    metric: float | None
    metric_interval: tuple[float, float] | None
    contents: dict[str, str | None]
    facts: dict[str, str | None]
    versions: dict[str, str]
    folder: Path


def read_trial_file(given: Path, *, trust_model: bool = False, **changed: str | None) -> TrialFile:
    """Read a ``trial.json`` of a run folder, or one that was exported with its ``provenance.json`` beside it.

    ``given`` may be the folder that holds it. ``changed`` are keys of the configuration to use instead of those recorded, such
    as ``model``. An exported record never vouches for its model file: that takes ``trust_model``. Raises ``RunError`` for
    a record that is damaged, altered, from another format, or of a trial that never had a file.
    """
    path = given / "trial.json" if given.is_dir() else given
    record = _object(path)
    version = record.get("format_version")
    if version != FORMAT_VERSION:
        raise RunError(f"{path} has format {_show(version)}, this litetuner reads format {FORMAT_VERSION}.")
    number, sha256 = record.get("number"), record.get("sha256")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise RunError(f"{path}: number is {_show(number)}, and must be a trial's number.")
    if sha256 is None:
        raise RunError(f"{path}: trial {number} is {_show(record.get('state'))} and never had a file to make again.")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise RunError(f"{path}: sha256 is {_show(sha256)}, and must be 64 hexadecimal digits.")
    if record.get("artifact") != f"artifacts/{sha256}.tflite":
        raise RunError(f"{path} was altered: artifact is {_show(record.get('artifact'))}, which is not its sha256's.")
    kept = {name: value for name, value in changed.items() if value is not None}
    if trust_model:
        kept["trust_model"] = "true"
    run = _run_of(path)
    origin = _of_run(run, kept) if run is not None else _of_export(path, kept)
    own = record.get("environment")  # the trial's own; the run's is that of its last session
    if isinstance(own, dict):
        origin["versions"] = _versions({"packages": own.get("versions")})
    metric = _measurement(path, record)
    return TrialFile(
        path=path,
        number=number,
        candidate=_candidate(path, record.get("candidate"), origin["config"].max_epochs),
        sha256=sha256,
        metric=metric[0],
        metric_interval=metric[1],
        **origin,
    )


def _run_of(path: Path) -> RunFolder | None:
    """The run that the record lies in, if it does."""
    place = path.absolute().parent
    run = place.parent.parent
    return RunFolder(run) if place.parent.name == "trials" and (run / "litetuner.toml").is_file() else None


def _of_run(run: RunFolder, changed: dict[str, Any]) -> dict[str, Any]:
    config, inspection = run.config(), run.read("inspection")
    if inspection is None:
        raise RunError(f"{run.path}: this run stopped before it had inspected the model. Repeat the search command.")
    values = config.model_dump(by_alias=True, exclude_none=True) | _typed(changed)
    identity = run.read("identity") or {}
    environment = run.read("environment") or {}
    return {
        "config": make_config(values, where=str(run.path / "litetuner.toml")),
        "contents": {name: identity.get(f"{name}_content") for name in ("model", "data")},
        "facts": {name: inspection[name]["sha256"] for name in ("model", "data")},
        "versions": _versions(environment),
        "folder": run.path.absolute().parent.parent,
    }


def _of_export(path: Path, changed: dict[str, Any]) -> dict[str, Any]:
    source = path.with_name("provenance.json")
    if not source.is_file():
        raise RunError(
            f"{path} lies in no run folder, and no provenance.json lies beside it, so its model and data are not known. "
            "Give RUN/trials/NUMBER/trial.json, or keep both files of an export together."
        )
    record = _object(source)
    values, inputs = record.get("configuration"), record.get("inputs")
    if not isinstance(values, dict) or not isinstance(inputs, dict):
        raise RunError(f"{source} holds no configuration and inputs; it is not what `litetuner export` writes.")
    values = values | {"trust-model": False} | _typed(changed)
    try:
        config = make_config(values, where=str(source))
    except TypeError as error:
        raise RunError(f"{source}: its configuration cannot be read: {error}") from error
    return {
        "config": config,
        "contents": {name: _sum(source, inputs, name, "content") for name in ("model", "data")},
        "facts": {name: _sum(source, inputs, name, "sha256") for name in ("model", "data")},
        "versions": _versions(record.get("environment")),
        "folder": path.absolute().parent,
    }


def _typed(changed: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): True if name == "trust_model" else value for name, value in changed.items()}


def _sum(path: Path, inputs: dict[str, Any], name: str, what: str) -> str | None:
    side = inputs.get(name)
    value = side.get(what) if isinstance(side, dict) else None
    if value is not None and not isinstance(value, str):
        raise RunError(f"{path}: {what} of the {name} is {_show(value)}, and must be text.")
    return value


def _versions(environment: Any) -> dict[str, str]:
    packages = environment.get("packages") if isinstance(environment, dict) else None
    if not isinstance(packages, dict):
        return {}
    return {str(name)[:60]: str(version)[:60] for name, version in packages.items() if version}


def _measurement(path: Path, record: dict[str, Any]) -> tuple[float | None, tuple[float, float] | None]:
    measurements = record.get("measurements")
    found = measurements.get("metric") if isinstance(measurements, dict) else None
    if found is None:
        return None, None
    value, interval = (found.get("value"), found.get("interval")) if isinstance(found, dict) else (None, None)
    numbers = [value, *(interval if isinstance(interval, list) else [])]
    pair = interval is None or (isinstance(interval, list) and len(interval) == 2)
    if not pair or not all(_finite(number) for number in numbers):
        raise RunError(f"{path}: its metric is {_show(found)}, and must be a number with an interval of two.")
    return float(numbers[0]), None if interval is None else (float(interval[0]), float(interval[1]))


def _candidate(path: Path, steps: Any, longest: float | None) -> Candidate:
    if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
        raise RunError(f"{path}: candidate is {_show(steps)}, and must be a list of 1 to {MOST_STEPS} steps.")
    try:
        for item in steps:
            if not isinstance(item, dict) or not isinstance(item.get("step"), str):
                raise Refused(f"a step is {_show(item)}, and must be an object with its name")
            if item["step"] in STEPS:
                for field in dataclasses.fields(STEPS[item["step"]]):
                    if field.name in item:
                        _check_knob(item["step"], field, item[field.name], longest)
        return Candidate.from_json(steps)
    except Refused as error:
        raise RunError(f"{path}: {error}.") from error
    except (TypeError, ValueError, KeyError) as error:
        raise RunError(f"{path}: its candidate cannot be read: {error}.") from error


def _check_knob(step: str, field: dataclasses.Field[Any], value: Any, longest: float | None) -> None:
    """A knob's value is of its default's type, and no further from what a search tries than ten times."""
    kind = type(field.default)
    where = f"{step}: {field.name} is {_show(value)}, and must be"
    if kind is bool and not isinstance(value, bool):
        raise Refused(f"{where} true or false")
    if kind is str and not (isinstance(value, str) and len(value) <= LONGEST_TEXT):
        raise Refused(f"{where} a short text")
    if kind is tuple and not _items(value):
        raise Refused(f"{where} a list of names or numbers")
    if kind not in (bool, str, tuple, int, float) and not (value is None or _item(value)):
        raise Refused(f"{where} a name or a number")
    if kind in (int, float):
        numbers = [choice for choice in field.metadata.get("choices") or () if _finite(choice)]
        low, high = (min(numbers) / SLACK, max(numbers) * SLACK) if numbers else (0.0, LARGEST_NUMBER)
        if field.name == "epochs" and longest is not None:
            high = max(high, longest)
        if not _finite(value) or (kind is int and int(value) != value) or not low <= value <= high:
            raise Refused(f"{where} a {'whole ' if kind is int else ''}number from {low:g} to {high:g}")


def _items(value: Any) -> bool:
    """A list of names or numbers, or of lists of such."""
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        return False
    flat = [part for item in value for part in (item if isinstance(item, list) else [item])]
    return len(flat) <= MOST_ITEMS and all(_item(part) for part in flat)


def _item(value: Any) -> bool:
    """A short text, a truth value, or a number of ordinary size."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return isinstance(value, bool) or (_finite(value) and abs(value) <= LARGEST_NUMBER)


def _finite(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RunError(f"{path} has more than {LARGEST_FILE // 1_000_000} MB; it is no record of a trial.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{path} does not exist. Give RUN/trials/NUMBER/trial.json, or one that was exported."
        ) from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is no JSON that can be read ({str(error)[:120]}).") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} holds {_show(record)}, and must hold a JSON object.")
    return record


def _show(value: Any) -> str:
    """A value from outside on one line, shortened."""
    text = ascii(value) if not isinstance(value, int) or abs(value) < 1e18 else "a huge number"
    return text if len(text) <= 60 else f"{text[:56]} ..."
