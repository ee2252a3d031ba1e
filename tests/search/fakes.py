"""A search with the fake builder and target, in a temporary folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litetuner.search.config.config import Config, make_config
from litetuner.search.run import SearchEnd, run_search

BASE: dict[str, Any] = {
    "model": "fake:model",
    "data": "fake:data",
    "executor": "fake",
    "target": "fake",
    "max_drop": "3%",
    "max_compressed_size": "60kB",
}


def fake_config(out: Path, **keys: Any) -> Config:
    return make_config(BASE | {"out": str(out), "trials": 25} | keys)


def fake_search(out: Path, **keys: Any) -> SearchEnd:
    return run_search(fake_config(out, **keys))
