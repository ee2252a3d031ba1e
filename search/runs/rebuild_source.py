"""Reads the ``trial.json`` that a rebuild starts from.

The file may come from somebody else, so it is checked strictly. A bad file is rejected with a clear error.
"""

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from litetuner.search.config.config import Config, make_config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import open_run
from litetuner.search.trial import FORMAT_VERSION
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import Refused, RunError
from litetuner.spaces.steps import STEPS
from litetuner.spaces.store import check_size, read_json

# A number may be smaller than the smallest value of a search, or larger than the largest one, by at most this factor.
SLACK = 10.0
LARGEST_NUMBER = 1e6  # for a knob that lists no values

Sha256 = Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
ShortText = Annotated[str, pydantic.Field(max_length=1000)]
Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Item = bool | ShortText | Annotated[Finite, pydantic.Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Items = Annotated[list[Item | list[Item]], pydantic.Field(max_length=10_000)]
Record = TypeVar("Record", bound=pydantic.BaseModel)


class _Record(pydantic.BaseModel, strict=True):
    """A part of a file, with the keys that are needed. Other keys are ignored."""


class _Step(_Record, extra="allow"):
    step: ShortText  # the other keys are knobs, see ``_check_knobs``


class _Metric(_Record):
    value: Finite
    interval: tuple[Finite, Finite] | None = None


class _Measurements(_Record):
    metric: _Metric | None = None


class _Environment(_Record):
    versions: dict[str, ShortText | None] = {}  # in the record of a trial
    packages: dict[str, ShortText | None] = {}  # in the provenance of an export


class _Trial(_Record):
    format_version: Literal[FORMAT_VERSION]  # type: ignore[valid-type]
    number: int = pydantic.Field(ge=0)
    state: str = "unfinished"
    sha256: Sha256 | None = None
    artifact: Any = None
    candidate: list[_Step] = pydantic.Field(min_length=1, max_length=16)
    measurements: _Measurements = _Measurements()
    environment: _Environment | None = None


class _Input(_Record):
    content: str | None = None
    sha256: str | None = None


class _Inputs(_Record):
    model: _Input = _Input()
    data: _Input = _Input()


class _Provenance(_Record):
    configuration: dict[str, Any]
    inputs: _Inputs
    environment: _Environment = _Environment()


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a trial was made from.

    ``contents`` are the sha256 of the files of model and data, ``facts`` those of what was read from them; ``None`` if
    not known. ``versions`` are the package versions that made the trial's file. Relative paths may start in ``folder``
    or in the working folder.
    """

    config: Config
    contents: dict[str, str | None]
    facts: dict[str, str | None]
    versions: dict[str, str]
    folder: Path


@dataclasses.dataclass(frozen=True)
class RebuildSource(Origin):
    """What is needed to build a trial's file again, and what the new file is compared with."""

    path: Path
    number: int
    candidate: Candidate
    sha256: str
    metric: float | None
    metric_interval: tuple[float, float] | None


def read_rebuild_source(given: Path, *, trust: bool = False, **changed: str | None) -> RebuildSource:
    """Read a ``trial.json`` of a run folder, or an exported one next to its ``provenance.json``.

    ``given`` is the file or its folder. ``changed`` are configuration keys that replace the recorded ones. Only
    ``trust`` sets ``trust_model``. Raises ``RunError`` if the record is damaged, was altered, has another format, or
    belongs to a trial that never had a file.
    """
    path = given / "trial.json" if given.is_dir() else given
    record = _read(path, _Trial)
    if record.sha256 is None:
        raise RunError(f"{path}: trial {record.number} is {_show(record.state)} and never had a file to rebuild.")
    if record.artifact != f"artifacts/{record.sha256}.tflite":
        raise RunError(f"{path} was altered: artifact is {_show(record.artifact)}, which does not match its sha256.")
    new: dict[str, Any] = {name: value for name, value in changed.items() if value is not None}
    if trust:
        new["trust_model"] = True
    run = _run_of(path)
    origin = _of_run(run, new) if run is not None else _of_export(path, new)
    if record.environment is not None:  # not the versions of the run, which are those of its last session
        origin = dataclasses.replace(origin, versions=_versions(record.environment.versions))
    metric = record.measurements.metric
    found = RebuildSource(
        **vars(origin),
        path=path,
        number=record.number,
        candidate=_candidate(path, [step.model_dump() for step in record.candidate], origin.config.max_epochs),
        sha256=record.sha256,
        metric=None if metric is None else metric.value,
        metric_interval=None if metric is None else metric.interval,
    )
    if run is not None:  # checked last: a checksum cannot tell what is wrong
        RunFolder(run).read(f"trials/{path.parent.name}/{path.stem}")
    else:
        for each in (path, path.with_name("provenance.json")):
            read_json(each, remedy="Export the trial again.")
    return found


def _run_of(path: Path) -> Path | None:
    folder = path.absolute().parent
    run = folder.parent.parent
    return run if folder.parent.name == "trials" and (run / "litetuner.toml").is_file() else None


def _of_run(path: Path, changed: dict[str, Any]) -> Origin:
    run, config, inspection = open_run(path)
    values = config.model_dump(exclude_none=True) | {"trust_model": False} | changed
    identity, environment = run.read("identity") or {}, run.read("environment") or {}
    return Origin(
        config=make_config(values, where=str(run.path / "litetuner.toml")),
        contents={name: identity.get(f"{name}_content") for name in ("model", "data")},
        facts={name: inspection[name]["sha256"] for name in ("model", "data")},
        versions=_versions(environment.get("packages") or {}),
        folder=run.path.absolute().parent.parent,
    )


def _of_export(path: Path, changed: dict[str, Any]) -> Origin:
    source = path.with_name("provenance.json")
    if not source.is_file():
        raise RunError(
            f"{path} is in no run folder, and no provenance.json is beside it, so its model and data are not known. "
            "Give RUN/trials/NUMBER/trial.json, or keep both files of an export together."
        )
    record = _read(source, _Provenance)
    own = {name.replace("-", "_"): value for name, value in record.configuration.items()}
    inputs = {"model": record.inputs.model, "data": record.inputs.data}
    return Origin(
        config=make_config(own | {"trust_model": False} | changed, where=str(source)),
        contents={name: side.content for name, side in inputs.items()},
        facts={name: side.sha256 for name, side in inputs.items()},
        versions=_versions(record.environment.packages),
        folder=path.absolute().parent,
    )


def _versions(packages: dict[str, str | None]) -> dict[str, str]:
    return {name[:60]: version[:60] for name, version in packages.items() if version}


def _candidate(path: Path, steps: list[dict[str, Any]], longest: float | None) -> Candidate:
    try:
        for step in steps:
            _check_knobs(step, longest)
        return Candidate.from_json(steps)
    except Refused as error:
        raise RunError(f"{path}: {error}.") from error
    except (TypeError, ValueError, KeyError) as error:
        raise RunError(f"{path}: its candidate cannot be read: {error}.") from error


def _check_knobs(record: dict[str, Any], longest: float | None) -> None:
    """Check the type and the range of every knob. Raises ``Refused``.

    Unknown steps and knobs are not checked here: ``Candidate.from_json`` rejects them.
    """
    kind = STEPS.get(record["step"])
    for field in () if kind is None else dataclasses.fields(kind):
        if field.name not in record:
            continue
        try:
            pydantic.TypeAdapter(_knob_type(field, longest)).validate_python(record[field.name], strict=True)
        except pydantic.ValidationError as error:
            raise Refused(f"{record['step']}: {field.name} is {_why(error)}") from None


def _knob_type(field: dataclasses.Field[Any], longest: float | None) -> Any:
    """The type of a knob's value. Numbers are limited, so that no record can start a year of training."""
    kind = type(field.default)
    if kind not in (int, float):
        return {bool: bool, str: ShortText, tuple: Items}.get(kind, Item | None)
    numbers = [choice for choice in field.metadata.get("choices") or () if type(choice) in (int, float)]
    low, high = (min(numbers) / SLACK, max(numbers) * SLACK) if numbers else (0.0, LARGEST_NUMBER)
    if field.name == "epochs" and longest is not None:
        high = max(high, longest)
    if kind is int:  # pydantic needs integers as limits of an integer
        low, high = math.floor(low), math.ceil(high)
    return Annotated[kind, pydantic.Field(ge=low, le=high)]


def _read(path: Path, model: type[Record]) -> Record:
    """Read a JSON file as ``model``. Raises ``RunError`` that names the first wrong key and what it must be."""
    try:
        check_size(path, "It is not the record of a trial.")
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist. Give RUN/trials/NUMBER/trial.json, or an exported one.") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    except pydantic.ValidationError as error:
        item = error.errors()[0]
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "json_invalid":
            raise RunError(f"{path} is damaged: {item['msg']}.") from None
        if item["type"] == "missing":
            raise RunError(f"{path} has no {where}.") from None
        if where == "format_version":
            found = _show(item["input"])
            raise RunError(f"{path} has format {found}, this litetuner reads format {FORMAT_VERSION}.") from None
        raise RunError(f"{path}: {where or 'its content'} is {_why(error)}.") from None


def _why(error: pydantic.ValidationError) -> str:
    """The first wrong value, and what it must be, in words."""
    item = error.errors()[0]
    return f"{_show(item['input'])}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _show(value: Any) -> str:
    """An untrusted value on one line, shortened."""
    text = ascii(value) if not isinstance(value, int) or abs(value) < 1e18 else "a huge number"
    return text if len(text) <= 60 else f"{text[:56]} ..."
