"""What the steps of a candidate mean, in words, from their docstrings and knobs."""

from __future__ import annotations

import functools
import re
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.spaces.step import Step

RECIPE = re.compile(r"(dynamic|static|weight_only)?_?wi(\d+)(?:_a([if])(\d+))?")
KINDS = {
    "dynamic": "activations are quantized at run time",
    "static": "activation ranges come from calibration samples",
    "weight_only": "computation stays in float",
}


@functools.lru_cache(maxsize=4096)
def step_words(step: Step) -> str:
    """One sentence on the technique, then the meaning of each knob that differs from its default."""
    first = re.split(r"(?<=\.)\s|\n\n", (type(step).__doc__ or "").strip().replace("``", ""))[0]
    parts = [] if first.startswith(type(step).__name__ + "(") else [" ".join(first.split()).rstrip(".")]
    recipe = RECIPE.fullmatch(str(step.knobs().get("recipe", "")))
    if recipe is not None:
        parts.append(_recipe(recipe))
    fields: dict[str, Any] = type(step).__dataclass_fields__
    for name, value in step.knobs().items():
        help_text = str(fields[name].metadata.get("help", ""))
        if name != "recipe" and help_text and value != fields[name].default and not isinstance(value, tuple):
            parts.append(f"{name.replace('_', ' ')} = {value}: {help_text}")
    return clean(". ".join(part for part in parts if part) + ".", 600) if any(parts) else ""


def _recipe(found: re.Match[str]) -> str:
    kind, weights, letter, activations = found.groups()
    text = f"{weights}-bit weights"
    if letter:
        text += f", {activations}-bit {'integer' if letter == 'i' else 'float'} activations"
    return text + (f"; {KINDS[kind]}" if kind else "")


def label_words(steps: tuple[Step, ...]) -> str:
    """The same for all steps of a candidate, one line each."""
    return "\n".join(f"{step.label() or step.name}: {said}" for step in steps if (said := step_words(step)))
