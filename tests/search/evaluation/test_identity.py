"""A run's identity is the content of all that determines its numbers; user code is read, never run, to find it."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from litetuner.search.config.config import make_config
from litetuner.search.evaluation import identity as module
from litetuner.search.evaluation.identity import default_folder, identity, source_files
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State
from litetuner.spaces.errors import DataError, RunError
from tests.search.fakes import fake_config, fake_search

MINE = """
import numpy as np
from tools.shapes import flat

def m(y_true, y_pred):
    import lazy
    return lazy.value
"""

MODULES = {"mine", "lazy", "tools", "tools.shapes", "tools.deep"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools").mkdir()
    files = {"mine": MINE, "lazy": "value = 0.5\n", "tools/__init__": "", "tools/shapes": "from .deep import *\n"}
    for name, text in (files | {"tools/deep": "flat = 1\n", "unused": "x = 1\n", "broken": "def (\n"}).items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in MODULES & set(sys.modules):  # of other tests
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in MODULES & set(sys.modules):  # the fake executor runs a metric in this process
        del sys.modules[name]


def images(folder: Path, value: int) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(folder / name / "1.bmp")
    return folder


def test_the_files_of_a_function_are_its_module_and_all_that_it_imports_beside_it(home: Path) -> None:
    (home / "mine.py").write_text(MINE + "\nraise RuntimeError('run')\n")
    found = source_files("mine")
    assert set(found) == {"mine.py", "lazy.py", "tools/__init__.py", "tools/shapes.py", "tools/deep.py"}
    assert set(source_files("tools.shapes")) == {"tools/__init__.py", "tools/shapes.py", "tools/deep.py"}
    assert set(source_files("broken")) == {"broken.py"} and source_files("nowhere") == {}
    assert not MODULES & set(sys.modules)


def test_a_folder_without_init_and_an_installed_package_count_too(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "plain").mkdir()
    (home / "plain" / "inner.py").write_text("y = 1\n")
    (home / "user.py").write_text("from plain import inner\n")
    assert set(source_files("user")) == {"user.py", "plain/inner.py"}
    site = tmp_path_factory.mktemp("site")
    (site / "installed_metrics").mkdir()
    for name in ("__init__", "scores"):
        (site / "installed_metrics" / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(site)
    before = source_files("installed_metrics.scores")
    assert set(before) == {"installed installed_metrics"} and "installed_metrics" not in sys.modules
    (site / "installed_metrics" / "__init__.py").write_text("changed = True\n")
    assert source_files("installed_metrics.scores") != before
    for name in ("beside_script", "its_helper"):
        (site / f"{name}.py").write_text("import its_helper\n")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(site / "script.py"), raising=False)
    assert set(source_files("beside_script")) == {"beside_script.py", "its_helper.py"}


@pytest.mark.parametrize("key", ["model", "data", "metric", "preprocess", "loss", "custom_objects"])
@pytest.mark.parametrize("file", ["mine.py", "tools/deep.py"])
def test_a_changed_function_is_another_run_and_the_file_is_named(home: Path, key: str, file: str) -> None:
    keys = {key: "mine:m"}
    assert len(fake_search(home / "run", trials=2, **keys).record.trials) == 2
    assert fake_search(home / "run", trials=3, **keys).reason == "all 3 trials are done"
    before = default_folder(fake_config(home, **keys), identity(fake_config(home, **keys)))
    (home / file).write_text((home / file).read_text() + "# edited\n")
    with pytest.raises(RunError) as stop:
        fake_search(home / "run", trials=4, **keys)
    for part in (f"{key.replace('_', '-')}: mine:m (sha256", "front", f"{file}: sha256", "--out"):
        assert part in str(stop.value)
    assert len(RunFolder(home / "run").trials()) == 3
    assert default_folder(fake_config(home, **keys), identity(fake_config(home, **keys))) != before


def test_what_a_function_does_not_import_changes_nothing(home: Path) -> None:
    before = identity(fake_config(home, metric="mine:m@head"))
    (home / "unused.py").write_text("x = 2\n")
    assert identity(fake_config(home, metric="mine:m@head")) == before
    assert before["metric_content"] != "mine:m@head" and "target_content" not in before


def test_images_count_by_content_not_by_size_and_hidden_files_do_not(home: Path) -> None:
    config = fake_config(home, data=str(images(home / "photos", 10)))
    before = identity(config)["data_content"]
    (home / "photos" / ".DS_Store").write_text("seen by a file manager")
    shutil.copytree(home / "photos", home / "copy")
    copied = fake_config(home, data=str(home / "copy"))
    assert identity(config)["data_content"] == identity(copied)["data_content"] == before
    images(home / "photos", 11)
    assert identity(config)["data_content"] != before


def test_data_that_cannot_be_read_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    photos = images(home / "photos", 10)
    monkeypatch.setattr(module, "_sha256", refused)
    with pytest.raises(DataError, match=r"1\.bmp cannot be read: Permission denied"):
        identity(fake_config(home, data=str(photos)))


def test_data_that_are_prepared_again_must_be_those_that_the_run_began_with(home: Path) -> None:
    """A function's result is not part of the identity: it is checked where the prepared arrays were deleted."""
    fake_search(home / "run", trials=3)
    folder = RunFolder(home / "run")
    record = folder.read("inspection") or {}
    folder.write("inspection", record | {"data": record["data"] | {"sha256": "0" * 64}})
    shutil.rmtree(home / "run" / "cache")
    with pytest.raises(RunError, match=r"data fake:data changed since this run began: sha256 000000000000 then.*--out"):
        fake_search(home / "run", trials=4)


def test_a_run_whose_baseline_failed_begins_anew(home: Path) -> None:
    """The cause is corrected, in the function or outside of it, and the same command works."""
    fake_search(home / "run", trials=3, metric="mine:m")
    folder = RunFolder(home / "run")
    for trial in folder.trials():
        folder.write_trial(dataclasses.replace(trial, state=State.FAILED, reason="it raised"))
    found = fake_search(home / "run", trials=2, metric="mine:m").record
    assert len(found.trials) == 2 and all(trial.state.scored for trial in found.trials)
    (home / "mine.py").write_text("corrected = True\n")
    with pytest.raises(RunError, match=r"mine\.py"):
        fake_search(home / "run", trials=2, metric="mine:m")


def test_every_key_that_names_a_function_is_part_of_the_identity(home: Path) -> None:
    """A new key of the configuration is found by itself."""
    config = make_config(
        {"model": "mine:m", "data": "mine:m", "executor": "fake", "metric": "mine:m", "loss": "mine:m", "fit": "mine:m"}
    )
    named = {name.removesuffix("_content") for name in identity(config) if name.endswith("_content")}
    assert named == {"model", "data", "metric", "loss", "fit"}
    of_outputs = make_config({"model": "mine:m", "data": "mine:m", "executor": "fake", "loss": "age=mae,kind=mine:m"})
    assert identity(of_outputs)["loss_content"] == identity(config)["loss_content"]
