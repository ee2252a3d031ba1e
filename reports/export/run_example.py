"""``run_example.py`` of an export: about twenty lines that load the file, run one input and print a prediction."""

from collections.abc import Sequence

from litetuner.reports.export.model_card import templates
from litetuner.reports.text.formatting import clean

MOST_NAMES = 1000  # with more classes, the example does not list their names


def run_example(
    file_name: str, *, classes: int | None, outputs: int, class_names: Sequence[str] | None, preprocess: str | None
) -> str:
    """The text of ``run_example.py``, for a ``.tflite`` file in the same folder.

    ``outputs`` is the number of values in one output; ``classes`` is ``None`` for a regression. Names are written as Python
    literals, so that no part of them is executed.
    """
    preparing = f"as returned by {clean(preprocess, 80)}" if preprocess else "preprocess it like the training data"
    names = [clean(name, 60) for name in class_names or ()] if len(class_names or ()) == outputs <= MOST_NAMES else []
    texts = {"file": file_name, "quoted": repr(file_name), "preparing": preparing, "names": ascii(names)}
    return str(templates().get_template("run_example.txt").render(classes=classes, outputs=outputs, **texts))
