"""A tiny ``.tflite`` (64 floats times a constant matrix), to check that a target works from end to end."""

import base64
import zlib
from pathlib import Path
from typing import Any

from litetuner.objectives.targets.target import Finding

# tf.matmul(x, tf.fill([64, 4], 0.01)) for x of shape (1, 64), converted by TensorFlow 2.21, slimmed; zlib, base64.
CONTENT = (
    "eNrtUDEOgkAQHPBiQC9oojH0Wlia2FpQmZhQUFj4AC1srCi09x3W/sjnnLN3G8A3yJFh2d2Z2T3WAI77covOmSMnprD8TnzFMEeDjWgiYKD8mM"
    "gJ67MhNYZvoCLn7ZxjoJv0g6v0rdYq8SJORKT+QOajMGfkZlpfqUbWMpCn3UG0TmfFmkP7T6L0twBe5FjdV2hyv8P5cquv9QMdrfHtBeclTRbO"
    "hNXASdQjVkbxo+mqgsa2+0eiv3fmFRrDf7IYq4No0qBJxXD0We569Ojxn/gCsM9XEw=="
)


def write(folder: Path) -> Path:
    """Write the model to a file in ``folder`` and return its path."""
    file = folder / "tiny.tflite"
    file.write_bytes(zlib.decompress(base64.b64decode(CONTENT)))
    return file


def findings(document: dict[str, Any]) -> list[Finding]:
    """The findings about a machine, from a runner's document for the tiny model."""
    environment, latency = document["environment"], document["latency_us"]
    timed = f"a tiny model takes {latency['value']:.3g} us, timed in {document['seconds']:.1f} s by {environment['runtime']} "
    timed += f"{environment['runtime_version']} ({environment['delegate']}) on {environment['cpu']}"
    found = [Finding("timing", "works", timed)]
    if environment["pinned_cores"] is None:
        found.append(Finding("core", "note", "the process cannot be pinned to a core there, so latencies scatter more"))
    governor = environment["governor"]
    if governor not in (None, "performance"):
        remedy = "As root: cpupower frequency-set -g performance"
        found.append(Finding("clock", "note", f"the governor is {governor}, so the clock follows the load", remedy))
    if str(environment["priority"]).startswith("not raised"):
        found.append(Finding("priority", "note", f"the process has no high priority ({environment['priority']})"))
    if not document["stable"]:
        remedy = "Stop what else runs there, or cool it."
        found.append(Finding("steadiness", "note", "; ".join(document["instability"]), remedy))
    return found
