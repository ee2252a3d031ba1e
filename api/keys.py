"""The keys of the configuration as typed keyword arguments, for editors, type checkers, ``help()`` and notebooks.

This module does not import pydantic, so it repeats the keys of the configuration. ``tests/api/test_keys.py`` verifies
that names, types and texts agree.
"""

import inspect
import textwrap
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


# Keys that several functions take.
Metric = Annotated[str | Callable[..., float], "Metric: a name, or module:function(y_true, y_pred)."]
Task = Annotated[
    Literal["binary", "multiclass", "multilabel", "regression", "raw"],
    "How outputs and labels are read; raw: as they are. [default: decided from model, labels and metric]",
]
Threshold = Annotated[float, "Output above which a label holds, such as 0.5. [default: decided from the compiled loss]"]
Preprocess = Annotated[str | Callable[..., Any], "Preprocessing that the model expects: module:function(x)."]
Label = Annotated[str, "Column of a CSV or Parquet table that holds the labels."]
Resize = Annotated[
    str | Sequence[str],
    "How images of a folder are resized: bilinear, nearest, bicubic, area; with ,crop ,pad ,upright.",
]
Loss = Annotated[
    str | Callable[..., Any],
    "Training loss: a tf_keras name or module:function(y_true, y_pred); of several outputs OUTPUT=LOSS,... "
    "[default: as compiled, else by the task]",
]
Fit = Annotated[
    str | Callable[..., Any], "Your own training loop: module:function(model, dataset, epochs, callbacks, seed)."
]
MaxSize = Annotated[str, "Budget: size of the file in bytes, such as 300kB."]
MaxCompressedSize = Annotated[str, "Budget: compressed size (zlib) of the file, such as 60kB."]
MaxLatency = Annotated[str | Sequence[str], "Budget: latency, such as 2ms or pi=4ms."]
MaxMemory = Annotated[str, "Budget: tensor arena and weights, such as 256kB; with --profile mcu only the arena."]
MaxDrop = Annotated[str, "Budget: drop of the metric against the baseline, such as 1%."]
MinMetric = Annotated[float, "Budget: worst value of the metric that is accepted, such as 0.85 for accuracy."]
TimeBudget = Annotated[str, "Time of the search, such as 30m; the final measurements come after it. [default: 30m]"]
TrustModel = Annotated[bool, "Trust the model file: loading it may execute code."]
CustomObjects = Annotated[
    str | Mapping[str, Any] | Callable[..., Mapping[str, Any]],
    "Custom layers, module:dict; a pair (Keras 3 class, tf_keras class) can also be trained.",
]
MaxJobMemory = Annotated[
    str, "Stop a job that uses more memory than this. [default: half of this machine's, at least 2GB]"
]


class ReadingKeys(TypedDict, total=False):
    """How model and data are read, and the limits on time and memory for reading them."""

    metric: Metric
    task: Task
    threshold: Threshold
    preprocess: Preprocess
    label: Label
    resize: Resize
    time_budget: TimeBudget
    trust_model: TrustModel
    custom_objects: CustomObjects
    max_job_memory: MaxJobMemory


class BudgetKeys(TypedDict, total=False):
    """The budgets that two runs are compared under."""

    max_size: MaxSize
    max_compressed_size: MaxCompressedSize
    max_latency: MaxLatency
    max_memory: MaxMemory
    max_drop: MaxDrop
    min_metric: MinMetric


class GivenKeys(TypedDict, total=False):
    """Input of a rebuild besides the record: where model and data are now, and the Python objects of the run."""

    model: Annotated[Any, "The model, where it is now; it is compared with the record by its sha256."]
    data: Annotated[Any, "The data, where they are now; they are compared with the record by their sha256."]
    metric: Metric
    preprocess: Preprocess
    loss: Loss
    fit: Fit
    custom_objects: CustomObjects


class RebuildKeys(GivenKeys, total=False):
    """The keys that ``Run.rebuild`` passes to ``rebuild``."""

    trust: Annotated[bool, "Trust the model file and the functions that the record names: they may execute code."]
    force: Annotated[bool, "Replace another file at out."]
    listener: Annotated[Any, "A Listener that gets the events."]


class OutKey(TypedDict, total=False):
    """The run folder."""

    out: Annotated[str | Path, "Run folder. [default: runs/<model>-<hash>]"]


class SettingKeys(TypedDict, total=False):
    """The keys of a search, without model, data and run folder."""

    metric: Metric
    task: Task
    threshold: Threshold
    preprocess: Preprocess
    label: Label
    resize: Resize
    loss: Loss
    loss_weights: Annotated[str, "Weights of the losses of several outputs: OUTPUT=WEIGHT,..."]
    class_weights: Annotated[str, "Weights of classes in training: balanced, or such as 0=1,1=4."]
    fit: Fit
    target: Annotated[
        str | Sequence[str],
        "Where latency is measured: host, pi=ssh://user@host, adb:SERIAL; the first one is optimized.",
    ]
    objective: Annotated[str | Sequence[str], "One more measurement to minimize, such as file_bytes or latency_us:pi."]
    profile: Annotated[str, "Device class that the files must run on: mcu (microcontrollers)."]
    size: Annotated[
        Literal["compressed", "file", "flash"],
        "Which size is minimized: compressed (zlib, for downloads), file, or flash (the file with "
        "look-up tables for clustered weights, as TensorFlow Lite Micro can store it).",
    ]
    max_size: MaxSize
    max_compressed_size: MaxCompressedSize
    max_latency: MaxLatency
    max_memory: MaxMemory
    max_sram: Annotated[str | Sequence[str], "Budget: SRAM on a target that reports it, such as 64kB or u55=64kB."]
    max_flash: Annotated[
        str | Sequence[str], "Budget: flash on a target that reports it, such as 60kB or u55=60kB; else of the file."
    ]
    max_drop: MaxDrop
    min_metric: MinMetric
    time_budget: TimeBudget
    trials: Annotated[int, "Stop after this many trials in total."]
    parallel: Annotated[
        int, "Trials at the same time (on a Ray cluster: as many as fit); only with 1 a search can be repeated exactly."
    ]
    patience: Annotated[int, "Stop after this many trials that did not improve the Pareto front (its hypervolume)."]
    until_met: Annotated[bool, "Stop as soon as a file meets all budgets."]
    sampler: Annotated[str, "Optuna sampler that proposes candidates: tpe, nsga2 or random."]
    steps: Annotated[str | Sequence[str], "Only use these steps, such as prune,int8. [default: all]"]
    io: Annotated[
        Literal["any", "float32", "int8", "uint8"], "Input and output types of full int8 files; any: try all three."
    ]
    precision: Annotated[str | Sequence[str], "Layers with a fixed precision, such as conv2d_3=float32,dense=int4."]
    seed: Annotated[int, "Seed of all random numbers."]
    batch_size: Annotated[int, "Batch size for training."]
    max_epochs: Annotated[float, "Longest training of one step, in epochs. [default: chosen by the time budget]"]
    calibration: Annotated[int, "Number of training samples that calibrate quantization."]
    threads: Annotated[int, "Threads of the runtime when latency is measured."]
    keep_names: Annotated[bool, "Keep tensor names in the files (for debugging)."]
    trust_model: TrustModel
    custom_objects: CustomObjects
    from_run: Annotated[str | Path, "Try the Pareto front of an earlier run first: RUN, or RUN:TRIAL."]
    executor: Annotated[str, "Where jobs run: local, ray (a cluster), or fake (a simulation without models)."]
    device: Annotated[str, "Where models are trained: cpu, gpu, gpu:N, or auto (GPUs if there are any)."]
    ray_address: Annotated[
        str, "Ray cluster: auto (the one of this machine), HOST:PORT, ray://HOST:10001, or local (start one here)."
    ]
    store: Annotated[
        str,
        "Folder that all nodes of the Ray cluster can write: keeps results of jobs that end after the search was killed.",
    ]
    storage: Annotated[
        str, "PostgreSQL database that shows the Optuna study: postgresql://USER@HOST/DATABASE. [default: study.db]"
    ]
    cache_limit: Annotated[str, "Largest size of the run's cache; files that the Pareto front needs are always kept."]
    max_job_memory: MaxJobMemory


class SearchKeys(OutKey, SettingKeys, total=False):
    """The keys of ``tune`` besides model and data. Defaults are those that ``litetuner search --help`` shows."""


def with_keys(keys: Any) -> Callable[[F], F]:
    """Add every key to the signature and the docstring of a function that takes ``**keys: Unpack[keys]``."""
    hints = {name: typing.get_args(hint) for name, hint in typing.get_type_hints(keys, include_extras=True).items()}
    lines = [
        textwrap.fill(f"{name}: {text}", 110, initial_indent="    ", subsequent_indent="        ")
        for name, (_, text) in hints.items()
    ]

    def add(function: F) -> F:
        own = inspect.signature(function)
        named = [part for part in own.parameters.values() if part.kind is not inspect.Parameter.VAR_KEYWORD]
        named += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, (kind, _) in hints.items()
        ]
        function.__signature__ = own.replace(parameters=named)  # type: ignore[attr-defined]
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nKeyword Args:\n" + "\n".join(lines)
        return function

    return add
