"""Magnitude pruning: the smallest weights of each kernel become zero (Zhu and Gupta 2017, arXiv:1710.01878; tfmot)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.bridge import clone
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused, nearest
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.training import count_steps, fit, seeded

_UPDATES = 40  # of the masks within one training: each sorts every kernel
_RAMP = 0.6  # share of the steps in which a polynomial schedule reaches its sparsity; the rest mends


@dataclasses.dataclass(frozen=True)
class Prune(Step):
    """Zeros the share ``sparsity`` of each kernel that tfmot can prune, but for the layers in ``skip``.

    "constant" sets the masks at the first step; "polynomial" raises the sparsity over the first 60 % of the steps. A probe
    gets its masks in one shot. The result is a plain model again, whose zeros were counted. A deflated file becomes about as
    much smaller as there are zeros; latency does not change.
    """

    name = "prune"
    stage = Stage.TRAIN
    needs_training_data = True

    sparsity: float = knob(0.5, (0.3, 0.5, 0.6, 0.7, 0.8, 0.9), "share of zeros in each pruned kernel, in (0, 1)")
    schedule: str = knob("polynomial", ("constant", "polynomial"), "how the sparsity rises during training")
    skip: tuple[str, ...] = knob((), None, "layers left dense")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data")
    learning_rate: float = knob(3e-4, (1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise Refused(f"prune: sparsity is {self.sparsity}, and must lie between 0 and 1")
        if self.schedule not in _SCHEDULES:
            raise Refused(f"prune: there is no schedule {self.schedule!r}{nearest(self.schedule, _SCHEDULES)}")

    def label(self) -> str:
        return f"prune{self.sparsity:g}" + (f"[-{len(self.skip)}]" if self.skip else "")

    def details(self) -> list[str]:
        return [f"prune: {name} stays dense" for name in self.skip]

    def promises(self, layer_names: Sequence[str]) -> list[tuple[str, str, Any]]:
        """What must hold in the final file: (layer, "sparsity", share) for each of the prunable ``layer_names`` not skipped."""
        return [(name, "sparsity", self.sparsity) for name in layer_names if name not in self.skip]

    def apply(self, subject: Any, context: Context) -> Any:
        """A pruned copy of a tf_keras model.

        Raises ``Refused`` when no layer is left to prune, ``BuildFailed`` when a kernel has fewer zeros than asked for.
        """
        with seeded(context.seed):
            model = clone(subject)
            chosen = _prunable(model, self.skip)
            steps = count_steps(context, self.epochs)
            if context.untrained or not steps:
                _prune_at_once(model, chosen, self.sparsity)
            else:
                model = self._train(model, chosen, steps, context)
            _check(model, chosen, self.sparsity)
            return model

    def _train(self, model: Any, chosen: Sequence[str], steps: int, context: Context) -> Any:
        import tensorflow_model_optimization as tfmot

        sparsity = tfmot.sparsity.keras
        schedule = _SCHEDULES[self.schedule](sparsity, self.sparsity, steps)

        def wrap(layer: Any) -> Any:
            return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule) if layer.name in chosen else layer

        import tf_keras

        wrapped = tf_keras.models.clone_model(model, clone_function=wrap)
        callbacks = [sparsity.UpdatePruningStep()]
        fit(
            wrapped,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            distill=self.distill,
            callbacks=callbacks,
        )
        return clone(sparsity.strip_pruning(wrapped))


def _constant(sparsity: Any, target: float, steps: int) -> Any:
    # The wrapper counts its steps from 1, so the first update is at step 1 however short the training is.
    return sparsity.ConstantSparsity(target, begin_step=1, end_step=-1, frequency=max(1, steps // _UPDATES))


def _polynomial(sparsity: Any, target: float, steps: int) -> Any:
    ramp = max(1, int(_RAMP * steps))
    frequency = max(1, ramp // _UPDATES)
    end = frequency * (ramp // frequency)  # a multiple of the frequency: an update falls on the last step of the ramp
    return sparsity.PolynomialDecay(0.0, target, begin_step=0, end_step=end, frequency=frequency)


_SCHEDULES = {"constant": _constant, "polynomial": _polynomial}


def _prunable(model: Any, skip: Sequence[str]) -> list[str]:
    """Names of the layers that tfmot can prune and that are not to be skipped."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    names = [layer.name for layer in model.layers]
    for name in skip:
        if name not in names:
            raise Refused(f"prune: there is no layer {name!r} to skip{nearest(name, names)}")
    registry = prune_registry.PruneRegistry
    able = [layer.name for layer in model.layers if layer.weights and registry.supports(layer) and _kernels(layer)]
    chosen = [name for name in able if name not in skip]
    if not chosen:
        raise Refused(f"prune: no layer is left to prune ({len(able)} can be pruned, {len(skip)} are skipped)")
    return chosen


def _kernels(layer: Any) -> list[Any]:
    """The variables that tfmot prunes in a layer which its registry supports; none for a depthwise convolution."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    # make_prunable only adds the method that names the weights; the layer is our own copy.
    return list(prune_registry.PruneRegistry.make_prunable(layer).get_prunable_weights())


def _prune_at_once(model: Any, chosen: Sequence[str], sparsity: float) -> None:
    for name in chosen:
        for kernel in _kernels(model.get_layer(name)):
            values = kernel.numpy()
            keep = max(round(values.size * (1 - sparsity)), 1)
            order = np.argsort(np.abs(values).ravel(), kind="stable")
            values.ravel()[order[: values.size - keep]] = 0
            kernel.assign(values)


def _check(model: Any, chosen: Sequence[str], sparsity: float) -> None:
    for name in chosen:
        for kernel in _kernels(model.get_layer(name)):
            zeros = int(np.count_nonzero(kernel.numpy() == 0))
            size = int(np.prod(kernel.shape))
            if zeros < sparsity * size - 1:
                raise BuildFailed(
                    f"prune: {name} has {zeros} zeros of {size} weights after training, and {sparsity:g} of them were asked for "
                    "(equal weights cannot be ranked; many equal weights come from clustering)"
                )
