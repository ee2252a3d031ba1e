"""Match the arrays of a data source with the model's inputs and with the outputs that are scored."""

from collections.abc import Iterable, Sequence

import numpy as np

from litetuner.spaces.data.named_arrays import all_finite, pack
from litetuner.spaces.data.raw import Arrays, Rows, Samples
from litetuner.spaces.errors import DataError


def samples_of(source: str, split: str, given: Samples, names: Sequence[str]) -> dict[str, Rows]:
    """Arrays by input name, in the order of ``names``; ``{"": array}`` for a single input. Raises ``DataError``."""
    if len(names) < 2:
        if not isinstance(given, dict):
            return {"": given}
        if len(given) == 1 and set(given) <= {*names, "x"}:
            return {"": next(iter(given.values()))}
        raise DataError(
            f"{source} has {_keys('x', split, given)}, and the model has one input{f' ({names[0]})' if names else ''}. "
            f"Give x_{split}."
        )
    if not isinstance(given, dict) or set(given) != set(names):
        has = f"x_{split}" if not isinstance(given, dict) else _keys("x", split, given)
        raise DataError(
            f"{source} has {has}, and the model has {len(names)} inputs ({', '.join(names)}). "
            f"Give {_keys('x', split, names)}, and the same for each split."
        )
    return {name: given[name] for name in names}


def labels_of(source: str, split: str, given: Arrays, names: Sequence[str], output: str | None) -> np.ndarray:
    """The labels of ``output``, or of all outputs in ``names`` as a structured array. Raises ``DataError``."""
    if output is None and len(names) > 1:
        return _all_labels(source, split, given, names)
    if isinstance(given, np.ndarray):
        return given
    chosen = output or (names[0] if names else "")
    if chosen not in given and not (len(given) == 1 and not names):
        raise DataError(
            f"{source} has {_keys('y', split, given)}, and the output {chosen!r} is scored. Give y_{split}:{chosen}."
        )
    return given[chosen] if chosen in given else next(iter(given.values()))


def _all_labels(source: str, split: str, given: Arrays, names: Sequence[str]) -> np.ndarray:
    if isinstance(given, np.ndarray) or not set(names) <= set(given):
        has = f"y_{split}" if isinstance(given, np.ndarray) else _keys("y", split, given)
        raise DataError(
            f"{source} has {has}, and the metric gets the labels of all outputs. Give {_keys('y', split, names)}; or score "
            f"one of them, such as --metric accuracy@{names[0]}."
        )
    lengths = {name: len(given[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{source}: the labels of y_{split} differ in number: {lengths}")
    found = {}
    for name in names:
        values = given[name]
        if values.dtype.kind not in "biuf":
            raise DataError(f"{source}: y_{split}:{name} has type {values.dtype}; labels must be numbers")
        found[name] = values.astype(np.float32 if values.dtype.kind == "f" else np.int64)
    packed = pack(found)
    if not all_finite(packed):
        raise DataError(f"{source}: y_{split} holds NaN or infinity")
    return packed


def _keys(axis: str, split: str, names: Iterable[str]) -> str:
    return " and ".join(f"{axis}_{split}:{name}" for name in names)
