"""File names from names that came from outside."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 100


def safe_name(text: str, longest: int = LONGEST) -> str:
    """Letters, digits, ``. _ + -`` only, no leading dot or dash, at most ``longest`` characters, never empty."""
    folded = unicodedata.normalize("NFKD", text[: 4 * longest]).encode("ascii", "ignore").decode()
    kept = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9._+-]", "_", folded)).lstrip("._-+")
    return kept[:longest].rstrip("._-+") or "model"


def artifact_name(model: str, label: str) -> str:
    """``<model>-<label>.tflite``, at most 100 characters; a long label is cut, for the whole of it stands in trial.json."""
    suffix = ".tflite"
    stem = safe_name(model.removesuffix(".keras").removesuffix(".h5"), 48)
    return f"{stem}-{safe_name(label, LONGEST - len(suffix) - len(stem) - 1)}{suffix}"
