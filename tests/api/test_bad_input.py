"""Bad input: a clear error with the right exit code, and nothing lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litetuner.cli import run as cli

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake"]


# The model


def test_a_model_that_does_not_exist(refused: Callable[..., str], model_file: Path, data_file: Path) -> None:
    message = refused(model_file.with_name("tyni.keras"), data_file)
    assert "tyni.keras does not exist" in message and "did you mean 'tiny.keras'" in message
    assert "nor does the folder" in refused("nowhere/tiny.keras", data_file)
    assert "model is empty" in refused("", data_file)


def no_model(kind: str, folder: Path, model: Path) -> Path:
    """A path that is no model."""
    path = folder / f"a.{'tflite' if kind == 'tflite' else 'h5' if kind == 'text h5' else 'keras'}"
    if kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(model.read_bytes()[:20_000])
    elif kind == "zip":
        shutil.make_archive(str(path.with_suffix("")), "zip", model.parent, model.name)
        path.with_suffix(".zip").rename(path)
    else:
        path.write_text("this is no model")
    return path


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("text", ("is not a Keras model", "model.save")),
        ("text h5", ("is not a Keras model", "model.save")),
        ("truncated", ("is not a Keras model", "Is it complete")),
        ("zip", ("is not a Keras model", "config.json")),
        ("tflite", ("not a TensorFlow Lite file",)),
        ("folder", ("is a folder, not a model", ".keras")),
    ],
)
def test_what_is_no_model(
    refused: Callable[..., str], kind: str, parts: tuple[str, ...], tmp_path: Path, model_file: Path, data_file: Path
) -> None:
    path = no_model(kind, tmp_path, model_file)
    message = refused(path, data_file)
    for part in (str(path), *parts):
        assert part in message


def test_a_lambda_is_named_and_the_way_out_too(refused: Callable[..., str], tmp_path: Path, data_file: Path) -> None:
    from litetuner.spaces import tf

    tf.load()
    import keras

    twice = keras.layers.Lambda(lambda x: x * 2, name="twice")
    layers = [keras.layers.Input((6, 6, 1)), twice, keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    message = refused(tmp_path / "lambda.keras", data_file)
    for part in ("'twice' is a Lambda", "--trust-model", "lambda.keras"):
        assert part in message


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("def model():\n    return 1 / 0\n", ("user_code_", ":model failed: ZeroDivisionError", "line 2")),
        ("def model():\n    return 7\n", ("gave a int", "Keras model is needed")),
        ("def modell(): pass\n", ("has no function 'model'", "did you mean 'modell'")),
        ("import nothing_of_that_name\n", ("fails when it is imported", "nothing_of_that_name", "line 1")),
    ],
)
def test_a_function_that_gives_no_model(
    refused: Callable[..., str],
    body: str,
    parts: tuple[str, ...],
    tmp_path: Path,
    data_file: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"user_code_{abs(hash(request.node.name)) % 10**8}"  # modules are imported once a process
    (tmp_path / f"{name}.py").write_text(body)
    message = refused(f"{name}:model", data_file)
    for part in parts:
        assert part in message


def test_a_module_that_does_not_exist(refused: Callable[..., str], data_file: Path, tmp_path: Path) -> None:
    message = refused("no_such_module:model", data_file)
    assert "no module 'no_such_module'" in message and str(tmp_path) in message


def test_a_metric_of_the_user_that_fails_on_import_is_no_fault_of_ours(
    refused: Callable[..., str], tmp_path: Path, model_file: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_metric.py").write_text("import json\nimport math\nraise OSError('no licence')\n")
    message = refused(model_file, data_file, "--metric", "broken_metric:score")
    assert "broken_metric" in message and "OSError: no licence" in message and "line 3" in message


# The configuration


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["--max-size", "300"], ("max-size", "'300' has no unit", "did you mean 300kB")),
        (["--max-drop", "0.01"], ("max-drop", "no unit", "did you mean 1%")),
        (["--max-latency", "2"], ("max-latency", "no unit", "2us")),
        (["--time-budget", "30"], ("time-budget", "no unit", "30m")),
        (["--max-size", "300kb"], ("'kb' is an unknown unit", "did you mean 300kB")),
        (["--max-job-memory", "12"], ("max-job-memory", "no unit")),
        (["--time-budget", "0s", "--io", "int8"], ("time-budget", "must be positive")),
        (["--max-latency", "pi=2ms"], ("no target 'pi'", "fake")),
        (["--trials", "0"], ("trials", "1", "got 0")),
        (["--trials", "-3"], ("trials", "got -3")),
        (["--sampler", "tpee"], ("sampler", "did you mean 'tpe'")),
        (["--executor", "loca"], ("executor", "did you mean 'local'")),
        (["--target", "hots"], ("target", "did you mean 'host'")),
        (["--steps", "prune,int9"], ("steps", "'int9'", "did you mean 'int8'")),
        (["--metric", "acuracy"], ("metric", "did you mean 'accuracy'")),
        (["--size", "smal"], ("size", "'compressed', 'file' or 'flash'")),
        (["--objective", "file_byte"], ("objective", "did you mean 'file_bytes'")),
        (["--out", ""], ("out is empty",)),
    ],
)
def test_bad_values_are_refused_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    more: list[str],
    parts: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli(["search", *FAKE, *more]) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and err.startswith("error: ")
    for part in parts:
        assert part in err
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_budget_ends_with_1_the_nearest_and_what_would_have_to_give(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", *FAKE, "--max-size", "1B", "--trials", "8", "--out", str(tmp_path / "run")]
    assert cli(arguments) == 1
    out = capfd.readouterr().out
    for part in ("nothing is feasible", "--max-size 1B", "nearest", "try next", "--max-size"):
        assert part in out
    assert cli([*arguments, "--json"]) == 1
    summary: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert summary["best"] is None and summary["picks"] == {} and summary["baseline"]["file_bytes"] > 1
    assert cli(["status", str(tmp_path / "run")]) == 0
    assert cli(["export", str(tmp_path / "run"), "--out", str(tmp_path / "x")]) == 2
    err = capfd.readouterr().err
    assert "--max-size" in err and "--trial" in err


def test_what_giving_way_promises_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", *FAKE, "--trials", "8", "--out", str(tmp_path / "run")]
    assert cli([*arguments, "--max-size", "1B"]) == 1
    words = capfd.readouterr().out.split("try next")[1].split()
    setting = words[words.index("--max-size") : words.index("--max-size") + 2]
    assert cli([*arguments, *setting]) == 0


def test_the_demo_checks_its_arguments_before_it_trains(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["demo", "--out", str(tmp_path / "demo"), "--time-budget", "3"]) == 2
    assert "did you mean 3m" in capfd.readouterr().err
    (tmp_path / "file").write_text("mine")
    assert cli(["demo", "--out", str(tmp_path / "file" / "demo")]) == 2
    assert "cannot write" in capfd.readouterr().err


def test_a_metric_of_another_task(refused: Callable[..., str], model_file: Path, data_file: Path) -> None:
    assert "--metric accuracy" in refused(model_file, data_file, "--metric", "rmse")
