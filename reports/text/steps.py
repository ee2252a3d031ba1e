"""Explanations of a candidate's steps, made from their docstrings and knobs."""

import functools
import re

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
    """One or two sentences about the technique of a step, without its knobs."""
    first = re.split(r"(?<=\.)\s|\n\n", (type(step).__doc__ or "").strip().replace("``", ""))[0]
    parts = [] if first.startswith(type(step).__name__ + "(") else [" ".join(first.split()).rstrip(".")]
    recipe = RECIPE.fullmatch(str(step.knobs().get("recipe", "")))
    if recipe is not None:
        parts.append(_recipe(recipe))
    return clean(". ".join(part for part in parts if part) + ".", 600) if any(parts) else ""


def knob_help(step: Step, name: str) -> str:
    """The help text of a knob, with ``(default)`` if it has its default value."""
    field = type(step).__dataclass_fields__[name]
    default = " (default)" if step.knobs()[name] == field.default else ""
    return clean(str(field.metadata.get("help", "")), 300) + default


def _recipe(found: re.Match[str]) -> str:
    kind, weights, letter, activations = found.groups()
    text = f"{weights}-bit weights"
    if letter:
        text += f", {activations}-bit {'integer' if letter == 'i' else 'float'} activations"
    return text + (f"; {KINDS[kind]}" if kind else "")


def label_words(steps: tuple[Step, ...]) -> str:
    """The explanations of all steps of a candidate, one line for each step."""
    return "\n".join(f"{step.label() or step.name}: {said}" for step in steps if (said := step_words(step)))
