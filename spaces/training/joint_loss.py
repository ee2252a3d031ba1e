"""The training loss of a model with several outputs: the weighted sum of one loss per output."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import ConfigError, nearest
from litetuner.spaces.jobs.workspace import LossSettings
from litetuner.spaces.models.decision import Decision, Evidence
from litetuner.spaces.tf import load
from litetuner.spaces.training.losses import LossWishes, choose_loss, like_outputs, make_loss, soft_loss

Loss = Callable[[Any, Any], Any]


def choose_losses(
    known: Mapping[str, Evidence],
    decisions: Mapping[str, Decision],
    asked: tuple[str | None, Mapping[str, float]],
    outputs: Sequence[Any],
    labels: np.ndarray,
    weighted: bool,
) -> LossSettings:
    """A loss for each output with a nonzero weight, tested on a few samples; ``asked`` are ``--loss`` and the weights.

    ``outputs`` are the model's outputs for these samples, in the order of ``known``. Raises ``ConfigError`` with the
    name of an output without labels, or of an output whose labels fit no loss; also if all weights are 0.
    """
    losses, weights = by_output("loss", asked[0], known), asked[1]
    found: dict[str, LossSettings] = {}
    for position, ((name, evidence), output) in enumerate(zip(known.items(), outputs, strict=True)):
        weight = weights.get(name, 1.0)
        if not weight:
            continue
        if name not in decisions:
            raise ConfigError(
                f"the output {name} has no labels for training. Give y_train:{name}, or leave it out of the training with "
                f"--loss-weights {name}=0."
            )
        wishes = LossWishes(losses.get(name), _usual(evidence), own=False, compiled=evidence.compiled)
        try:
            chosen = choose_loss(wishes, decisions[name], output, labels[name], weighted)
        except ConfigError as error:
            raise ConfigError(f"output {name}: {error}") from error
        found[name] = dataclasses.replace(chosen, position=position, weight=weight)
    if not found:
        raise ConfigError("loss-weights: all outputs have the weight 0, so there is nothing to train.")
    words = ", ".join(f"{name} {part.source}" for name, part in found.items())
    return LossSettings(" + ".join(part.name for part in found.values()), outputs=found, source=words)


def _usual(evidence: Evidence) -> str:
    return "mean_squared_error" if evidence.tasks == ("regression",) else "classification"


def by_output(key: str, given: str | None, names: Mapping[str, Any]) -> dict[str, str]:
    """The values of a list such as ``kind=mse,age=mae``, by output. Raises ``ConfigError`` for any other text."""
    found: dict[str, str] = {}
    example = ",".join(f"{name}=..." for name in names)
    for part in given.split(",") if given else ():
        name, equals, value = (item.strip() for item in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"{key}: the model has several outputs; give one for each: {example} (got {given!r}).")
        if name not in names:
            raise ConfigError(f"{key}: the model has no output {name!r}{nearest(name, names)}. Give {example}.")
        found[name] = value
    return found


def output_weights(given: str | None, compiled: Any, names: Mapping[str, Any]) -> dict[str, float]:
    """Weights of losses by output, from ``--loss-weights``, else as compiled (list or dict); other outputs have 1.

    Raises ``ConfigError`` for a weight that is not a number of 0 or more.
    """
    found: dict[str, float] = {}
    if isinstance(compiled, list | tuple):
        found |= {name: float(weight) for name, weight in zip(names, compiled, strict=False) if weight is not None}
    elif isinstance(compiled, Mapping):
        found |= {name: float(weight) for name, weight in compiled.items() if name in names and weight is not None}
    for name, text in by_output("loss-weights", given, names).items():
        try:
            found[name] = float(text)
        except ValueError as error:
            raise ConfigError(f"loss-weights: {text!r} is not a number; write for example {name}=0.5.") from error
        if not 0 <= found[name] < float("inf"):
            raise ConfigError(f"loss-weights: {name} has {text}; a weight is 0 or more.")
    return found


def joint_loss(settings: LossSettings) -> Loss:
    """The loss as a function of (labels by output, outputs in order) that returns the sum for each sample (b,)."""
    return _sum(settings, {name: make_loss(part) for name, part in settings.outputs.items()})


def joint_soft_loss(decisions: Mapping[str, Decision], settings: LossSettings) -> Loss:
    """``joint_loss`` with the outputs of another model as labels (distillation)."""
    return _sum(settings, {name: soft_loss(decisions[name], part) for name, part in settings.outputs.items()})


def _sum(settings: LossSettings, losses: Mapping[str, Loss]) -> Loss:
    tf = load()

    def loss(y: Mapping[str, Any], outputs: Sequence[Any]) -> Any:
        parts = []
        for name, part in settings.outputs.items():
            output = outputs[part.position]
            values = tf.convert_to_tensor(losses[name](like_outputs(y[name], output.shape), output))
            if values.shape.rank:
                values = tf.reduce_mean(tf.reshape(values, (tf.shape(values)[0], -1)), axis=1)
            parts.append(part.weight * values)
        return sum(parts)

    return loss
