"""Whoever looks at a run runs nothing that the folder names; a user's metric runs in workers only."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import litetuner
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.spaces.store import MARK, seal_text
from tests.search.fakes import fake_search

EVIL = """
from pathlib import Path
Path("imported").touch()
def m(y_true, y_pred): return 0.5
"""


@pytest.mark.parametrize("min_metric", [None, 0.5])
def test_a_run_that_names_a_metric_function_is_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, min_metric: float | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_mod.py").write_text(EVIL)
    run = tmp_path / "run"
    fake_search(run, trials=6)
    folder = RunFolder(run)
    toml, _, last = (run / "litetuner.toml").read_text().replace('"accuracy"', '"evil_mod:m"').partition(MARK)
    text = toml + (f"min-metric = {min_metric}\n" if min_metric else "")
    (run / "litetuner.toml").write_text(seal_text(text, last.split()[0]))  # a stranger can compute a checksum
    record = folder.read("inspection") or {}
    record["metric"] |= {"name": "evil_mod:m", "direction": "minimize"}
    folder.write("inspection", record)
    found = read_run(run)
    assert found.metric.name == "evil_mod:m" and found.objectives[0].direction == "minimize"
    assert [budget.sense for budget in found.budgets if budget.key == "min-metric"] == ["at most"] * bool(min_metric)
    litetuner.Run(run).report()
    with pytest.raises(litetuner.RunError, match=r"metric = evil_mod:m.*--trust"):
        litetuner.Run(run).rebuild(1)
    assert not (tmp_path / "imported").exists() and "evil_mod" not in sys.modules
