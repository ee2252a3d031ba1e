"""The advice at the end of a search: more trials at once, where cores were idle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from litetuner.search import run


@pytest.mark.parametrize(("load", "said"), [(0.5, True), (25.0, False)])
def test_cores_that_other_programs_used_were_not_idle(load: float, said: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    record: Any = SimpleNamespace(
        seconds={"wall": 600.0, "slots": 600.0, "cpu": 180.0}, config=SimpleNamespace(executor="local", parallel=1)
    )
    monkeypatch.setattr(run, "parallel_trials", lambda each: 4)
    monkeypatch.setattr(run, "usable_cores", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    found = run._idle_cores(record)
    assert (found is not None) == said and (
        not said or "one trial kept 0.3 of 2 cores busy: --parallel 4" in str(found)
    )
