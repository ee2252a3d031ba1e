"""Second-order compression after training: zeros, few values or few bits; the other weights compensate the error."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.data.calibration import COUNTS, SELECTIONS, calibration_details, check_calibration
from litetuner.spaces.errors import Refused, nearest
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.quantization.quantizer_policy import IO
from litetuner.spaces.reconstruction.allocation.choosing import (
    BY_GROUP,
    BY_LAYER,
    COUNTED,
    EVEN,
    Treated,
    choose_form,
    choose_layers,
    grouped,
)
from litetuner.spaces.reconstruction.allocation.spreading import Sensitivities
from litetuner.spaces.reconstruction.allocation.statistics import Estimate, Statistics, estimate
from litetuner.spaces.reconstruction.hessian import DAMPING
from litetuner.spaces.reconstruction.layers import layers_of
from litetuner.spaces.reconstruction.quantized import ARITHMETICS, FLOAT32, INT8, check_treatments, quantized
from litetuner.spaces.reconstruction.sequence import BITS, SAMPLES, Treatment, reconstruct, samples_of
from litetuner.spaces.step import Role, Rule, Stage, Step, knob
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.tflite.operators import names_of_layers, operators_of
from litetuner.spaces.tflite.schema import read_model

_ARITHMETIC = "reconstruct.arithmetic"


def _alone(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    for step in steps:
        if step.stage is Stage.CONVERT and not isinstance(step, Float32):
            yield f"{step.name} -> reconstruct: reconstruction starts from a float32 file"
        if step.makes in Reconstruct.undoes:
            yield f"{step.name} -> reconstruct: reconstruction would spread the values that {step.name} made"
        if step.stage is Stage.REWRITE and step.order > Reconstruct.order and step.role is not Role.SLIM:
            yield f"{step.name} and reconstruct: its file is int8 already"


@dataclasses.dataclass(frozen=True)
class Reconstruct(Step):
    """Gives a float32 file integer weights, which are solved for layer by layer from unlabeled training samples.

    The file then computes in int8, or in float32 as before (``arithmetic``). float32 arithmetic is as fast as the float
    file; it is useful where int8 is no faster.

    ``sparsity`` is distributed over layers by their sensitivity. With ``clusters`` each kernel has that many different
    values and one scale, because that compresses well. Otherwise there are scales per channel for ``bits`` 8 and 4
    (int8, int4) or 3 and 2 (7 and 3 evenly spaced values of int8). The ``keep`` most sensitive layers get plain int8.
    Convolutions, depthwise convolutions and dense layers are reconstructed, each on the outputs of the changed layers
    before it. Other layers get int8, and so do depthwise convolutions instead of int4. Biases are corrected. Zeros of
    an earlier pruning stay. (Optimal brain compression, arXiv:2208.11580, 2210.17323, 2301.00774.)

    ``layers`` are (name in the float file, sparsity, clusters, bits, levels) of layers that differ. ``levels`` is a
    number of evenly spaced values for the whole kernel, which compress best (0, or no fifth item: none). The result for
    each of these layers is verified in the finished file.
    """

    name = "reconstruct"
    stage = Stage.REWRITE
    order = 4
    rules = (Rule("reconstruction", "kernels are solved for in float and then stored as they are", _alone),)
    undoes = frozenset({"clusters"})
    role = Role.BY_LAYER
    older = MappingProxyType({"layers": (), "arithmetic": INT8})
    needs_calibration = True
    takes_tflite = True

    sparsity: float = knob(0.0, (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), "share of zeros over all kernels, in [0, 0.94]")
    clusters: int = knob(0, (0, 8, 16, 32, 64), "different values in each kernel; 0: those of bits")
    bits: int = knob(8, BITS, "of evenly spaced values: 8 and 4 are types, 3 and 2 few values of int8")
    keep: int = knob(0, (0, 1, 2, 4), "layers, the most sensitive for their size, that stay plain int8")
    io: str = knob("native", IO, "type of input and output; native: that of the arithmetic")
    calibration: int = knob(0, COUNTS, "training samples for activation ranges; 0: what --calibration says")
    selection: str = knob("balanced", SELECTIONS, "which samples: balanced, random, spread or extremes")
    layers: tuple[Treated, ...] = knob((), None, "layers that differ: name, sparsity, clusters, bits, levels")
    arithmetic: str = knob(INT8, ARITHMETICS, "what the file computes with: int8, or float32 with integer weights")

    def __post_init__(self) -> None:
        Treatment(self.sparsity, self.clusters, self.bits)
        names = [name for name, *_ in self.by_layer]
        for name in names:
            if names.count(name) > 1:
                raise Refused(f"reconstruct: layer {name!r} is named {names.count(name)} times")
        if self.keep < 0:
            raise Refused(f"reconstruct: keep is {self.keep}, and must not be negative")
        self._refuse_unknown("io", self.io, IO)
        self._refuse_unknown("arithmetic", self.arithmetic, ARITHMETICS)
        if self.arithmetic == FLOAT32 and self.io != "native":
            raise Refused("reconstruct: a file with float32 arithmetic has float32 inputs and outputs; io is for int8")
        check_calibration(self.name, self.calibration, self.selection)

    @property
    def by_layer(self) -> list[tuple[str, Treatment]]:
        return [(layer[0], Treatment(*layer[1:])) for layer in self.layers]

    def label(self) -> str:
        said = Treatment(self.sparsity, self.clusters, self.bits).text
        parts = [part for part in said.split(", ") if not part.startswith("int")] + ["by layer"] * bool(self.layers)
        types = sorted({self.precision(""), *("int4" for _, treatment in self.by_layer if treatment.bits == 4)})
        kind = ("weight-only " if self.arithmetic == FLOAT32 else "") + "/".join(reversed(types))
        return f"reconstructed {kind}" + (f" ({', '.join(parts)})" if parts else "")

    def details(self) -> list[str]:
        lines = [f"reconstruct: {name}: {treatment.text}" for name, treatment in self.by_layer]
        lines += [f"reconstruct: the {self.keep} most sensitive layers stay plain int8"] if self.keep else []
        lines += [f"reconstruct: {self.io} inputs and outputs"] if self.io != "native" else []
        return lines + calibration_details(self.name, self.calibration, self.selection)

    def weight_types(self, weights: Mapping[str, Any]) -> dict[str, str]:
        """Empty: ``apply`` verifies types and every integer by operator, because a layer may have several operators."""
        return {}

    def precision(self, layer: str) -> str:
        return "int4" if self.bits == 4 else "int8"

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Nothing: this step is chosen as a deployment."""
        return ()

    @classmethod
    def deployments(cls, choices: Choices) -> tuple[str, ...]:
        """This step, unless the user fixed precisions by layer or a layer cannot be quantized after training."""
        around = choices.constraints
        quantizable = all(layer.can("quantizer") for layer in around.model.layers)
        return (cls.name,) if cls.allowed(choices) and quantizable and not around.precision else ()

    @classmethod
    def deploy(cls, deployment: str, choices: Choices) -> tuple[Step, ...]:
        arithmetic = choices.knob(_ARITHMETIC, ARITHMETICS) if choices.takes_io("float32") else INT8
        form = choose_form(choices)
        knobs: dict[str, Any] = {}
        if form in (EVEN, COUNTED):
            name, options = ("bits", BITS) if form == EVEN else ("clusters", cls.choices("clusters")[1:])
            knobs = {name: choices.knob(f"reconstruct.{name}", options)}
            for name in ("sparsity", "keep"):
                knobs[name] = choices.knob(f"reconstruct.{name}", cls.choices(name))
        else:
            knobs = {"layers": choose_layers(form, choices)}
        io = choices.choose_io()
        integer = {"io": "native" if io == "int8" else io, **choices.choose_calibration()}
        return (Float32(), cls(**knobs, arithmetic=arithmetic, **(integer if arithmetic == INT8 else {})))

    @classmethod
    def computing_in_float(cls) -> dict[str, Any]:
        return {_ARITHMETIC: FLOAT32}

    @classmethod
    def script(cls, treatments: Mapping[str, tuple[int, float]] | None = None) -> dict[str, Any]:
        chosen = {"train": "no", "deploy": cls.name, "reconstruct.form": BY_GROUP if treatments is None else BY_LAYER}
        found: dict[str, Any] = dict(chosen) | ({"reconstruct.int4": "False"} if treatments is not None else {})
        for name, (values, sparsity) in (treatments or {}).items():
            found |= {f"reconstruct.values.{name}": values, f"reconstruct.sparsity.{name}": sparsity}
        return found

    def script_by_group(self, statistics: Statistics) -> dict[str, Any] | None:
        treatments = self._treatments_of(statistics)
        found = grouped(statistics, treatments) if treatments else None
        return None if found is None else self.script() | found

    def estimated(self, statistics: Statistics) -> Estimate | None:
        treatments = self._treatments_of(statistics)
        found = estimate(statistics, treatments) if treatments else None
        return None if found is None else dataclasses.replace(found, arithmetic=self.arithmetic)

    def _treatments_of(self, statistics: Statistics) -> dict[str, Treatment]:
        """The treatment by layer; empty if a layer's treatment depends on more than its name."""
        if self.keep or self.sparsity:
            return {}
        usual, named = Treatment(0.0, self.clusters, self.bits), dict(self.by_layer)
        return {layer.name: named.get(layer.name, usual) for layer in statistics.layers}

    def apply(self, subject: bytes, context: Context) -> bytes:
        """The file with integer weights. See ``apply_with_notes``."""
        return self.apply_with_notes(subject, context)[0]

    def apply_with_notes(self, subject: bytes, context: Context) -> tuple[bytes, list[str]]:
        """A float32 file with its weights turned into integers, and notes on the result.

        Raises ``Refused`` if there are no samples or no layers, ``BuildFailed`` with the name of a layer that has no
        solution or whose weights the quantizer stored differently.
        """
        samples = samples_of(context)
        treatments = self._treatments(subject, samples, context.seed)
        found = reconstruct(subject, samples, treatments, context.seed)
        file = quantized(found, treatments, context.calibration, self.io, self.arithmetic)
        check_treatments(found.integers, treatments if self.layers else {}, subject)
        zeros = sum(int(np.sum(integers == 0)) for integers in found.integers.values())
        total = sum(integers.size for integers in found.integers.values())
        kept = [layer.name for layer in layers_of(read_model(subject)) if treatments[layer.operator] == Treatment()]
        notes = [
            f"reconstruct: {zeros / total:.1%} of {total:,} weights in {len(treatments)} layers are zero, all read back",
            f"reconstruct: damping {DAMPING:g}, {min(len(samples), SAMPLES)} samples at most",
        ]
        return file, notes + ([f"reconstruct: plain int8 in {', '.join(kept)}"] if self.keep else [])

    def _treatments(self, file: bytes, samples: np.ndarray, seed: int) -> dict[int, Treatment]:
        """The treatment of each operator."""
        layers = layers_of(read_model(file))
        if not layers:
            raise Refused("reconstruct: the file has no convolution or dense layer with float32 weights of its own")
        kept: list[int] = []
        shares = dict.fromkeys((layer.operator for layer in layers), 0.0)
        if self.sparsity or self.keep:
            costs = _sensitivities(file, samples.tobytes(), samples.dtype, samples.shape, seed)
            kept = costs.most_sensitive(self.keep)
            shares |= costs.spread(self.sparsity, kept)
        found = {}
        for layer in layers:
            bits = 8 if self.bits == 4 and layer.kind not in int4_operators() else self.bits
            treatment = Treatment(shares[layer.operator], self.clusters, bits)
            found[layer.operator] = Treatment() if layer.operator in kept else treatment
        return found | self._named(file)

    def _named(self, file: bytes) -> dict[int, Treatment]:
        """The treatments of the operators in ``layers``. Raises ``Refused`` for unknown names and impossible types."""
        if not self.layers:
            return {}
        model = read_model(file)
        solvable = {layer.operator: layer for layer in layers_of(model)}
        known = {name: at for name, at in names_of_layers(operators_of(model)).items() if at in solvable}
        found = {}
        for name, treatment in self.by_layer:
            if name not in known:
                raise Refused(f"reconstruct: the float file has no layer {name!r} to solve for{nearest(name, known)}")
            kind = solvable[known[name]].kind
            if treatment.bits == 4 and kind not in int4_operators():
                raise Refused(f"reconstruct: {name} cannot be int4: {kind} takes no 4-bit weights")
            found[known[name]] = treatment
        return found


@functools.lru_cache(maxsize=1)
def _sensitivities(file: bytes, samples: bytes, dtype: Any, shape: tuple[int, ...], seed: int) -> Sensitivities:
    """The sensitivities of the last float file, cached because a worker builds many candidates from one file."""
    return Sensitivities(file, np.frombuffer(samples, dtype).reshape(shape), seed)
