"""What the steps of a label mean: ``ptq_static_wi8_ai8_mse_tensor[io=float32]`` says nothing to whoever did not write it."""

from __future__ import annotations

import functools
import re
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.spaces.step import Step

RECIPE = re.compile(r"(dynamic|static|weight_only)?_?wi(\d+)(?:_a([if])(\d+))?")
KINDS = {
    "dynamic": "activations are quantized while it runs",
    "static": "ranges of the activations come from calibration samples",
    "weight_only": "arithmetic stays in float",
}


@functools.lru_cache(maxsize=4096)
def step_words(step: Step) -> str:
    """One sentence on the technique, then what each knob that differs from its default stands for."""
    first = re.split(r"(?<=\.)\s|\n\n", (type(step).__doc__ or "").strip().replace("``", ""))[0]
    told = [] if first.startswith(type(step).__name__ + "(") else [" ".join(first.split()).rstrip(".")]
    recipe = RECIPE.fullmatch(str(step.knobs().get("recipe", "")))
    if recipe is not None:
        told.append(_recipe(recipe))
    fields: dict[str, Any] = type(step).__dataclass_fields__
    for name, value in step.knobs().items():
        help_text = str(fields[name].metadata.get("help", ""))
        if name != "recipe" and help_text and value != fields[name].default and not isinstance(value, tuple):
            told.append(f"{name.replace('_', ' ')} = {value}: {help_text}")
    return clean(". ".join(part for part in told if part) + ".", 600) if any(told) else ""


def _recipe(found: re.Match[str]) -> str:
    kind, weights, letter, activations = found.groups()
    text = f"Weights of {weights} bits"
    if letter:
        text += f", activations {'integers' if letter == 'i' else 'floats'} of {activations} bits"
    return text + (f"; {KINDS[kind]}" if kind else "")


def label_words(steps: tuple[Step, ...]) -> str:
    """The same for a whole recipe, a line for each step."""
    return "\n".join(f"{step.label() or step.name}: {said}" for step in steps if (said := step_words(step)))
