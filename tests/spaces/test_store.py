from __future__ import annotations

import os
from pathlib import Path

import pytest

from litetuner.spaces.errors import RunError
from litetuner.spaces.store import Store, write_atomic


def test_blobs_by_sha256_are_verified_when_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.put(b"content", ".bin")
    assert store.get(name) == b"content" and store.put(b"content", ".bin") == name
    (tmp_path / name).write_bytes(b"altered")
    with pytest.raises(RunError, match="altered"):
        store.get(name)
    with pytest.raises(RunError, match="missing"):
        store.get("0" * 64 + ".bin")


def test_a_torn_blob_is_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.put(b"content", ".bin")
    (tmp_path / name).write_bytes(b"con")
    store.put(b"content", ".bin")
    assert store.get(name) == b"content"


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    with pytest.raises(RunError, match="cannot write"):
        write_atomic(path / "below", "new")
    assert path.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["file"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
