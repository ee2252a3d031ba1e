"""Magnitude pruning: the smallest weights of each kernel become zero (Zhu and Gupta 2017, arXiv:1710.01878; tfmot)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused, nearest
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.step import HEAD, Stage, Step, knob
from litetuner.spaces.training.augmentation import CHOICES as AUGMENTATIONS
from litetuner.spaces.training.augmentation import NONE, check_augmentation
from litetuner.spaces.training.fit import TrainingHooks, count_steps, fit, seeded
from litetuner.spaces.training.sparsity import SPREADS, blocks, by_magnitude, erk, smallest, two_of_four, why_not_faster
from litetuner.spaces.training.sparsity_schedule import KNOWN, Rise

_FREE = "free"
_PATTERNS = (_FREE, "2:4")
_FOUR = ("Conv2D", "Dense")  # whose input channels are the last axis but one, as tfmot's 2:4 masks take it


@dataclasses.dataclass(frozen=True)
class Prune(Step):
    """Zeros the share ``sparsity`` of the kernels that tfmot can prune, but for the layers in ``skip`` and of types in ``leave``.

    ``spread`` gives every layer the same share ("uniform"), large kernels more ("erk"), all layers one threshold of
    magnitude ("global"), or sensitive layers less ("sensitivity", whose shares by layer stand in ``targets``; other spreads
    may bring theirs too). "constant" sets the masks at the first step; "polynomial" raises the sparsity, and a function of
    the user's does as it likes. With ``epochs`` 0, and in a probe, masks are set in one shot and nothing is trained. The
    result is a plain model again, whose zeros were counted. A compressed file becomes about as much smaller as there are
    zeros; latency hardly ever changes, and ``notes`` says why.
    """

    name = "prune"
    stage = Stage.TRAIN
    order = 20

    sparsity: float = knob(0.5, (0.3, 0.5, 0.6, 0.7, 0.8, 0.9), "share of zeros in the pruned kernels, in (0, 1)")
    schedule: str = knob("polynomial", KNOWN, "how the sparsity rises; or module:function(step) -> sparsity")
    spread: str = knob("uniform", SPREADS, "how zeros are spread over layers")
    targets: tuple[tuple[str, float], ...] = knob((), None, "share of zeros by layer, instead of what spread computes")
    pattern: str = knob(_FREE, None, "free, or 2:4: two zeros in every four neighbors")
    block: tuple[int, int] = knob((1, 1), None, "inputs and outputs of the blocks of a Dense kernel that go together")
    skip: tuple[str, ...] = knob((), None, "layers left dense")
    leave: tuple[str, ...] = knob(("Embedding", HEAD), None, "types of layers left dense; head is the last kernel")
    initial: float = knob(0.0, None, "sparsity at which the polynomial schedule begins")
    power: float = knob(3.0, None, "of the polynomial; 1 is a straight line")
    begin: float = knob(0.0, None, "share of the training after which the polynomial schedule begins")
    end: float = knob(0.6, None, "share of the training after which it ends; the rest mends")
    updates: int = knob(40, None, "of the masks in one training")
    epochs: float = knob(1.0, (0.5, 1.0, 2.0, 4.0, 8.0), "passes over the training data; 0: in one shot, untrained")
    learning_rate: float = knob(3e-4, (1e-4, 3e-4, 1e-3), "at the start; decays to 0 along a cosine")
    distill: float = knob(0.0, (0.0, 0.5, 1.0), "share of the original model's outputs in what is trained towards")
    augment: str = knob(NONE, AUGMENTATIONS, "views of images that are trained on")

    def __post_init__(self) -> None:
        check_augmentation(self.name, self.augment)
        if not 0 < self.sparsity < 1:
            raise Refused(f"prune: sparsity is {self.sparsity}, and must lie between 0 and 1")
        for kind, value, known in (("spread", self.spread, SPREADS), ("pattern", self.pattern, _PATTERNS)):
            if value not in known:
                raise Refused(f"prune: there is no {kind} {value!r}{nearest(value, known)}; known: {', '.join(known)}")
        if self.spread == "sensitivity" and not self.targets:
            raise Refused("prune: spread by sensitivity needs targets, the share of zeros by layer")
        if any(not 0 <= share < 1 for _, share in self.targets):
            raise Refused("prune: a target is a share of zeros in [0, 1)")
        if len(self.block) != 2 or min(self.block) < 1:
            raise Refused(f"prune: block is {self.block}, and must be two numbers above 0")
        if self.pattern != _FREE and (self.sparsity != 0.5 or self.spread != "uniform" or self._in_blocks):
            raise Refused("prune: 2:4 means a sparsity of 0.5, spread uniformly, without blocks")
        if self.epochs < 0:
            raise Refused(f"prune: epochs is {self.epochs:g}, and cannot be negative")
        self._rise()

    @property
    def needs_training_data(self) -> bool:  # type: ignore[override]
        return self.epochs > 0

    @property
    def _in_blocks(self) -> bool:
        return tuple(self.block) != (1, 1)

    def label(self) -> str:
        what = self.pattern if self.pattern != _FREE else f"{self.sparsity:g}"
        marks = [self.spread] if self.spread != "uniform" else []
        marks += [f"{self.block[0]}x{self.block[1]}"] if self._in_blocks else []
        marks += ["once"] if not self.epochs else []
        marks += [f"-{len(self.skip)}"] if self.skip else []
        return f"prune{what}" + (f"[{','.join(marks)}]" if marks else "")

    def details(self) -> list[str]:
        left = [f"prune: {name} stays dense" for name in self.skip]
        return left + [f"prune: {name}: {share:g} zeros" for name, share in self.targets]

    def notes(self, model: Any) -> list[str]:
        """The layers with kernels that stay dense without being named in ``skip``, and why zeros make nothing faster."""
        pruned = set(self._chosen(model))
        kernels = [layer for layer in model.layers if any(len(weight.shape) > 1 for weight in layer.weights)]
        dense = [layer.name for layer in kernels if layer.name not in pruned and layer.name not in self.skip]
        found = [f"prune: {', '.join(dense)} stay dense: a head, or nothing that tfmot prunes"] if dense else []
        shares = self._shares(model, sorted(pruned))
        described = [(*_described(layer), shares.get(layer.name, 0.0)) for layer in kernels]
        reasons = why_not_faster(described)
        verdict = f"nowhere: {'; '.join(reasons)}" if reasons else "float files on ARM may become faster"
        return [*found, f"prune: where zeros save time (XNNPACK): {verdict}"]

    def invariants(self, layer_names: Sequence[str]) -> list[tuple[Any, ...]]:
        """What must hold in the final file for the prunable ``layer_names`` that are not skipped: (layer, property, value).

        "pattern" for 2:4; "sparsity" by layer where shares by layer are known beforehand; else, for a "global" spread or one
        that only the model's shapes tell, "sparsity_of_all", with the layers as a fourth item.
        """
        names = [name for name in layer_names if name not in self.skip]
        if self.pattern != _FREE:
            return [(name, "pattern", self.pattern) for name in names]
        if self.targets:
            return [(name, "sparsity", share) for name, share in self.targets if name in names]
        if self._in_blocks:
            height, width = self.block
            return [(name, "blocks", f"{self.sparsity:g} of {height}x{width}") for name in names]
        if self.spread == "uniform":
            return [(name, "sparsity", self.sparsity) for name in names]
        return [("all pruned layers", "sparsity_of_all", self.sparsity, tuple(names))] if names else []

    def apply(self, subject: Any, context: Context) -> Any:
        """A pruned copy of a tf_keras model.

        Raises ``Refused`` when no layer is left to prune or one cannot take the pattern, ``BuildFailed`` when a kernel has
        fewer zeros than asked for.
        """
        with seeded(context.seed):
            model = clone(subject)
            chosen = self._chosen(model)
            shares = self._shares(model, chosen)
            steps = count_steps(context, self.epochs)
            if context.untrained or not steps:
                for name in shares:
                    for kernel in _kernels(model.get_layer(name)):
                        kernel.assign(np.where(self._mask(kernel.numpy(), shares[name]), kernel.numpy(), 0))
            else:
                model = self._train(model, shares, steps, context)
            self._check(model, shares)
            return model

    def _rise(self) -> Rise:
        return Rise(self.schedule, self.initial, self.power, self.begin, self.end, self.updates)

    def _train(self, model: Any, shares: Mapping[str, float], steps: int, context: Context) -> Any:
        import tensorflow_model_optimization as tfmot
        import tf_keras

        sparsity = tfmot.sparsity.keras
        rise = self._rise()
        form: dict[str, Any] = {} if self.pattern == _FREE else {"sparsity_m_by_n": (2, 4)}
        form |= {"block_size": tuple(self.block)} if self._in_blocks else {}

        def wrap(layer: Any) -> Any:
            if layer.name not in shares:
                return layer
            schedule = rise.schedule(shares[layer.name], self.sparsity, steps)
            return sparsity.prune_low_magnitude(layer, pruning_schedule=schedule, **form)

        wrapped = tf_keras.models.clone_model(model, clone_function=wrap)
        callbacks = [sparsity.UpdatePruningStep()]
        fit(
            wrapped,
            context,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            distill=self.distill,
            augment=self.augment,
            hooks=TrainingHooks(callbacks=callbacks),
        )
        return clone(sparsity.strip_pruning(wrapped))

    def _chosen(self, model: Any) -> list[str]:
        """Names of the layers that tfmot can prune and that are not to be left dense."""
        from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

        names = [layer.name for layer in model.layers]
        for name in (*self.skip, *(name for name, _ in self.targets)):
            if name not in names:
                raise Refused(f"prune: there is no layer {name!r} to skip or to prune{nearest(name, names)}")
        registry = prune_registry.PruneRegistry
        able = [layer for layer in model.layers if layer.weights and registry.supports(layer) and _kernels(layer)]
        left = set(self.skip) | self.leaves_of(model)
        chosen = [layer for layer in able if layer.name not in left]
        if not chosen:
            raise Refused(
                f"prune: no layer is left to prune ({len(able)} can be pruned; skip names {len(self.skip)}, and leave keeps "
                f"{', '.join(self.leave) or 'none'} dense)"
            )
        for layer in chosen:
            self._refuse(layer)
        if self.targets and {layer.name for layer in chosen} != {name for name, _ in self.targets}:
            odd = sorted({layer.name for layer in chosen} ^ {name for name, _ in self.targets})
            raise Refused(f"prune: targets must name every layer that is pruned and no other; see {', '.join(odd)}")
        return [layer.name for layer in chosen]

    def _refuse(self, layer: Any) -> None:
        kind, kernels = type(layer).__name__, _kernels(layer)
        if self.pattern != _FREE and kind not in _FOUR:
            raise Refused(f"prune: {layer.name} is a {kind}, and 2:4 is for {' and '.join(_FOUR)}. Add it to skip.")
        if self._in_blocks and any(len(kernel.shape) != 2 for kernel in kernels):
            raise Refused(
                f"prune: blocks are for kernels of two dimensions, and that of {layer.name} has {len(kernels[0].shape)}. "
                "Add it to skip."
            )

    def _shares(self, model: Any, chosen: Sequence[str]) -> dict[str, float]:
        """The share of zeros of each layer that gets any."""
        if self.targets:
            return {name: share for name, share in self.targets if share > 0}
        if self.spread == "uniform":
            return dict.fromkeys(chosen, self.sparsity)
        largest = {
            name: max(_kernels(model.get_layer(name)), key=lambda kernel: np.prod(kernel.shape)) for name in chosen
        }
        if self.spread == "erk":
            shares = erk({name: tuple(kernel.shape) for name, kernel in largest.items()}, self.sparsity)
        else:
            shares = by_magnitude({name: kernel.numpy() for name, kernel in largest.items()}, self.sparsity)
        return {name: share for name, share in shares.items() if share > 0}

    def _mask(self, values: np.ndarray, share: float) -> np.ndarray:
        if self.pattern != _FREE:
            return two_of_four(values)
        return blocks(values, self.block, share) if self._in_blocks else smallest(values, share)

    def _check(self, model: Any, shares: Mapping[str, float]) -> None:
        for name, share in shares.items():
            for kernel in _kernels(model.get_layer(name)):
                values = kernel.numpy()
                found = int(np.count_nonzero(values == 0))
                asked = (
                    int((~self._mask(values, share)).sum())
                    if self.pattern != _FREE or self._in_blocks
                    else share * values.size
                )
                if self.pattern != _FREE and (values[~two_of_four(values)] != 0).any():
                    raise BuildFailed(f"prune: {name} has four neighbors with fewer than two zeros after training")
                if found < asked - 1:
                    raise BuildFailed(
                        f"prune: {name} has {found} zeros of {values.size} weights after training, and {share:g} of them were "
                        "asked for (equal weights cannot be ranked; many equal weights come from clustering)"
                    )


def _described(layer: Any) -> tuple[str, tuple[int, ...], int]:
    kernel = max(layer.weights, key=lambda weight: np.prod(weight.shape))
    strides = getattr(layer, "strides", (1,))
    return type(layer).__name__, tuple(kernel.shape), int(max(strides) if isinstance(strides, tuple) else strides)


def _kernels(layer: Any) -> list[Any]:
    """The variables that tfmot prunes in a layer which its registry supports; none for a depthwise convolution."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    # make_prunable only adds the method that names the weights; the layer is our own copy.
    return list(prune_registry.PruneRegistry.make_prunable(layer).get_prunable_weights())
