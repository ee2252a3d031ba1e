"""A secret in the environment is written nowhere: not in the run, its report, an export, nor what is printed."""

from pathlib import Path

import pytest

from litetuner.cli import run as cli
from tests.search.fakes import fake_search

SECRET = "canary-51f0c2"


def holders(folder: Path) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]


def test_a_secret_in_the_environment_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "LITETUNER_TOKEN", "SSH_ASKPASS", "DATABASE_URL", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, f"postgresql://user:{SECRET}@host/db")
    run = tmp_path / "run"
    fake_search(run, trials=6)
    for arguments in (["report", run], ["export", run, "--out", tmp_path / "export", "--c-array"], ["status", run]):
        assert cli([str(item) for item in arguments]) == 0
    assert len(list(run.rglob("*"))) > 20 and list((tmp_path / "export").glob("*.tflite"))
    said = capsys.readouterr()
    assert holders(tmp_path) == [] and SECRET not in said.out + said.err


def test_a_password_in_a_target_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--model", "fake:model", "--data", "fake:data", "--out", str(tmp_path / "run")]
    for target in (f"ssh://user:{SECRET}@host", f"ssh://user:{SECRET}@host?options=-oProxyCommand={SECRET}"):
        assert cli(["search", *keys, "--target", target]) == 2
    said = capsys.readouterr()
    assert "no password can be in an address" in said.out + said.err and SECRET not in said.out + said.err
    assert holders(tmp_path) == []


def test_the_search_for_the_secret_finds_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.txt").write_bytes(b"\xff" + SECRET.encode())
    assert holders(tmp_path) == [str(tmp_path / "deep" / "log.txt")]
