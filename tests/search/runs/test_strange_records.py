"""Records that a stranger made, with correct checksums: every value is checked against its type before it is used."""

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hostile_folders import Folders
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.spaces.errors import RunError
from tests.search.fakes import fake_search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    fake_search(path, trials=6)
    return path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("trials/0002/trial", {"measurements": [1]}, "measurements is [1], and must be an object"),
        ("trials/0002/trial", {"number": 10**18}, "is the record of trial 1000000000000000000"),
        ("trials/0002/trial", {"state": "DONE"}, "state is 'DONE', and must be COMPLETE or "),
        ("trials/0002/trial", {"seed": 10**400}, "seed is a huge number, and must be a smaller number"),
        ("trials/0002/trial", {"candidate": [{"step": "int8", "calibration": "many"}]}, "must be a whole number"),
        ("trials/0002/trial", {"params": {"a": {"value": 1}}}, "params.a.chosen is missing"),
        ("clock", {"seconds": {"wall": float("inf")}}, "seconds.wall is inf, and must be 0 or more"),
        ("inspection", {"metric": None}, "metric is None, and must be an object"),
        ("finals", {"trials": {"0": {"metric": {"value": 1}}}}, "trials.0.metric.unit is missing"),
        ("sensitivity", {"layers": {"conv0": "x"}}, "layers.conv0 is 'x', and must be an object"),
        ("environment", {"a": [[[[{"b": 10**400}]]]]}, "is a huge number"),
    ],
)
def test_a_value_of_another_type_is_named(finished: Path, name: str, value: dict[str, Any], said: str) -> None:
    folder = RunFolder(finished)
    file = finished / f"{name}.json"
    before, record = file.read_bytes(), folder.read(name) or {}
    record.pop("checksum", None)
    try:
        folder.write(name, record | value)
        with pytest.raises(RunError) as refused:
            read_run(finished)
            folder.read(name)
    finally:
        file.write_bytes(before)
    assert str(file) in str(refused.value) and said in str(refused.value)
    assert str(refused.value).count("Remove it") == 1  # and repeat the command


def test_no_strange_record_ends_in_an_internal_error(tmp_path: Path) -> None:
    """Each of these ended so once, or stands for a kind that did."""
    folders = Folders(tmp_path / "folders")
    found = [folders.judge(name, random.Random(index), index) for index, name in enumerate(folders.names)]
    assert [item for item in found if item.verdict not in ("detected", "harmless")] == []
    assert {item.verdict for item in found} == {"detected", "harmless"}
