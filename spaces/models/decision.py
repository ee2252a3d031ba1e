"""How to interpret a model's outputs.

It is decided once, from the user's settings, the compiled loss, the last activation and the labels.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from litetuner.spaces.data.arrays import chunks
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.record import Record

CLASSIFICATION = ("binary", "multiclass", "multilabel")
TASKS = (*CLASSIFICATION, "regression", "raw")
Activation = Literal["softmax", "sigmoid", "none"]

_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error"}
_ALIASES |= {"msle": "mean_squared_logarithmic_error", "bce": "binary_crossentropy", "kld": "kl_divergence"}
_ALIASES |= {"k_l_divergence": "kl_divergence", "kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh"}
SIGMOID_LOSSES = ("binary_crossentropy", "binary_focal_crossentropy")
SOFTMAX_LOSSES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy")
HINGES = ("hinge", "squared_hinge", "categorical_hinge")
# Losses that train outputs to equal the labels, which are 0 and 1 for classes.
_ERRORS = ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error")
NUMBER_LOSSES = (*_ERRORS, "mean_squared_logarithmic_error", "huber", "log_cosh", "poisson", "cosine_similarity")
KNOWN_LOSSES = (*SIGMOID_LOSSES, *SOFTMAX_LOSSES, "kl_divergence", *HINGES, *NUMBER_LOSSES)
_PROBABILITIES: dict[str, Activation] = {"softmax": "softmax", "sigmoid": "sigmoid", "hard_sigmoid": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class OutputSettings(Record):
    """The user's settings for the outputs; ``None``: to be decided."""

    task: str | None = None
    threshold: float | None = None


@dataclasses.dataclass(frozen=True)
class CompiledLoss(Record):
    """The loss that a model was compiled with, and the ``threshold`` of a compiled ``BinaryAccuracy`` if it has one.

    ``name`` is Keras's full name of the loss (``mean_squared_error`` if ``written`` is ``mse``). For a custom loss it
    is the user's name, and the loss is not ``known``.
    """

    name: str
    written: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    threshold: float | None = None

    @property
    def known(self) -> bool:
        return self.name in KNOWN_LOSSES

    @property
    def from_logits(self) -> bool:
        return bool(self.config.get("from_logits"))

    @property
    def words(self) -> str:
        return f"the compiled loss {self.written}{' of logits' if self.from_logits else ''}"


@dataclasses.dataclass(frozen=True)
class Decision(Record):
    """How to interpret the outputs. ``threshold`` is in units of the raw outputs.

    ``threshold`` ``None`` means: the class with the highest output, or no classes. ``activation`` is the function that
    made the outputs probabilities, or would do so if ``outputs`` are logits; "none" if there is neither, for example
    after mse.
    """

    task: str
    threshold: float | None
    outputs: Literal["probabilities", "logits", "scores"]
    activation: Activation
    evidence: str

    @property
    def link(self) -> Activation:
        """The function that converts raw outputs into probabilities."""
        return self.activation if self.outputs == "logits" else "none"

    @property
    def words(self) -> str:
        """The decision as text, such as ``binary, threshold 0.5, from the compiled loss mean_squared_error``."""
        if self.task not in CLASSIFICATION:
            return f"{self.task}, {self.evidence}"
        rule = f"argmax of {self.outputs}" if self.threshold is None else f"threshold {self.threshold:g}"
        also = " (logits)" if self.threshold is not None and self.outputs == "logits" else ""
        return f"{self.task}, {rule}{also}, {self.evidence}"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known before the labels are read.

    ``tasks`` are the tasks of the metric, ``activation`` is the last activation before the scored output.
    """

    metric: str
    tasks: tuple[str, ...]
    activation: str
    output_shape: tuple[int | None, ...]
    compiled: CompiledLoss | None = None
    asked: OutputSettings = OutputSettings()


def likely_tasks(activation: str, compiled: CompiledLoss | None) -> tuple[str, ...]:
    """The possible tasks of an output without a metric, from its compiled loss or else from its activation."""
    if compiled is not None and compiled.known:
        return ("regression",) if compiled.name in NUMBER_LOSSES else CLASSIFICATION
    return CLASSIFICATION if activation in _PROBABILITIES else ("regression",)


def canonical_loss(name: str) -> str:
    """Keras's function name of a loss: ``mse`` and ``MeanSquaredError`` become ``mean_squared_error``."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() if not name.isupper() else name.lower()
    return _ALIASES.get(snake, snake)


def compiled_loss(settings: Mapping[str, Any] | None, output: str, index: int) -> CompiledLoss | None:
    """The loss of one output, by its name or index, from stored Keras compile settings; ``None`` if there is none."""
    loss = (settings or {}).get("loss")
    if isinstance(loss, list | tuple):
        loss = loss[index] if index < len(loss) else None
    elif isinstance(loss, Mapping) and "class_name" not in loss:
        loss = loss.get(output)
    if isinstance(loss, Mapping):
        config = loss.get("config")
        named = isinstance(config, str)  # a function is stored by its name
        name, config = (config, {}) if named else (loss["class_name"], dict(config or {}))
    else:
        name, config = loss, {}
    if not isinstance(name, str):
        return None
    own = _metrics_of((settings or {}).get("metrics"), output, index)
    thresholds = [value for value in _thresholds(own) if value != 0.5]  # Keras's default
    kept = {key: value for key, value in config.items() if isinstance(value, bool | int | float)}
    return CompiledLoss(canonical_loss(name), name, kept, thresholds[0] if thresholds else None)


def _metrics_of(metrics: Any, output: str, index: int) -> Any:
    """The metrics of one output: by its name, or by its index if there is a list for each output, else all."""
    if isinstance(metrics, Mapping) and "class_name" not in metrics:
        return metrics.get(output, next(iter(metrics.values())) if len(metrics) == 1 else None)
    if isinstance(metrics, list | tuple) and any(isinstance(item, list | tuple) for item in metrics):
        return metrics[index] if index < len(metrics) else None
    return metrics


def _thresholds(metrics: Any) -> Iterable[float]:
    if isinstance(metrics, Mapping):
        if metrics.get("class_name") == "BinaryAccuracy":
            yield float(metrics["config"].get("threshold", 0.5))
        return
    for item in metrics if isinstance(metrics, list | tuple) else ():
        yield from _thresholds(item)


def decide(known: Evidence, labels: Iterable[np.ndarray]) -> Decision:
    """The decision for a model. ``labels`` (n, ...) are the user's, by split.

    Raises ``ConfigError`` for contradicting settings.
    """
    given = list(labels)
    task = _task(known, given)
    outputs, activation, why = _outputs(known, task)
    if task not in CLASSIFICATION:
        return Decision(task, None, outputs, activation, f"from the metric {known.metric}")
    asked = known.asked.threshold
    if task == "multiclass":
        if asked is not None:
            raise ConfigError(
                "threshold: the model tells several classes apart, and the highest output wins. Leave --threshold out, or give "
                "--task multilabel for labels that may be several at once."
            )
        return Decision(task, None, outputs, activation, why)
    if asked is not None:
        return Decision(task, asked, outputs, activation, "as --threshold says")
    if known.compiled is not None and known.compiled.threshold is not None:
        said = known.compiled.threshold
        return Decision(task, said, outputs, activation, "from the compiled metric BinaryAccuracy")
    hinge = outputs == "scores" and known.compiled is not None and known.compiled.name in HINGES
    return Decision(task, 0.0 if outputs == "logits" or hinge else 0.5, outputs, activation, why)


def _task(known: Evidence, labels: list[np.ndarray]) -> str:
    asked, shape = known.asked.task, known.output_shape
    if asked is not None:
        if asked not in known.tasks:
            raise ConfigError(f"task: {known.metric} is a metric of {' or '.join(known.tasks)}, not of {asked}.")
        several = len(shape) > 1 and shape[-1] != 1
        if asked in CLASSIFICATION and (asked != "binary") != several:
            raise ConfigError(f"task: {asked} does not fit a model whose output has shape {shape[1:]}.")
        return asked
    if "raw" in known.tasks or known.tasks == ("regression",):
        return "raw" if "raw" in known.tasks else "regression"
    if len(shape) == 1 or shape[-1] == 1:
        found = "binary"
    else:
        several = known.activation != "softmax" and any(is_multi_hot(y, shape) for y in labels)
        found = "multilabel" if several else "multiclass"
    if found not in known.tasks:
        raise ConfigError(
            f"metric: {known.metric} is a metric of {' or '.join(known.tasks)}, and the labels are {found}."
        )
    return found


def is_multi_hot(y: np.ndarray, output_shape: tuple[int | None, ...]) -> bool:
    """True if the labels are a column of 0 and 1 for each output, and some row does not have exactly one 1."""
    fits = y.ndim == len(output_shape) and y.shape[-1] == output_shape[-1] and y.dtype.kind in "biuf"
    if not fits or not all(((part == 0) | (part == 1)).all() for part in chunks(y)):
        return False
    return any(bool((part.sum(axis=-1) != 1).any()) for part in chunks(y))


def _outputs(known: Evidence, task: str) -> tuple[Literal["probabilities", "logits", "scores"], Activation, str]:
    """What the outputs are, the function that gives probabilities, and the evidence for it as text."""
    last = f"from the last activation {known.activation}"
    loss, made = known.compiled, _PROBABILITIES.get(known.activation)
    if made is not None:
        agrees = loss is not None and loss.name in (*SIGMOID_LOSSES, *SOFTMAX_LOSSES)
        return "probabilities", made, f"from {loss.words}" if loss is not None and agrees else last
    if loss is not None and loss.name in (*NUMBER_LOSSES, *HINGES):
        return "scores", "none", f"from {loss.words}"
    for names, activation in ((SIGMOID_LOSSES, "sigmoid"), (SOFTMAX_LOSSES, "softmax")):
        if loss is not None and loss.name in names:
            return "logits" if loss.from_logits else "probabilities", activation, f"from {loss.words}"  # type: ignore[return-value]
    if task in ("regression", "raw"):
        return "scores", "none", last
    asked = known.asked.threshold
    if asked is not None and 0 < asked < 1:  # not a threshold for logits
        return "scores", "none", last
    hint = " (no compiled loss is stored; --threshold 0.5 if it was trained with mse)" if task != "multiclass" else ""
    return "logits", "softmax" if task == "multiclass" else "sigmoid", last + hint
