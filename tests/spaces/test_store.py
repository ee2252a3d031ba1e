from __future__ import annotations

import errno
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from litetuner.spaces.errors import HostError, RunError
from litetuner.spaces.store import Store, append, read_json, seal_of, seal_text, write_atomic, write_json


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


def names_when_synced(folder: Path, patch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names in a folder each time that something in it is made durable."""
    found: list[list[str]] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        found.append(sorted(item.name for item in folder.iterdir()))
        sync(handle)

    patch.setattr("litetuner.spaces.store.os.fsync", noted)
    return found


def test_a_file_has_no_name_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        pytest.skip("this system has no files without names")
    names = names_when_synced(tmp_path, monkeypatch)
    write_atomic(tmp_path / "file", "x" * 100_000)
    assert names == [[], ["file"]] and (tmp_path / "file").read_text() == "x" * 100_000


@pytest.mark.parametrize("lacking", ["files without names", "links to them"])
def test_a_file_is_written_whole_where_the_system_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if lacking == "links to them":
        monkeypatch.setattr("litetuner.spaces.store.os.link", refuse)
    else:
        monkeypatch.setattr("litetuner.spaces.store.os.O_TMPFILE", os.O_EXCL | os.O_CREAT | os.O_DIRECTORY)
    names = names_when_synced(tmp_path, monkeypatch)
    write_atomic(tmp_path / "file", "old")
    write_atomic(tmp_path / "file", "x" * 100_000)
    assert (tmp_path / "file").read_text() == "x" * 100_000 and [item.name for item in tmp_path.iterdir()] == ["file"]
    assert names[-1] == ["file"] and any(name.startswith(".file.") for name in names[-2])
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask()


@pytest.mark.parametrize("named", [False, True])
def test_a_full_disk_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """What is written is the kernel's to refuse: no file may be larger than a page here."""
    if named:
        monkeypatch.setattr("litetuner.spaces.store.os.O_TMPFILE", os.O_EXCL | os.O_CREAT | os.O_DIRECTORY)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(HostError, match="cannot write"):
            write_atomic(tmp_path / "file", "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_record_has_a_checksum_of_its_content_and_of_what_it_belongs_to(tmp_path: Path) -> None:
    path, record = tmp_path / "a.json", {"metric": 0.8775, "name": "Müller"}
    write_json(path, record, seal="run/a")
    assert read_json(path, seal="run/a") == record
    content = path.read_bytes()
    assert json.loads(content) == record | {"checksum": json.loads(content)["checksum"]}
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(RunError, match=r"checksum does not match. Do this\.$"):
            read_json(path, seal="run/a", remedy="Do this.")
    for torn in (b"", content[:-1], content[:40], json.dumps(record).encode()):
        path.write_bytes(torn)
        with pytest.raises(RunError, match="damaged, was edited, or belongs to another run"):
            read_json(path, seal="run/a")
    path.write_bytes(content)
    with pytest.raises(RunError):
        read_json(path, seal="other/a")


def test_a_text_has_a_checksum_in_its_last_line() -> None:
    text = seal_text('max-drop = "3%"\n', "run-1").encode()
    assert seal_of(text) == "run-1" and seal_of(b"a = 1\n") is None
    for changed in (text.replace(b"3%", b"1%"), text.replace(b"run-1", b"run-2"), text[:-3], text + b"b = 2\n"):
        with pytest.raises(ValueError, match="does not match"):
            seal_of(changed)


def test_a_symbolic_link_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="cannot write"):
        append(tmp_path / "log", b"more")
    write_atomic(tmp_path / "log", "new")  # takes the place of the link
    assert (tmp_path / "secret").read_text() == "mine"
    append(tmp_path / "a" / "log", b"1")
    append(tmp_path / "a" / "log", b"2")
    assert (tmp_path / "a" / "log").read_bytes() == b"12"


def test_a_blob_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    store = Store(tmp_path)
    name = store.put(b"content", ".bin")
    monkeypatch.setattr("litetuner.spaces.store.file_sha256", lambda path: read.append(path) or "0" * 64)
    assert not store.has(name) and not store.has(name)
    assert len(read) == 1
    (tmp_path / name).write_bytes(b"other content")
    assert not store.has(name) and len(read) == 2


def test_a_name_may_be_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    write_atomic(path, "x")
    assert path.read_text() == "x"
