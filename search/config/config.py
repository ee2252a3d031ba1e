"""The configuration: each key is a flag of ``litetuner search``, a key of the TOML file and an argument of ``tune``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.profiles import PROFILES
from litetuner.objectives.profiles.profile import Profile
from litetuner.objectives.targets.choice import NamedTarget, find_target
from litetuner.search.config.budgets import Budget, BudgetTexts, check_metric_budgets, parse_budgets
from litetuner.search.config.device_settings import advice, decided, memory_measurement
from litetuner.search.config.key_types import Duration, Integer, Number, Share, Size, Text, Texts, explain
from litetuner.search.config.storage_url import split_password
from litetuner.search.config.units import parse_duration
from litetuner.spaces.data.sources.images import parse_resize
from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.user_function import is_function

# What ``--objective`` can name: measurements of a file, and measurements of a file on a target.
SIZES = ("file_bytes", "compressed_bytes", "flash_bytes")
FILE_MEASUREMENTS = (*SIZES, "memory_bytes", "arena_bytes", "macs", "energy_estimate_uj")
TARGET_MEASUREMENTS = ("latency_us", "peak_rss_bytes", "energy_uj", "sram_bytes", "flash_bytes", "arena_bytes")

# Keys that may change when a run is resumed. All other keys are part of its identity.
CHANGEABLE = frozenset(
    {"out", "size", "objective", "profile", "target", "sampler", "storage", "cache_limit", "max_job_memory"}
    | {"executor", "ray_address", "store", "device"}
    | {"max_size", "max_compressed_size", "max_latency", "max_memory", "max_drop", "min_metric"}
    | {"max_sram", "max_flash"}
    | {"time_budget", "trials", "parallel", "patience", "until_met", "from_run", "json_", "debug"}
)


def _key(default: Any, description: str, **limits: Any) -> Any:
    """A key with its help text; the default ``...`` means that the key is required."""
    return pydantic.Field(default, description=description, **limits)


class Config(pydantic.BaseModel):
    """The settings of a search. Field names with ``-`` for ``_`` are flags and TOML keys; descriptions are the help."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    model: Text = _key(
        ..., "The trained model: FILE.keras, FILE.h5, FILE.tflite (float), or module:function that returns a model."
    )
    data: Text = _key(
        ..., "The data: FILE.npz, FILE.csv, a folder of images with one subfolder per class, or module:function."
    )
    out: Text | None = _key(None, "Run folder. [default: runs/<model>-<hash>]")
    metric: Text = _key("accuracy", "Metric: a name, or module:function(y_true, y_pred).")
    task: Literal["binary", "multiclass", "multilabel", "regression", "raw"] | None = _key(
        None, "How outputs and labels are read; raw: as they are. [default: decided from model, labels and metric]"
    )
    threshold: Number | None = _key(
        None, "Output above which a label holds, such as 0.5. [default: decided from the compiled loss]"
    )
    preprocess: Text | None = _key(None, "Preprocessing that the model expects: module:function(x).")
    label: Text | None = _key(None, "Column of a CSV or Parquet table that holds the labels.")
    resize: Texts = _key(
        ("bilinear",), "How images of a folder are resized: bilinear, nearest, bicubic, area; with ,crop ,pad ,upright."
    )
    loss: Text | None = _key(
        None,
        "Training loss: a tf_keras name or module:function(y_true, y_pred); of several outputs OUTPUT=LOSS,... "
        "[default: as compiled, else by the task]",
    )
    loss_weights: Text | None = _key(None, "Weights of the losses of several outputs: OUTPUT=WEIGHT,...")
    class_weights: Text | None = _key(None, "Weights of classes in training: balanced, or such as 0=1,1=4.")
    fit: Text | None = _key(None, "Your own training loop: module:function(model, dataset, epochs, callbacks, seed).")
    target: Texts = _key(
        ("host",), "Where latency is measured: host, pi=ssh://user@host, adb:SERIAL; the first one is optimized."
    )
    objective: Texts = _key((), "One more measurement to minimize, such as file_bytes or latency_us:pi.")
    profile: Text | None = _key(None, "Device class that the files must run on: mcu (microcontrollers).")
    size: Literal["compressed", "file", "flash"] = _key(
        "compressed",
        "Which size is minimized: compressed (zlib, for downloads), file, or flash (the file with look-up tables "
        "for clustered weights, as TensorFlow Lite Micro can store it).",
    )
    max_size: Size | None = _key(None, "Budget: size of the file in bytes, such as 300kB.")
    max_compressed_size: Size | None = _key(None, "Budget: compressed size (zlib) of the file, such as 60kB.")
    max_latency: Texts = _key((), "Budget: latency, such as 2ms or pi=4ms.")
    max_memory: Size | None = _key(
        None, "Budget: tensor arena and weights, such as 256kB; with --profile mcu only the arena."
    )
    max_sram: Texts = _key((), "Budget: SRAM on a target that reports it, such as 64kB or u55=64kB.")
    max_flash: Texts = _key(
        (), "Budget: flash on a target that reports it, such as 60kB or u55=60kB; else of the file."
    )
    max_drop: Share | None = _key(None, "Budget: drop of the metric against the baseline, such as 1%.")
    min_metric: Number | None = _key(
        None, "Budget: worst value of the metric that is accepted, such as 0.85 for accuracy."
    )
    time_budget: Duration | None = _key(
        None, "Time of the search, such as 30m; the final measurements come after it. [default: 30m]"
    )
    trials: Integer | None = _key(None, "Stop after this many trials in total.", ge=1)
    parallel: Integer = _key(
        1,
        "Trials at the same time (on a Ray cluster: as many as fit); only with 1 a search can be repeated exactly.",
        ge=1,
    )
    patience: Integer | None = _key(
        None, "Stop after this many trials that did not improve the Pareto front (its hypervolume).", ge=1
    )
    until_met: bool = _key(False, "Stop as soon as a file meets all budgets.")
    sampler: Text = _key("tpe", "Optuna sampler that proposes candidates: tpe, nsga2 or random.")
    steps: Texts = _key((), "Only use these steps, such as prune,int8. [default: all]")
    io: Literal["any", "float32", "int8", "uint8"] = _key(
        "any", "Input and output types of full int8 files; any: try all three."
    )
    precision: Texts = _key((), "Layers with a fixed precision, such as conv2d_3=float32,dense=int4.")
    seed: Integer = _key(0, "Seed of all random numbers.", ge=0)
    batch_size: Integer = _key(64, "Batch size for training.", ge=1)
    max_epochs: Number | None = _key(
        None, "Longest training of one step, in epochs. [default: chosen by the time budget]", gt=0
    )
    calibration: Integer = _key(300, "Number of training samples that calibrate quantization.", ge=1)
    threads: Integer = _key(1, "Threads of the runtime when latency is measured.", ge=1)
    keep_names: bool = _key(False, "Keep tensor names in the files (for debugging).")
    trust_model: bool = _key(False, "Trust the model file: loading it may execute code.")
    custom_objects: Text | None = _key(
        None, "Custom layers, module:dict; a pair (Keras 3 class, tf_keras class) can also be trained."
    )
    from_run: Text | None = _key(None, "Try the Pareto front of an earlier run first: RUN, or RUN:TRIAL.", alias="from")
    executor: Text = _key("local", "Where jobs run: local, ray (a cluster), or fake (a simulation without models).")
    device: Text = _key(
        "auto",
        "Where models are trained: cpu, gpu, gpu:N, or auto (GPUs if there are any).",
        pattern=r"^(auto|cpu|gpu(:\d+)?)$",
    )
    ray_address: Text = _key(
        "auto", "Ray cluster: auto (the one of this machine), HOST:PORT, ray://HOST:10001, or local (start one here)."
    )
    store: Text | None = _key(
        None,
        "Folder that all nodes of the Ray cluster can write: keeps results of jobs that end after the search was killed.",
    )
    storage: Text | None = _key(
        None, "PostgreSQL database that shows the Optuna study: postgresql://USER@HOST/DATABASE. [default: study.db]"
    )
    cache_limit: Size = _key(
        "10GB", "Largest size of the run's cache; files that the Pareto front needs are always kept."
    )
    max_job_memory: Size | None = _key(
        None, "Stop a job that uses more memory than this. [default: half of this machine's, at least 2GB]"
    )
    json_: bool = _key(False, "Print the summary as JSON on standard output.", alias="json")
    debug: bool = _key(False, "Show tracebacks, and log more.")

    _password: str | None = pydantic.PrivateAttr(default=None)  # of ``storage``; never written, shown or sent

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _without_password(cls, given: Any, made_of: pydantic.ModelWrapValidatorHandler[Config]) -> Config:
        if not isinstance(given, dict) or not given.get("storage"):
            return made_of(given)
        url, password = split_password(given["storage"])
        made = made_of(given | {"storage": url})
        made._password = password
        return made

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        if value == "":
            key = (info.field_name or "").replace("_", "-")
            raise ConfigError(f"{key} is empty; give it a value, or leave it out.")
        return value

    @pydantic.field_validator("resize")
    @classmethod
    def _usual_resize(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return value or ("bilinear",)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_devices(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Add the keys that the profile and the targets need. Raises ``ConfigError`` if the user set another value."""
        return decided(given)

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Config:
        """Check keys that depend on each other, so that an error appears now and not in the middle of a search."""
        if not self.target:
            raise ConfigError("target: name at least one, such as host.")
        twice = [name for name in self.targets if self.targets.count(name) > 1]
        if twice:
            raise ConfigError(f"target: two are called {twice[0]!r}; rename one: NAME={self.target[-1]}")
        known = (*FILE_MEASUREMENTS, *(f"{kind}:{name}" for kind in TARGET_MEASUREMENTS for name in self.targets))
        for name in self.objective:
            if name not in known:
                hint = nearest(name, known)
                raise ConfigError(f"objective: there is no measurement {name!r}{hint} ({', '.join(known)})")
        parse_resize(self.resize)
        self._check_budgets()
        return self

    def _check_budgets(self) -> None:
        """Raise ``ConfigError`` for a budget that no file or every file meets, or ``until_met`` without a budget."""
        budgets = self.budgets
        if self.until_met and not budgets:
            raise ConfigError("until-met: there is no budget to meet; give one, such as --max-compressed-size 60kB.")
        for budget in budgets:
            if budget.key in ("max-latency", "max-sram", "max-flash") and budget.limit <= 0:
                raise ConfigError(f"{budget.key}: must be positive (got {budget.text}).")
        check_metric_budgets(self.metric, self.min_metric, self.max_drop)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets. A user's own metric counts as maximized, since its direction is known only after inspection."""
        unknown = self.min_metric is None or is_function(self.metric.partition("@")[0])
        return self.budgets_for("maximize" if unknown else find_metric(self.metric).direction)

    def budgets_for(self, direction: Literal["maximize", "minimize"]) -> tuple[Budget, ...]:
        texts = BudgetTexts(**{field.name: getattr(self, field.name) for field in dataclasses.fields(BudgetTexts)})
        kinds = {item.name: item.target.budgets for item in self.named_targets}
        return parse_budgets(texts, direction, kinds, memory_measurement(self.named_targets, self.suited))

    @property
    def password(self) -> str | None:
        """The password from the URL of ``storage``, if it had one."""
        return self._password

    @property
    def named_targets(self) -> tuple[NamedTarget, ...]:
        """The targets with their names, in the user's order. No target is contacted."""
        return tuple(find_target(text) for text in self.target)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets, as budgets and columns use them."""
        return tuple(item.name for item in self.named_targets)

    @property
    def suited(self) -> type[Profile] | None:
        """The profile of the device class that files must run on, if any."""
        return None if self.profile is None else PROFILES[self.profile]

    @property
    def advice(self) -> tuple[str, ...]:
        """What a user should know about these settings before the search starts, one sentence each."""
        return advice(self)

    @property
    def seconds(self) -> float | None:
        """The time budget in seconds: 30 minutes by default, ``None`` if only ``trials`` is set."""
        if self.time_budget is None:
            return 1800.0 if self.trials is None else None
        return parse_duration(self.time_budget, "time-budget")

    @property
    def size_measurement(self) -> str:
        """The measurement of ``size``; flash is that of the first target that stores another (e.g. compiled) file."""
        stored = [f"flash_bytes:{item.name}" for item in self.named_targets if item.target.stores_another]
        return stored[0] if self.size == "flash" and stored else f"{self.size}_bytes"

    @property
    def latency_measurement(self) -> str:
        return f"latency_us:{self.targets[0]}"

    @property
    def target_objective(self) -> str:
        """The measurement that is minimized on the first target: its latency, or what it reports instead."""
        return f"{self.named_targets[0].target.objective}:{self.targets[0]}"


def keys() -> dict[str, str]:
    """Field names by key (``max-drop`` -> ``max_drop``)."""
    return {(field.alias or name).replace("_", "-"): name for name, field in Config.model_fields.items()}


def make_config(values: Mapping[str, Any], *, where: str = "configuration") -> Config:
    """A checked configuration from values by key or field name; a value of ``None`` means that the key was not given.

    Raises ``ConfigError``, which begins with ``where``; for an unknown key it suggests the nearest one.
    """
    known = {name.replace("_", "-").rstrip("-"): name for name in Config.model_fields} | keys()
    mark = "_" if where == "tune" else "-"  # keys have _ in Python, and - in flags and TOML
    given: dict[str, Any] = {}
    for key, value in values.items():
        spelled = str(key).replace("_", "-").rstrip("-")
        if spelled not in known:
            hint = nearest(spelled.replace("-", mark), [name.replace("-", mark) for name in known])
            raise ConfigError(f"{where}: there is no key {key!r}{hint}")
        if value is not None:
            given[known[spelled]] = value
    try:
        return Config(**given)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(explain(item) for item in error.errors())) from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
