"""A file as a C array for TensorFlow Lite for Microcontrollers: header and source, valid C11 and C++11."""

import re

from litetuner.reports.export.file_names import safe_name
from litetuner.reports.export.model_card import templates

A_LINE = 12  # bytes
LONGEST = 56  # characters before ``_model``: with ``_len`` fewer than the 63 that C99 compilers tell apart
ALIGNMENT = 16  # bytes; the alignment of the flatbuffer's buffers


def c_name(file_name: str) -> str:
    """A C identifier from a file's name, never a keyword: ``resnet8-int8.tflite`` gives ``resnet8_int8_model``."""
    stem = safe_name(file_name.removesuffix(".tflite"))
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", stem)).strip("_").lower()
    if len(name) > LONGEST:  # the end is the candidate's id, which tells symbols of one model apart
        name = f"{name[: LONGEST - 7].rstrip('_')}_{name[-6:].lstrip('_')}"
    return f"{'m' if name[:1].isdigit() else ''}{name}_model"


def c_header(name: str, about: str) -> str:
    """The header that declares ``<name>`` and ``<name>_len``. ``about`` is one line for people."""
    guard = f"LITETUNER_{name.upper()}_H_"
    return str(templates().get_template("c_array.h").render(name=name, guard=guard, about=comment(about)))


def c_source(name: str, content: bytes, about: str) -> str:
    """The source that holds the bytes, aligned to 16."""
    lines = (content[start : start + A_LINE] for start in range(0, len(content), A_LINE))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    numbers = {"alignment": ALIGNMENT, "length": len(content)}
    return str(templates().get_template("c_array.cc").render(name=name, body=body, about=comment(about), **numbers))


def comment(text: str) -> str:
    """Text for a line comment: no line break, and no backslash or trigraph that would continue it on the next line."""
    return " ".join(text.replace("\\", "/").replace("??/", "/").split())
