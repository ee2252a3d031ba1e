"""Training losses by name, by function, or as compiled. They are tested on samples once, when a model is inspected."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import ConfigError, keras_error_text, nearest
from litetuner.spaces.jobs.workspace import LossSettings
from litetuner.spaces.models.decision import KNOWN_LOSSES, NUMBER_LOSSES, CompiledLoss, Decision, canonical_loss
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load
from litetuner.spaces.user_function import is_function, load_function

Loss = Callable[[Any, Any], Any]
# Numbers of samples to test a loss with. The first one that is no size of an output axis is used, so that nothing
# broadcasts by chance.
TRIED = (5, 7, 11)
_SPARSE = "sparse_categorical_crossentropy"


@dataclasses.dataclass(frozen=True)
class LossWishes:
    """The sources of a loss: ``asked`` (``--loss``), the loss that suits the metric, and the compiled one.

    ``own`` is true if the user chose the metric. The order is: ``asked``, ``metric`` if ``own``, ``compiled``,
    ``metric``.
    """

    asked: str | None
    metric: str
    own: bool
    compiled: CompiledLoss | None


def make_loss(settings: LossSettings) -> Loss:
    """The loss as a function of (y, outputs). Raises ``ConfigError`` for an unknown name."""
    loss = _of_name(settings.name, settings.config)
    classes = settings.one_hot
    return loss if classes is None else lambda y, outputs: loss(_rows(y, classes), outputs)


def _rows(y: Any, classes: int) -> Any:
    tf = load()
    return tf.one_hot(tf.cast(y, tf.int32), classes)


def _of_name(name: str, config: dict[str, Any]) -> Any:
    load()
    import tf_keras

    if is_function(name):
        return load_function(name, "loss")
    classes = {canonical_loss(key): value for key, value in vars(tf_keras.losses).items() if isinstance(value, type)}
    if config and name in classes:
        return classes[name](**config, reduction="none")
    try:
        return tf_keras.losses.get(name)
    except ValueError as error:
        raise ConfigError(
            f"there is no loss {name!r}{nearest(name, _known())}. Give a tf_keras loss name (mse, mae, huber...) or "
            "module:function."
        ) from error


def _known() -> list[str]:
    import tf_keras

    return ["classification", *(key for key in vars(tf_keras.losses) if not key.startswith("_"))]


def mean_loss(loss: Loss, y: Any, outputs: Any, weights: Any = None) -> Any:
    """The mean loss of a batch; with ``weights`` (b,), the mean of the weighted losses of its samples."""
    tf = load()
    values = loss(y, outputs)
    if weights is not None:
        values = weights * tf.reduce_mean(tf.reshape(values, (tf.shape(weights)[0], -1)), axis=1)
    return tf.reduce_mean(values)


def like_outputs(y: Any, shape: Any) -> Any:
    """Labels (n, ...), with a last axis of size 1 if the outputs have it: (n,) and (n, 1) would broadcast to (n, n)."""
    return y[..., None] if len(shape) == len(y.shape) + 1 and shape[-1] == 1 else y


def named(name: str, decision: Decision | None, config: dict[str, Any] | None = None) -> LossSettings:
    """The settings of a loss by name. "classification" becomes the cross-entropy that fits the task.

    If a loss has the option ``from_logits``, it is set according to the decision.
    """
    load()
    import tf_keras

    if is_function(name):
        return LossSettings(name)
    name = canonical_loss(name)
    if name == "classification":
        name = _by_task(decision)
    classes = {canonical_loss(key): value for key, value in vars(tf_keras.losses).items() if isinstance(value, type)}
    if name not in classes:
        return LossSettings(name)
    known = inspect.signature(classes[name]).parameters
    kept = {key: value for key, value in (config or {}).items() if key in known}
    if "from_logits" in known:
        kept["from_logits"] = decision is not None and decision.outputs == "logits"
    return LossSettings(name, kept)


def _by_task(decision: Decision | None) -> str:
    if decision is None or decision.activation == "none":
        return "mean_squared_error"
    if decision.activation == "sigmoid":
        return "binary_crossentropy"
    return _SPARSE if decision.task in ("multiclass", "raw") else "categorical_crossentropy"


def class_weights(asked: str | None, classes: int | None, y: np.ndarray) -> tuple[float, ...] | None:
    """The weight of each class by number, from "balanced" (all classes count the same) or text such as ``0=1,1=4``.

    Classes that are not in the text have the weight 1. Returns ``None`` if ``asked`` is ``None``. Raises
    ``ConfigError`` for any other text, and if labels are not one class number per sample.
    """
    if asked is None:
        return None
    if classes is None or y.ndim != 1:
        raise ConfigError("class-weights: they are for models that name one class a sample. Give w_train in the data.")
    if asked == "balanced":
        counts = np.bincount(y, minlength=classes)
        return tuple(float(len(y) / (np.count_nonzero(counts) * count)) if count else 0.0 for count in counts)
    found = [1.0] * classes
    for part in asked.split(","):
        number, _, weight = part.partition("=")
        try:
            found[range(classes)[int(number)]] = float(weight)
        except (ValueError, IndexError) as error:
            raise ConfigError(
                f"class-weights: {part!r} is not CLASS=WEIGHT with a class from 0 to {classes - 1}; give balanced, or such as "
                "0=1,1=4."
            ) from error
    return tuple(found)


def soft_loss(decision: Decision | None, settings: LossSettings) -> Loss:
    """The loss with another model's outputs as labels: a cross-entropy if the decision says they are probabilities."""
    made = "none" if decision is None else decision.activation
    if made != "none":
        return make_loss(named("binary_crossentropy" if made == "sigmoid" else "categorical_crossentropy", decision))
    return make_loss(settings if settings.name in NUMBER_LOSSES else LossSettings("mean_squared_error"))


def tried_outputs(model: Any, x: np.ndarray) -> list[Any]:
    """The outputs of a tf_keras model, in order, for a few of the samples ``x`` (n, ...)."""
    sizes = {size for output in model.outputs for size in output.shape}
    count = next((size for size in TRIED if size not in sizes), TRIED[-1])
    found = model(feed(model, x[np.arange(count) % len(x)]), training=False)
    return list(found) if isinstance(found, list | tuple) else [found]


def choose_loss(
    wishes: LossWishes, decision: Decision | None, outputs: Any, y: np.ndarray, weighted: bool
) -> LossSettings:
    """The first loss that fits the labels (n, ...) and the outputs for a few samples (``tried_outputs``).

    With ``weighted`` it must return a value for each sample. Raises ``ConfigError`` with the reasons if none fits.
    """
    labels = y[np.arange(len(outputs)) % len(y)]
    failed: list[str] = []
    for settings in _candidates(wishes, decision):
        for form in _forms(settings, decision, tuple(outputs.shape)):
            problem = _problem(form, outputs, labels, weighted)
            if problem is None:
                return form
            how = "one-hot rows" if form.one_hot else "class numbers" if labels.dtype.kind in "iu" else "labels"
            failed.append(
                f"{settings.name} ({settings.source}) fails on {how} of shape {('n', *y.shape[1:])}: {problem}"
            )
    if not failed and wishes.compiled is not None:
        failed.append(
            f"It was compiled with {wishes.compiled.written}, a function of its own, which is not in the file."
        )
    shown = f"the model gives {('n', *outputs.shape[1:])}".replace("'", "")
    raise ConfigError(f"no training loss fits; {shown}. " + " ".join(failed).replace("'n'", "n"))


def _candidates(wishes: LossWishes, decision: Decision | None) -> Iterator[LossSettings]:
    if wishes.asked is not None:
        yield dataclasses.replace(named(wishes.asked, decision), source="as --loss says")
        return
    if wishes.own:
        yield dataclasses.replace(named(wishes.metric, decision), source="from the metric")
    if wishes.compiled is not None and wishes.compiled.known:
        found = named(wishes.compiled.name, decision, wishes.compiled.config)
        yield dataclasses.replace(found, source="as the model was compiled")
    raw = decision is None or decision.task == "raw"
    if not wishes.own and not (raw and wishes.compiled is not None):  # no guess for a raw output of a compiled model
        yield dataclasses.replace(named(wishes.metric, decision), source="by the task")
        if raw and decision is not None and decision.activation == "softmax":
            yield dataclasses.replace(named("categorical_crossentropy", decision), source="by the task")


def _forms(settings: LossSettings, decision: Decision | None, shape: Sequence[int]) -> list[LossSettings]:
    """The settings for each form of labels that a loss may accept: class numbers, one-hot rows, or unchanged."""
    if decision is None or decision.task != "multiclass" or settings.name == _SPARSE:
        return [settings]
    rows = dataclasses.replace(settings, one_hot=int(shape[-1]))
    return [rows] if settings.name in KNOWN_LOSSES else [settings, rows]


def _problem(settings: LossSettings, outputs: Any, y: np.ndarray, weighted: bool) -> str | None:
    """The reason why training with a loss fails; ``None`` if it works. The loss is traced, as in training."""
    tf = load()
    loss = make_loss(settings)

    def gradient(y: Any, outputs: Any) -> tuple[Any, Any, Any]:
        values = tf.convert_to_tensor(loss(y, outputs))
        if weighted and values.shape.rank == 0:
            raise ValueError("it gives one number for a batch; with weights it must give one for each sample")
        mean = tf.reduce_mean(values)
        (slope,) = tf.gradients(mean, outputs)
        if slope is None:
            raise ValueError("it does not depend on the outputs")
        return values, mean, slope

    if y.dtype.kind == "U":
        return "labels are text."
    try:
        values, mean, slope = tf.function(gradient)(tf.constant(like_outputs(y, outputs.shape)), outputs)
    except Exception as error:  # the user's function and TensorFlow may raise any exception
        return keras_error_text(error)
    if tuple(values.shape) != tuple(outputs.shape)[: len(values.shape)]:
        return f"it gives an array of shape {tuple(values.shape)} for outputs of shape {tuple(outputs.shape)}."
    if not np.isfinite(mean.numpy()) or not np.isfinite(slope.numpy()).all():
        return "its value or its gradient is not finite."
    return None
