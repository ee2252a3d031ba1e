"""``run_example.py`` of an export: about twenty lines that load the file, run one input and print a prediction."""

from __future__ import annotations

from collections.abc import Sequence

from litetuner.reports.text.formatting import clean

MOST_NAMES = 1000  # classes that are listed in the example

_HEAD = '''"""Run {file} on one input:  python run_example.py [INPUT.npy]   (pip install ai-edge-litert numpy)"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter(model_path=str(Path(__file__).with_name({quoted})))
model.allocate_tensors()
source, sink = model.get_input_details()[0], model.get_output_details()[0]
given = np.load(sys.argv[1], allow_pickle=False) if len(sys.argv) > 1 else np.random.default_rng(0).random(source["shape"])
x = np.reshape(given, source["shape"])  # {preparing}
scale, zero = source["quantization"]
if scale:  # quantized input
    limits = np.iinfo(source["dtype"])
    x = np.clip(np.rint(x / scale) + zero, limits.min, limits.max)
model.set_tensor(source["index"], x.astype(source["dtype"]))
model.invoke()
y = model.get_tensor(sink["index"])[0].astype(np.float64)
scale, zero = sink["quantization"]
y = (y - zero) * scale if scale else y
'''
_CLASSES = """names = {names}
best = int(y.argmax())
print(f"prediction: {{names[best] if names else 'class ' + str(best)}} ({{y.max():.4f}})")
"""
_BINARY = """print(f"prediction: class {int(y.ravel()[0] > 0.5)} ({y.ravel()[0]:.4f})")
"""
_NUMBERS = """print("prediction:", np.array2string(y, precision=6, threshold=20))
"""


def run_example(
    file_name: str, *, classes: int | None, outputs: int, class_names: Sequence[str] | None, preprocess: str | None
) -> str:
    """The text of ``run_example.py`` for a file beside it.

    ``outputs`` is the number of values in one output; ``classes`` is ``None`` for a regression. Names are written as Python
    literals, so that nothing in them is executed.
    """
    preparing = f"as returned by {clean(preprocess, 80)}" if preprocess else "preprocess it like the training data"
    head = _HEAD.format(file=file_name, quoted=repr(file_name), preparing=preparing)
    if classes is None:
        return head + _NUMBERS
    if outputs == 1:
        return head + _BINARY
    names = [clean(name, 60) for name in class_names or ()] if len(class_names or ()) == outputs <= MOST_NAMES else []
    return head + _CLASSES.format(names=ascii(names))
