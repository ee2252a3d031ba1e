"""Safe file names, made from untrusted names such as those of models."""

import re
import unicodedata

from litetuner.spaces.candidate import Candidate

LONGEST = 100
ID_DIGITS = 6


def safe_name(text: str, longest: int = LONGEST) -> str:
    """A file name of ASCII letters, digits and ``. _ + -``, with no symbol at its ends, at most ``longest`` long."""
    folded = unicodedata.normalize("NFKD", text[: 4 * longest]).encode("ascii", "ignore").decode()
    kept = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9._+-]", "_", folded)).lstrip("._-+")
    return kept[:longest].rstrip("._-+") or "model"


def slug(label: str, longest: int = LONGEST) -> str:
    """A label as a part of a file name: ``channels -50% + QAT int8`` becomes ``channels-50-qat-int8``."""
    return safe_name(re.sub(r"[^a-z0-9.]+", "-", label[: 4 * longest].lower()), longest)


def artifact_name(model: str, candidate: Candidate) -> str:
    """The name ``<model>-<slug of the label>-<first 6 digits of the key>.tflite``, at most 100 characters long.

    A long label is shortened; ``trial.json`` holds the full label.
    """
    stem = safe_name(model.removesuffix(".keras").removesuffix(".h5"), 48)
    end = f"-{candidate.key[:ID_DIGITS]}.tflite"
    return f"{stem}-{slug(candidate.label, LONGEST - len(end) - len(stem) - 1)}{end}"
