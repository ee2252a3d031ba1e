"""The command line as programs and people meet it: exit codes, standard output, messages."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import litetuner
from litetuner.cli import run as cli
from litetuner.search.config.config import make_config
from litetuner.search.runs.folder import RunFolder

FAKE = ["--model", "fake:model", "--data", "fake:data", "--executor", "fake", "--target", "fake"]
BUDGETS = ["--max-drop", "3%", "--max-compressed-size", "60kB"]
VOLATILE = ("seconds", "environment")  # clocks go on between two summaries


def search(out: Path, *more: str) -> int:
    return cli(["search", *FAKE, *BUDGETS, "--out", str(out), *more])


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """A command in a shell, ``{litetuner}`` standing for the real command line in a process of its own."""
    litetuner_command = f"{sys.executable} -c 'from litetuner.cli import main; main()'"
    line = command.replace("{litetuner}", litetuner_command)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search with the fake executor."""
    path = tmp_path_factory.mktemp("cli") / "run"
    assert search(path, "--trials", "12") == 0
    return path


# What goes where


def test_a_search_prints_one_json_document_equal_to_summary_json(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert search(tmp_path / "run", "--trials", "8", "--json") == 0
    printed = json.loads(capfd.readouterr().out)
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert printed == written
    assert printed["schema_version"] == 1
    assert printed["best"]["sha256"] and printed["front"]


def test_status_as_json_is_the_summary_too(done: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["status", str(done), "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    standing = printed.pop("status")
    assert standing["running"] is False and standing["trials"] == standing["trials_wanted"] == 12
    written = json.loads((done / "summary.json").read_text())
    assert {key: value for key, value in printed.items() if key not in VOLATILE} == {
        key: value for key, value in written.items() if key not in VOLATILE
    }


def test_report_and_export_print_a_path_and_nothing_else(
    done: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(["report", str(done)]) == 0
    assert Path(capfd.readouterr().out.strip()) == done / "report.html"
    assert cli(["export", str(done), "--out", str(tmp_path / "x"), "--pick", "smallest"]) == 0
    file = Path(capfd.readouterr().out.strip())
    assert file.is_file() and file.parent == tmp_path / "x"
    assert {item.name for item in file.parent.iterdir()} == {
        file.name,
        "trial.json",
        "provenance.json",
        "MODEL_CARD.md",
        "run_example.py",
    }


def test_the_result_goes_to_standard_output_and_progress_to_standard_error(
    done: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert search(done, "--trials", "12") == 0
    out, err = capfd.readouterr()
    assert "best" in out and "..." not in out
    assert "run folder" in err and "best" not in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_does_not_know_all_characters(
    encoding: str, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    assert cli(["status", str(done)]) == 0
    assert b"baseline" in printed.getvalue() and b"?" in printed.getvalue()


def test_a_reader_that_leaves_early_is_no_error(done: Path) -> None:
    found = shell(f"{{litetuner}} status {done} --json | (exec <&-; sleep 3); exit ${{PIPESTATUS[0]}}")
    assert (found.returncode, found.stderr) == (0, "")


def test_standard_output_that_is_full_is_said(done: Path) -> None:
    found = shell(f"{{litetuner}} status {done} --json >/dev/full")
    assert found.returncode == 3
    assert "standard output" in found.stderr and "No space left" in found.stderr
    assert "Traceback" not in found.stderr and "internal" not in found.stderr


def test_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["--version"]) == 0
    assert capfd.readouterr().out.strip() == f"litetuner {litetuner.__version__}"


# Usage errors


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["serch"], ("serch", "search", "litetuner --help")),
        (["search", "--modle", "a.keras"], ("--modle", "did you mean '--model'", "litetuner search --help")),
        (["search", "--max-compresed-size", "60kB"], ("did you mean '--max-compressed-size'",)),
        (["search", "--trials"], ("--trials",)),
        (["search", "--trials", "many"], ("--trials", "integer")),
        (["search", *FAKE, "a.toml", "b.toml"], ("b.toml",)),
        (["search"], ("model", "--model")),
        (["search", "--model", "fake:model"], ("data is missing", "--data")),
        (
            ["inspect", "--model", "a.keras"],
            ("there is no option --model; give the value without it. See `litetuner inspect --help`",),
        ),
        (["inspect", "--jsn", "a.keras"], ("did you mean '--json'",)),
        (["measure", "nothing.tflite"], ("nothing.tflite does not exist",)),
        (["export", "somewhere"], ("somewhere is not a run folder",)),
        (["search", "a.keras", "--model", "b.keras"], ("two models are given",)),
        (["check"], ("--against",)),
        (["apply", "somewhere"], ("--model",)),
    ],
)
def test_a_misspelt_command_line_is_explained(
    arguments: list[str], parts: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("error: ") and "Traceback" not in err
    for part in parts:
        assert part in err


@pytest.mark.parametrize("command", [["measure"], ["slim", "out.tflite"]])
def test_what_is_no_tflite_is_the_users_matter(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tflite").write_text("this is no model")
    assert cli([command[0], "a.tflite", *command[1:]]) in (1, 2)
    out, err = capfd.readouterr()
    assert out == "" and err.strip() and "internal" not in err and "Traceback" not in err
    assert not Path("out.tflite").exists()


def test_without_arguments_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli([]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.lstrip().startswith("Usage: ") and "search" in err


@pytest.mark.parametrize(
    "arguments", [["status", "nowhere"], ["report", "nowhere"], ["export", "nowhere", "--out", "x"]]
)
def test_debug_is_taken_by_every_command_and_shows_the_traceback(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(arguments) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert cli([*arguments, "--debug"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" in err and "RunError" in err and err.strip().splitlines()[-1].startswith("error: nowhere")


def test_a_fault_of_ours_is_internal_and_short(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("litetuner.search.runs.record.open_run", broken)
    assert cli(["status", "anywhere"]) == 4
    err = capfd.readouterr().err
    assert "internal error: ZeroDivisionError: by design" in err and "--debug" in err and "Traceback" not in err


# Folders that are no runs, runs that have nothing yet


@pytest.mark.parametrize("command", [["status"], ["report"], ["export", "--out", "x"], ["status", "--json"]])
@pytest.mark.parametrize("folder", ["missing", "empty", "file"])
def test_a_folder_that_is_no_run(
    command: list[str], folder: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    assert cli([*command, str(tmp_path / folder)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and "is not a run folder" in err and str(tmp_path / folder) in err


def test_a_run_that_never_got_to_its_baseline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    folder = RunFolder(path)
    folder.create()
    folder.adopt(make_config({"model": "fake:model", "data": "fake:data", "executor": "fake"}), {})
    assert cli(["export", str(path), "--out", str(tmp_path / "x")]) == 2
    assert "Repeat the search command" in capfd.readouterr().err


def test_export_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("litetuner.search.loop.Loop.run", lambda self: "stopped by the test")
    path = tmp_path / "run"
    assert search(path, "--trials", "3") == 1
    capfd.readouterr()
    assert cli(["status", str(path)]) == 0
    assert "No trial has finished yet" in capfd.readouterr().out
    assert cli(["report", str(path)]) == 0
    capfd.readouterr()
    assert cli(["export", str(path), "--out", str(tmp_path / "x")]) == 2
    err = capfd.readouterr().err
    assert "No trial has finished yet" in err and "epeat the search command" in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["--pick", "smalest"], ("unknown pick 'smalest'", "did you mean 'smallest'", "fastest")),
        (["--trial", "99"], ("no trial 99", "numbers are 0 to")),
        (["--trial", "-1"], ("no trial -1",)),
        (["--trial", "1", "--pick", "best"], ("not both",)),
        (["--trial", "first"], ("--trial", "integer")),
    ],
)
def test_an_unknown_pick_or_trial(
    done: Path, tmp_path: Path, more: list[str], parts: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli(["export", str(done), "--out", str(tmp_path / "x"), *more]) == 2
    out, err = capfd.readouterr()
    assert out == "" and not (tmp_path / "x").exists()
    for part in parts:
        assert part in err


def test_an_export_to_where_nothing_can_be_written(done: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["export", str(done), "--out", str(done / "litetuner.toml" / "x")]) == 2
    assert "cannot write" in capfd.readouterr().err
