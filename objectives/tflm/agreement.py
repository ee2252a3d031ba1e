"""Compare the outputs of two ways to run a file, byte by byte; and the inputs and outputs of a file."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import unpack
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.interpreter import as_input, signature_names


@dataclasses.dataclass(frozen=True)
class Agreement:
    """``equal`` of ``samples`` gave the same bytes in all outputs; ``largest`` is the largest raw difference."""

    samples: int
    equal: int
    largest: float

    @property
    def same(self) -> bool:
        return self.equal == self.samples

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def compare_outputs(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Agreement:
    """Compare raw outputs by position, bit by bit. Raises ``BuildFailed`` if shapes or types differ."""
    if [(values.shape, values.dtype) for values in first] != [(values.shape, values.dtype) for values in second]:
        raise BuildFailed("the outputs have other shapes or types")
    samples = len(first[0])
    equal, largest = np.ones(samples, bool), 0.0
    for mine, other in zip(first, second, strict=True):
        flat = (np.ascontiguousarray(mine).reshape(samples, -1), np.ascontiguousarray(other).reshape(samples, -1))
        bits = [values.view(np.uint8).reshape(samples, -1) for values in flat]
        equal &= (bits[0] == bits[1]).all(axis=1)
        gap = np.abs(flat[0].astype(np.float64) - flat[1].astype(np.float64))
        largest = max(largest, float(np.nanmax(gap, initial=0.0)))
    return Agreement(samples, int(equal.sum()), largest)


class FilePorts:
    """The inputs and outputs of a file by position, as LiteRT reports them. The file is loaded but not run."""

    def __init__(self, file: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=file, num_threads=1)
        except (ValueError, RuntimeError) as error:
            raise BuildFailed(f"the runtime does not load the file: {error}") from error
        self.inputs: list[dict[str, Any]] = self._interpreter.get_input_details()
        self.outputs: list[dict[str, Any]] = self._interpreter.get_output_details()

    def names(self, details: Sequence[dict[str, Any]], side: int) -> list[str]:
        """The names of inputs (``side`` 0) or outputs (1) in the file's signature, in the order of ``details``."""
        named = signature_names(self._interpreter)
        if named is None:
            raise BuildFailed("the file has several inputs or outputs, and no signature that names them")
        return [named[side][detail["index"]] for detail in details]

    def raw_inputs(self, x: np.ndarray) -> list[np.ndarray]:
        """Samples ``x`` (n, *sample) converted to the types of the file's inputs, by position."""
        parts = unpack(x)
        if len(parts) == 1:
            return [as_input(next(iter(parts.values())), self.inputs[0])]
        return [
            as_input(parts[name], detail) for name, detail in zip(self.names(self.inputs, 0), self.inputs, strict=True)
        ]
