"""What a search says while it inspects the data."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from litetuner.search.evaluation import inspection


def test_the_progress_of_a_long_source_is_said_and_its_file_removed(tmp_path: Path) -> None:
    progress = tmp_path / "reading.txt"
    progress.write_text("of a search that was killed")
    promised: Future[Any] = Future()
    said: list[str] = []

    class Cache:
        def submit(self, job: object) -> Future[Any]:
            assert not progress.exists()
            progress.write_text("reading --data mine:get: 10 samples, 1 MB")
            return promised

    def doing(text: str) -> None:
        said.append(text)
        promised.set_result("inspected")

    found: Any = inspection._run(None, Cache(), progress, doing)  # type: ignore[arg-type]
    assert (found, said) == ("inspected", ["reading --data mine:get: 10 samples, 1 MB"])
    assert not progress.exists()
