"""The cache stays within its limit, and keeps what the front needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.search.runs.record import read_run
from litetuner.spaces.errors import ConfigError
from tests.search.fakes import fake_search


def models(run: Path) -> list[Path]:
    return [path for path in (run / "cache" / "blobs").iterdir() if path.suffix in (".npz", ".tflite")]


def values(run: Path) -> list[tuple[str, float | None]]:
    return [(trial.candidate.key, trial.value("metric")) for trial in read_run(run).trials]


def test_a_small_limit_keeps_what_the_front_needs_and_changes_no_result(tmp_path: Path) -> None:
    fake_search(tmp_path / "whole", trials=40)
    fake_search(tmp_path / "small", trials=40, cache_limit="1kB")
    assert len(models(tmp_path / "small")) < len(models(tmp_path / "whole")) / 2
    assert values(tmp_path / "small") == values(tmp_path / "whole")
    assert "cache evicted" in (tmp_path / "small" / "events.jsonl").read_text()


def test_the_fronts_checkpoints_stay(tmp_path: Path) -> None:
    """A second search with the same records trains nothing of the front anew."""
    path = tmp_path / "run"
    fake_search(path, trials=41, cache_limit="1kB")
    names = {blob.name for blob in models(path)}
    fake_search(path, trials=41, cache_limit="10GB")
    assert names <= {blob.name for blob in models(path)}
    trained = [trial for trial in read_run(path).front if trial.candidate.prefix.steps]
    assert trained
    import json

    results = [json.loads(item.read_text()) for item in (path / "cache").glob("*/result.json")]
    checkpoints = {found["result"].get("checkpoint") for found in results if found["kind"] == "train"}
    assert len(checkpoints & {blob.name for blob in models(path)}) >= len({t.candidate.prefix.key for t in trained})


def test_a_limit_needs_a_unit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cache-limit"):
        fake_search(tmp_path / "run", cache_limit="12")
