"""Typical mistakes on the command line, and the messages that they must produce. None of them needs TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import shlex
import zipfile
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mistake:
    shown: str  # the arguments after ``litetuner``
    parts: tuple[str, ...]  # texts that the message must contain

    @property
    def command(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.shown))


def make_files(folder: Path) -> None:
    """Write an architecture without weights (input 8x8x1), and data that fits it or not."""
    layer = {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 8, 8, 1]}}
    twice = {"class_name": "Lambda", "config": {"name": "twice"}}
    for name, layers in (("model.keras", [layer]), ("lambda.keras", [layer, twice])):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    (folder / "model.pt").write_bytes(b"\x80\x02")
    (folder / "text.keras").write_text("not a model")
    x, y = np.zeros((60, 8, 8, 1), np.float32), np.zeros(60, np.int64)
    np.savez(folder / "data.npz", x_train=x, y_train=y)
    np.savez(folder / "short.npz", x_train=x, y_train=y[:50])
    np.savez(folder / "keys.npz", X_train=x, Y_train=y)
    np.savez(folder / "test.npz", x_test=x, y_test=y)
    np.savez(folder / "images.npz", images=x, labels=y)
    np.savez(folder / "validation.npz", x_train=x, y_train=y, x_val=x, y_val=y)
    np.savez(folder / "first.npz", x_train=np.moveaxis(x, -1, 1), y_train=y)
    np.savez(folder / "large.npz", x_train=np.zeros((60, 16, 16, 1), np.float32), y_train=y)
    np.savez(folder / "objects.npz", x_train=np.array([[1], [1, 2]], object), y_train=y[:2])
    np.savez(folder / "unlabeled.npz", x_search=x)
    (folder / "table.csv").write_text("height,width,kind\n1,2,0\n")
    (folder / "flat").mkdir()
    (folder / "flat" / "a.png").write_bytes(b"\x89PNG")
    (folder / "own.py").write_text("def f1(y_true, y_pred):\n    return 1.0\n")
    (folder / "search.toml").write_text('model = "model.keras"\ndatta = "data.npz"\n')


GOOD = "search model.keras --data data.npz"
MISTAKES = (
    Mistake("search modle.keras --data data.npz", ("modle.keras does not exist", "did you mean 'model.keras'")),
    Mistake("search model.keras --data date.npz", ("date.npz does not exist", "did you mean 'data.npz'")),
    Mistake("search model.keras", ("data is missing", "--data")),
    Mistake("search model.pt --data data.npz", ("is not a Keras model file", "model.save('model.keras')")),
    Mistake("search text.keras --data data.npz", ("is not a Keras model", "Is it complete")),
    Mistake("search lambda.keras --data data.npz", ("'twice' is a Lambda", "--trust-model")),
    Mistake("search flat --data data.npz", ("is a folder, not a model",)),
    Mistake("search model.keras --data model.pt", ("is not an .npz file",)),
    Mistake("search model.keras --data keys.npz", ("'X_train'", "did you mean 'x_train'")),
    Mistake("search model.keras --data validation.npz", ("'x_val'", "did you mean 'x_search'")),
    Mistake("search model.keras --data short.npz", ("x_train has 60 samples, y_train has 50 labels",)),
    Mistake("search model.keras --data first.npz", ("channels come first", "np.moveaxis(x, 1, -1)")),
    Mistake("search model.keras --data large.npz", ("(16, 16, 1)", "(8, 8, 1)", "--preprocess")),
    Mistake("search model.keras --data objects.npz", ("Python objects", "store arrays of numbers")),
    Mistake("search model.keras --data unlabeled.npz", ("x_search but no y_search", "Give both")),
    Mistake("search model.keras --data table.csv", ("Which column is the label", "--label", "kind")),
    Mistake("search model.keras --data table.csv --label knid", ("no column 'knid'", "did you mean 'kind'")),
    Mistake("search model.keras --data flat", ("1 image, and no subfolder", "one subfolder per class")),
    Mistake(f"{GOOD} --metric acuracy", ("did you mean 'accuracy'",)),
    Mistake(f"{GOOD} --metric own:f2", ("has no function 'f2'", "did you mean 'f1'")),
    Mistake(f"{GOOD} --preprocess prepare:scale", ("there is no module 'prepare'", "prepare.py")),
    Mistake(f"{GOOD} --max-drop 0.01", ("has no unit", "did you mean 1%")),
    Mistake(f"{GOOD} --max-size 300", ("has no unit", "did you mean 300kB")),
    Mistake(f"{GOOD} --max-size 300kb", ("'kb' is an unknown unit", "did you mean 300kB")),
    Mistake(f"{GOOD} --min-metric 99", ("min-metric", "is impossible", "did you mean 0.99")),
    Mistake(f"{GOOD} --time-budget 30", ("has no unit", "did you mean 30m")),
    Mistake(f"{GOOD} --trials 0", ("trials", "greater than or equal to 1")),
    Mistake(f"{GOOD} --steps prune,int9", ("'int9'", "did you mean 'int8'")),
    Mistake(f"{GOOD} --target hots", ("did you mean 'host'",)),
    Mistake(f"{GOOD} --max-latency pi=2ms", ("no target 'pi'", "--target pi=ssh://user@host")),
    Mistake(f"{GOOD} --max-compresed-size 60kB", ("there is no option", "did you mean '--max-compressed-size'")),
    Mistake("search model.keras data.npz", ("unexpected extra argument", "give the data with --data")),
    Mistake("tune model.keras --data data.npz", ("No such command 'tune'", "did you mean 'search'")),
    Mistake("search model.keras --data test.npz", ("neither train nor search samples, only test", "Give x_train")),
    Mistake("search model.keras --data images.npz", ("'images'", "Rename the arrays", "x_train")),
    Mistake(f"{GOOD} --max-drop=-1%", ("is negative",)),
    Mistake("search search.toml", ("no key 'datta'", "did you mean 'data'")),
    Mistake("export runs/nothing", ("is not a run folder",)),
    Mistake("status", ("There is no run in runs/ here",)),
)
