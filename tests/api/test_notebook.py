"""A notebook in a real kernel: a search with functions of the notebook, one display for its progress, tables, figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

SEARCH = """
import numpy as np, tensorflow as tf, litetuner
arrays = dict(np.load("data.npz"))
SCALE = 1.0

def hits(y_true, y_pred):
    return SCALE * float((y_pred.argmax(-1) == y_true).mean())
hits.bounded = True

data = {"train": tf.data.Dataset.from_tensor_slices((arrays["x_train"], arrays["y_train"])).batch(32),
        "search": (arrays["x_search"], arrays["y_search"]), "test": (arrays["x_test"], arrays["y_test"])}
run = litetuner.tune("tiny.keras", data, metric=hits, preprocess=lambda x: x * 1.0, steps="int8,ptq", max_drop="20%",
                     trials=3, target="host?max_seconds=1", out="run")
"""
CELLS = (
    SEARCH,
    "run",
    "run.front_dataframe()[['trial', 'metric', 'compressed_bytes']]",
    "run.plot_front()",
    "run.study.best_trials[0].number in run.trials_dataframe()['trial'].to_list()",
    "litetuner.tune('tiny.keras', data, metric=lambda a, b: 0.0, progress=False, out='run')",
)


@pytest.fixture(scope="module")
def outputs(model_file: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell put out."""
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    (folder / "tiny.keras").write_bytes(model_file.read_bytes())
    (folder / "data.npz").write_bytes(data_file.read_bytes())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text.strip()) for text in CELLS])
    client = NotebookClient(notebook, timeout=500, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    client.execute()
    pickled = [path for path in (folder / "run").rglob("*") if path.is_file() and b"cloudpickle" in path.read_bytes()]
    assert not pickled, "a function is stored in the run folder"
    return [cell["outputs"] for cell in notebook["cells"]]


def plain(output: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", output["data"]["text/html"]).split())


def test_a_search_has_one_display_that_ends_with_its_result(outputs: list[list[Any]]) -> None:
    shown = [output for output in outputs[0] if output["output_type"] == "display_data"]
    others = [output for output in outputs[0] if output["output_type"] != "display_data"]
    assert len(shown) == 1 and not others, others
    text = plain(shown[0])
    assert "stopped: all 3 trials are done" in text and "Pareto front" in text and "best:" in text
    assert "now:" not in text and "<progress" not in shown[0]["data"]["text/html"]


def test_a_run_is_shown_as_html(outputs: list[list[Any]]) -> None:
    text = plain(outputs[1][0])
    assert text.startswith("tiny : 3 complete") and "hits" in text and "within the budgets" in text
    assert "compressed_bytes" in outputs[2][0]["data"]["text/html"]
    assert "application/vnd.plotly.v1+json" in outputs[3][0]["data"]
    assert outputs[4][0]["data"]["text/plain"] == "True"


def test_another_function_is_another_run_and_an_error_is_its_message(outputs: list[list[Any]]) -> None:
    error = outputs[5][0]
    assert error["output_type"] == "error" and error["ename"] == "RunError"
    text = "\n".join(error["traceback"])
    assert text.startswith("RunError: run holds another run") and text.count("metric:") == 1 and "\n" not in text
