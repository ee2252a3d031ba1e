"""Sparse encoding: a ``.tflite`` that computes in float stores only the nonzero weights and their positions."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.step import Rule, Stage, Step
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import read_model, tensors_of

SAMPLES = 8
TOLERANCE = 1e-6  # relative to the largest output: float32 rounding, since sparse kernels sum in another order

CONVERSIONS = ("float32", "float16")  # their files can be encoded
RECIPES = ("weight_only_wi8", "weight_only_wf16")  # of the quantizer: encoded files computed the same in tests


def _encodable(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    names = [step.name for step in steps]
    convert = next((step.name for step in steps if step.stage is Stage.CONVERT), None)
    if convert not in CONVERSIONS:
        yield f"{convert} -> sparse: sparse starts from a {' or '.join(CONVERSIONS)} file"
    if not any(step.makes == "sparsity" for step in steps):
        yield "sparse without prune: there are no zeros to leave out"
    if "ptq" in names:
        recipe = str(steps[names.index("ptq")].knobs()["recipe"])
        if recipe not in RECIPES:
            yield f"ptq {recipe} and sparse: only what computes in float can be encoded ({', '.join(RECIPES)})"
        elif "sparse" in names and names.index("sparse") < names.index("ptq"):
            yield "sparse -> ptq: the quantizer reads dense weights"


@dataclasses.dataclass(frozen=True)
class Sparse(Step):
    """Encodes sparse weights by TensorFlow's own pass (``mlir_sparsify``). Needs pruning first.

    About half of the weights or more must be zero. The file becomes smaller, the compressed file slightly. Weights are
    expanded when the file is loaded, so latency does not change. It works on float32 and float16 files and on files
    with int8 weights only. On other quantized files the pass produces wrong results; the rules reject these, and the
    check of the outputs finds them. A file that would grow is rejected too.
    """

    name = "sparse"
    stage = Stage.REWRITE
    order = 10
    rules = (Rule("sparse encoding", "sparse encoding works on float files with zeros", _encodable),)
    takes_tflite = True

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Offered only if the file can be encoded and no rule of an earlier step forbids it."""
        steps = (*before, cls())
        forbidden = any(True for step in steps for rule in step.rules for _ in rule.broken(steps, choices.constraints))
        return () if forbidden else super().suggest(choices, before)

    def apply(self, subject: Any, context: Context) -> bytes:
        """The encoded file. Raises ``BuildFailed`` if no weight is sparse enough or the outputs change."""
        load()
        from tensorflow.lite.python.convert import mlir_sparsify

        expected = run(subject, context.calibration[:SAMPLES])
        try:
            with quiet_stdout():
                encoded = bytes(mlir_sparsify(subject))
        except Exception as error:  # the converter may raise any exception
            raise BuildFailed(f"sparse: TensorFlow cannot encode this file: {error}") from error
        if not any(tensor.sparsity is not None for tensor in tensors_of(read_model(encoded))):
            raise BuildFailed("sparse: no weight tensor has enough zeros to be encoded. Prune before, to 0.5 or more.")
        try:
            found = run(encoded, context.calibration[:SAMPLES])
        except BuildFailed as error:
            raise BuildFailed(
                f"sparse: the encoded file does not run, as often with quantized ones: {error}"
            ) from error
        difference = expected.difference(found)
        if difference > TOLERANCE:
            raise BuildFailed(
                f"sparse: the encoded file's outputs differ by {difference:.2g} of the largest output, allowed {TOLERANCE:g}. "
                "The encoding is only reliable on float files and int8 weights."
            )
        if len(encoded) >= len(subject):
            raise BuildFailed(
                f"sparse: the encoded file would have {len(encoded):,} bytes instead of {len(subject):,}: its places cost more "
                "than its zeros save. Prune more, or leave the encoding out."
            )
        return encoded
