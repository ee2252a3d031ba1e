"""Advice on labels that do not fit the model, from their shapes and values and the shape of the model output."""

import math

import numpy as np

MOST_VALUES = 256  # up to this many different values may be class numbers in another numbering
Shape = tuple[int | None, ...]


def label_advice(y: np.ndarray, output_shape: Shape, task: str) -> str:
    """Advice on numeric labels (n, ...) that do not fit the ``task``; the metric of the task may be the mistake."""
    quantities = not (y == np.floor(y)).all()
    classes = task == "classification"
    found = []
    if classes and quantities:
        found.append("They are quantities: add --metric mae, rmse or r2.")
    if not classes or quantities:
        found.append(_shape_advice(y.shape[1:], output_shape[1:]))
    if not quantities:
        found.append(_value_advice(y, output_shape, classes))
    said = " ".join(filter(None, found))
    return said or "Is this the model of these data? If its labels are quantities, add --metric mae, rmse or r2."


def _shape_advice(sample: tuple[int, ...], expected: Shape) -> str:
    """How to give labels the shape of the output."""
    if _fits(sample, expected):
        return ""
    if _fits((*sample, 1), expected):
        return "There is an axis of 1 too few: y = y[..., None]."
    if sample[-1:] == (1,) and _fits(sample[:-1], expected):
        return "There is an axis of 1 too many: y = y[..., 0]."
    if len(sample) == 3 and _fits((*sample[1:], sample[0]), expected):
        return "The channels come first: y = np.moveaxis(y, 1, -1)."
    if sample and len(sample) == len(expected) - 1 and _fits(sample, expected[1:]):
        return "Is this a single sample? y = y[None]."
    if None not in expected and math.prod(sample) == math.prod(size or 1 for size in expected):
        return f"The number of values agrees: y = y.reshape(len(y), {', '.join(map(str, expected))})."
    return ""


def _value_advice(y: np.ndarray, output_shape: Shape, classification: bool) -> str:
    """How to convert whole numbers into the class numbers of the output, 0 to ``classes`` - 1."""
    classes = 2 if output_shape[-1] == 1 or len(output_shape) == 1 else output_shape[-1] or 0
    places, sample = output_shape[1:-1], y.shape[1:]
    numbers = np.unique(y)
    if not classification:
        known = numbers[0] >= 0 and numbers[-1] < classes
        return "They are class numbers: choose --metric accuracy." if known and sample[: len(places)] == places else ""
    if len(places) == 1 and len(sample) == 1 and not _fits(sample, places):
        return (
            f"Are they sequences of {sample[0]} out of {places[0]} steps, as CTC has them? They need a metric of your own: "
            "--metric module:function."
        )
    step = int(numbers[1] - numbers[0]) if len(numbers) > 1 else 0
    if numbers[0] == 0 and step > 1 and len(numbers) <= classes and (np.diff(numbers) == step).all():
        return f"All are multiples of {step}, as images store masks: y = y // {step}."
    if numbers[0] == 1 and numbers[-1] == classes:
        return "They seem to be counted from 1: subtract 1."
    if list(numbers) == [-1, 1]:
        return (
            "Give 0 for -1: y = (y + 1) // 2. If the model was trained with mse towards -1 and 1, its threshold is 0, and "
            "squared_hinge is the same loss: add --threshold 0 --loss squared_hinge."
        )
    inside = (numbers >= 0) & (numbers < classes)
    if len(numbers) > 1 and inside[:-1].all() and numbers[-1] == 255:
        return (
            "Does 255 mark places to ignore? They cannot be left out: give them a class, or use a metric of your own."
        )
    if inside.all() or len(numbers) > min(classes, MOST_VALUES):
        return ""
    return (
        f"They have {len(numbers)} values: np.unique(y, return_inverse=True)[1] numbers them, if that is their order."
    )


def _fits(sample: tuple[int, ...], expected: Shape) -> bool:
    return len(sample) == len(expected) and all(b in (None, a) for a, b in zip(sample, expected, strict=True))
