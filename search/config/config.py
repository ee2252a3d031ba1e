"""The configuration: every key is a flag of ``litetuner search``, a key of the TOML, and an argument of ``tune``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.profiles import PROFILES
from litetuner.objectives.profiles.profile import Profile
from litetuner.objectives.targets.choice import NamedTarget, find_target
from litetuner.search.config.budgets import Budget, BudgetTexts, parse_budgets
from litetuner.search.config.nearest_file import nearest_file
from litetuner.search.config.units import BYTES, parse, parse_duration
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.user_function import is_function


class Config(pydantic.BaseModel):
    """What a search is to do. Field names with ``-`` for ``_`` are the flags and TOML keys; descriptions are the help."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    model: str = pydantic.Field(
        description="The trained model: FILE.keras, FILE.h5, or module:function that returns it."
    )
    data: str = pydantic.Field(
        description="The data: FILE.npz, a folder of class folders of images, or module:function."
    )
    out: str | None = pydantic.Field(None, description="Run folder. [default: runs/<model>-<hash>]")
    metric: str = pydantic.Field("accuracy", description="Metric by name, or module:function(y_true, y_pred).")
    preprocess: str | None = pydantic.Field(
        None, description="Preprocessing that the model expects: module:function(x)."
    )
    loss: str | None = pydantic.Field(None, description="Training loss, a tf_keras name. [default: the metric's]")
    target: tuple[str, ...] = pydantic.Field(
        ("host",),
        description="Where latency is measured: host, pi=ssh://user@host, adb:SERIAL; the first one is optimised.",
    )
    objective: tuple[str, ...] = pydantic.Field(
        (), description="A further measurement to minimise, such as file_bytes or latency_us:pi."
    )
    profile: str | None = pydantic.Field(
        None, description="A kind of machine that the files must suit: mcu (microcontrollers)."
    )
    size: Literal["compressed", "file"] = pydantic.Field(
        "compressed", description="Which size is optimised: compressed (a download) or file (flash)."
    )
    max_size: str | None = pydantic.Field(None, description="Budget: bytes of the file, such as 300kB.")
    max_compressed_size: str | None = pydantic.Field(
        None, description="Budget: compressed bytes of the file, such as 60kB."
    )
    max_latency: tuple[str, ...] = pydantic.Field((), description="Budget: latency, such as 2ms or pi=4ms.")
    max_memory: str | None = pydantic.Field(
        None, description="Budget: tensor arena and weights, such as 256kB; with --profile mcu the arena alone."
    )
    max_drop: str | None = pydantic.Field(
        None, description="Budget: loss of the metric against the original, such as 1%."
    )
    min_metric: float | None = pydantic.Field(None, description="Budget: the metric must be at least this good.")
    time_budget: str | None = pydantic.Field(
        None, description="Stop after this much time in all, such as 30m; the finals come after it. [default: 30m]"
    )
    trials: int | None = pydantic.Field(None, ge=1, description="Stop after this many trials in all.")
    patience: int | None = pydantic.Field(
        None, ge=1, description="Stop after so many trials that did not enlarge the front (its hypervolume)."
    )
    until_met: bool = pydantic.Field(False, description="Stop as soon as a file is within all budgets.")
    sampler: str = pydantic.Field("tpe", description="Which sampler proposes candidates: tpe, nsga2 or random.")
    steps: tuple[str, ...] = pydantic.Field(
        (), description="Only these steps are tried, such as prune,int8. [default: all]"
    )
    io: Literal["any", "float32", "int8", "uint8"] = pydantic.Field(
        "any", description="Input and output types of full int8 files; any: all three are tried."
    )
    precision: tuple[str, ...] = pydantic.Field(
        (), description="Layers whose precision is fixed, such as conv2d_3=float32,dense=int4."
    )
    seed: int = pydantic.Field(0, ge=0, description="Root of all random numbers.")
    batch_size: int = pydantic.Field(64, ge=1, description="Batch size of all training.")
    max_epochs: float | None = pydantic.Field(
        None, gt=0, description="Longest training of one step. [default: by time]"
    )
    calibration: int = pydantic.Field(300, ge=1, description="Training samples that quantization is calibrated on.")
    threads: int = pydantic.Field(1, ge=1, description="Threads of the runtime while latency is measured.")
    keep_names: bool = pydantic.Field(False, description="Keep tensor names in the files (for debugging).")
    trust_model: bool = pydantic.Field(False, description="You vouch for the model file: code inside it may run.")
    custom_objects: str | None = pydantic.Field(
        None, description="Your own layers, module:dict; a pair (Keras 3 class, tf_keras class) can be trained too."
    )
    executor: str = pydantic.Field("local", description="Where jobs run: local, or fake (a simulation without models).")
    cache_limit: str = pydantic.Field(
        "10GB", description="The run's cache of trained stages is kept below this; what the front needs stays."
    )
    max_job_memory: str = pydantic.Field("12GB", description="A job that uses more memory is stopped.")
    json_: bool = pydantic.Field(False, alias="json", description="Print the summary as JSON on standard output.")
    debug: bool = pydantic.Field(False, description="Show tracebacks, and log more.")

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, of a user's own metric as if it were to be maximized: what it is, is known once it was inspected."""
        unknown = self.min_metric is None or is_function(self.metric.partition("@")[0])
        return self.budgets_for("maximize" if unknown else find_metric(self.metric).direction)

    def budgets_for(self, direction: Literal["maximize", "minimize"]) -> tuple[Budget, ...]:
        """The budgets for a metric of this direction."""
        texts = BudgetTexts(
            max_size=self.max_size,
            max_compressed_size=self.max_compressed_size,
            max_latency=self.max_latency,
            max_drop=self.max_drop,
            min_metric=self.min_metric,
            max_memory=self.max_memory,
        )
        return parse_budgets(texts, direction, self.targets, self.suited.memory if self.suited else "memory_bytes")

    @property
    def places(self) -> tuple[NamedTarget, ...]:
        """The targets with their names, in the user's order. Nothing is started."""
        return tuple(find_target(text) for text in self.target)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets' names, as they stand in budgets and columns."""
        return tuple(place.name for place in self.places)

    @property
    def suited(self) -> type[Profile] | None:
        """The profile that files must suit, if any."""
        return None if self.profile is None else PROFILES[self.profile]

    @property
    def advice(self) -> tuple[str, ...]:
        """What a user of these settings should know before anything is spent, a sentence each."""
        profile = self.suited
        if profile is None:
            return ()
        found = [
            f"Profile {profile.name}: latencies are those of {', '.join(self.targets)}, not of such a machine; "
            "they rank candidates, and promise nothing."
        ]
        given = {budget.key for budget in self.budgets}
        found += [
            f"Profile {profile.name}: no budget bounds its {what}; give --{key}, such as --{key} 256kB."
            for key, what in profile.budgets.items()
            if key not in given
        ]
        return tuple(found)

    @property
    def seconds(self) -> float | None:
        """The time budget in seconds; half an hour where neither time nor trials are limited."""
        if self.time_budget is None:
            return 1800.0 if self.trials is None else None
        return parse_duration(self.time_budget, "time-budget")

    @property
    def size_measurement(self) -> str:
        return f"{self.size}_bytes"

    @property
    def latency_measurement(self) -> str:
        return f"latency_us:{self.targets[0]}"


# What ``--objective`` can name: what a file has, and what it has on each target.
FILE_MEASUREMENTS = ("file_bytes", "compressed_bytes", "memory_bytes", "arena_bytes", "macs", "energy_estimate_uj")
TARGET_MEASUREMENTS = ("latency_us", "peak_rss_bytes", "energy_uj")

# What a run may change when it is resumed; all else is its identity.
CHANGEABLE = frozenset(
    {
        "out",
        "max_size",
        "max_compressed_size",
        "max_latency",
        "max_memory",
        "max_drop",
        "min_metric",
        "size",
        "objective",
    }
    | {
        "time_budget",
        "profile",
        "trials",
        "patience",
        "cache_limit",
        "until_met",
        "sampler",
        "target",
        "executor",
        "max_job_memory",
        "json_",
        "debug",
    }
)


def keys() -> dict[str, str]:
    """Field name by key (``max-drop`` -> ``max_drop``)."""
    return {(field.alias or name).replace("_", "-"): name for name, field in Config.model_fields.items()}


def _spelling(key: str, known: Iterable[str], python: bool) -> tuple[str, list[str]]:
    """A key and those it may be, with hyphens, or as Python spells them."""
    mark = "_" if python else "-"
    return key.replace("-", mark), [name.replace("-", mark) for name in known]


def make_config(values: Mapping[str, Any], *, where: str = "configuration") -> Config:
    """A checked configuration of values by key or field name. Raises ``ConfigError`` with the nearest key for a misspelt one."""
    known = keys()
    python = where == "tune"  # whose keys are spelt as Python's names
    given: dict[str, Any] = {}
    for key, value in values.items():
        spelt = key.replace("_", "-").rstrip("-")
        if spelt not in known:
            raise ConfigError(f"{where}: there is no key {key!r}{nearest(*_spelling(spelt, known, python))}")
        name = known[spelt]
        if value is None:
            continue
        field = Config.model_fields[name]
        if str(value) == "":
            raise ConfigError(f"{where}: {spelt} is empty; give it a value, or leave it out.")
        if isinstance(value, bool) and field.annotation is not bool:
            raise ConfigError(f"{where}: {spelt}: {str(value).lower()} is no value for it ({field.description})")
        repeated = str(field.annotation).startswith("tuple")
        given[field.alias or name] = _many(value) if repeated else _plain(value, str(field.annotation))
    try:
        config = Config(**_profiled(given, where))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(item) for item in error.errors())) from error
    try:
        _check_words(config)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return config


def _profiled(given: dict[str, Any], where: str) -> dict[str, Any]:
    """The values with what their profile decides. Raises ``ConfigError`` where the user decided otherwise."""
    name = given.get("profile")
    if name is None:
        return given
    if name not in PROFILES:
        known = ", ".join(sorted(PROFILES))
        raise ConfigError(f"{where}: profile: there is no {name!r}{nearest(str(name), PROFILES)} ({known})")
    for key, value in PROFILES[name].settings.items():
        # Steps are a choice within the profile: whatever they make is checked.
        if key in given and given[key] != value and key != "steps":
            raise ConfigError(f"{where}: {key}: the profile {name} needs {value}, not {given[key]}; leave {key} out")
    return dict(PROFILES[name].settings) | given


def _check_words(config: Config) -> None:
    """What only other modules can read: a wrong unit or name is an error now, not in the middle of a search."""
    if not config.target:
        raise ConfigError("target: name at least one, such as host.")
    if config.seconds is not None and config.seconds <= 0:
        raise ConfigError("time-budget: must be more than nothing.")
    parse(config.max_job_memory, BYTES, "max-job-memory")
    parse(config.cache_limit, BYTES, "cache-limit")
    if config.until_met and not config.budgets:
        raise ConfigError(
            "until-met: there is no budget that a file could meet; give one, such as --max-compressed-size 60kB."
        )
    twice = [name for name in config.targets if config.targets.count(name) > 1]
    if twice:
        raise ConfigError(f"target: two are called {twice[0]!r}; give one another name: NAME={config.target[-1]}")
    known = (*FILE_MEASUREMENTS, *(f"{kind}:{name}" for kind in TARGET_MEASUREMENTS for name in config.targets))
    _ = config.budgets
    for name in config.objective:
        if name not in known:
            raise ConfigError(f"objective: there is no measurement {name!r}{nearest(name, known)} ({', '.join(known)})")


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, at its top level or in a ``[litetuner]`` or ``[search]`` table. Raises ``ConfigError``."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"config: {path} does not exist{nearest_file(path, names) or '.'}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"config: {path} is no TOML file: {error}") from error
    for table in ("litetuner", "search"):
        if isinstance(values.get(table), dict):
            values = values | values.pop(table)
    return values


def to_toml(config: Config) -> str:
    """The resolved configuration as TOML; reading it gives the same configuration."""
    lines = []
    for key, name in keys().items():
        value = getattr(config, name)
        if value is not None:
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in text) + '"'


def _many(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else list(value)
    return tuple(part.strip() for item in items for part in str(item).split(",") if part.strip())


def _plain(value: Any, annotation: str) -> Any:
    """A path, or a number where words are expected (``max-size = 300``), as text; its unit is checked there."""
    number = isinstance(value, int | float) and "int" not in annotation and "float" not in annotation
    return str(value) if isinstance(value, Path) or (number and "str" in annotation) else value


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]).replace("_", "-")
    if item["type"] == "missing":
        return f"{key} is missing; give --{key} or set it in the TOML"
    return f"{key}: {item['msg'].lower()} (got {item['input']!r})"
