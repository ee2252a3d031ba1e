"""Writes a file as a C array for TensorFlow Lite for Microcontrollers: header and source, valid C11 and C++11."""

import re

from litetuner.reports.export.file_names import safe_name
from litetuner.reports.export.model_card import templates

A_LINE = 12  # bytes in one line of the source
# Maximum number of characters before ``_model``. The whole name then has at most 63, which C99 compilers must
# distinguish.
LONGEST = 56
ALIGNMENT = 16  # bytes; the alignment of the flatbuffer's buffers


def c_name(file_name: str) -> str:
    """A C identifier from a file's name, never a keyword: ``resnet8-int8.tflite`` gives ``resnet8_int8_model``."""
    stem = safe_name(file_name.removesuffix(".tflite"))
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", stem)).strip("_").lower()
    if len(name) > LONGEST:  # keep the end: it is the candidate's id, which differs between the exports of one model
        name = f"{name[: LONGEST - 7].rstrip('_')}_{name[-6:].lstrip('_')}"
    return f"{'m' if name[:1].isdigit() else ''}{name}_model"


def c_header(name: str, about: str) -> str:
    """The header that declares ``<name>`` and ``<name>_len``. ``about`` becomes its comment of one line."""
    guard = f"LITETUNER_{name.upper()}_H_"
    return str(templates().get_template("c_array.h").render(name=name, guard=guard, about=comment(about)))


def c_source(name: str, content: bytes, about: str) -> str:
    """The source that defines the array, aligned to 16 bytes. ``about`` becomes its comment of one line."""
    lines = (content[start : start + A_LINE] for start in range(0, len(content), A_LINE))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    numbers = {"alignment": ALIGNMENT, "length": len(content)}
    return str(templates().get_template("c_array.cc").render(name=name, body=body, about=comment(about), **numbers))


def comment(text: str) -> str:
    """Text for a line comment, without line breaks, backslashes and trigraphs, which would continue the comment."""
    return " ".join(text.replace("\\", "/").replace("??/", "/").split())
