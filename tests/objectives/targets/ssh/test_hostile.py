"""Hostile texts for an ssh target: none is executed, here or there."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from pathlib import Path

import pytest

from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.ssh import client as ssh_client
from litetuner.objectives.targets.ssh import target as ssh_module
from litetuner.objectives.targets.ssh.target import Ssh
from litetuner.spaces.errors import HostError, LitetunerError
from tests.objectives.targets.hostile import SNIPPETS as COMMON
from tests.objectives.targets.hostile import accepted, problem
from tests.objectives.targets.ssh.sshd import LACKING, REASON, Sshd

pytestmark = pytest.mark.service

SNIPPETS = (*COMMON, "-oProxyCommand=touch {C}", "-oLocalCommand=touch {C}", "-F{C}", "%h;touch {C}")
# Each snippet goes into every place of a target's text; what a place cannot take is rejected.
PLACES = {
    "host": "ssh://{S}",
    "host after a user": "ssh://user@{S}",
    "end of a host": "ssh://a{S}",
    "user": "ssh://{S}@127.0.0.1",
    "port": "ssh://127.0.0.1:{S}",
    "address": "ssh://[{S}]",
    "name": "{S}=ssh://127.0.0.1",
    "kind": "{S}://127.0.0.1",
    "rest": "ssh:{S}",
    "folder": "ssh://127.0.0.1?folder={S}",
    "absolute folder": "ssh://127.0.0.1?folder=/tmp/{S}",
    "python": "ssh://127.0.0.1?python={S}",
    "core": "ssh://127.0.0.1?core={S}",
    "option": "ssh://127.0.0.1?{S}=1",
    "threshold": "ssh://127.0.0.1?tolerance={S}",
    "delegate": "ssh://127.0.0.1?delegate={S}",
    "config": "ssh://127.0.0.1?config={S}",
}
# Places where a printable absolute path is what they take: these reach a command, and must be nothing but a word in it.
ODD = [snippet for snippet in SNIPPETS if snippet.isprintable()]


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def test_hostile_texts_are_rejected_before_anything_is_started(canary, monkeypatch):
    wrong = accepted(PLACES, SNIPPETS, canary, monkeypatch)
    assert not wrong, "\n".join(wrong)


def test_hostile_fields_are_rejected_also_without_a_text():
    fields = (
        {"host": "-oProxyCommand=x"},
        {"host": ""},
        {"host": "a b"},
        {"host": "a\n"},
        {"host": "a", "user": "-l"},
        {"host": "a", "user": ""},
        {"host": "a", "port": 0},
        {"host": "a", "port": 65536},
        {"host": "fe80::1%eth0;x"},
        {"host": "a", "python": "python3 -c x"},
        {"host": "a", "python": "-python3"},
        {"host": "a", "folder": "a/../../b"},
        {"host": "a", "folder": "-x"},
        {"host": "a", "folder": "~root"},
        {"host": "a", "folder": "a/"},
        {"host": "a", "config": Path("relative")},
        {"host": "a", "delegate": Path("relative.so")},
        {"host": "a", "core": "auto;x"},
    )
    said = [(given, problem(lambda given=given: Ssh(**given), "target ssh")) for given in fields]
    wrong = [f"{given}: {text}" for given, text in said if text]
    assert not wrong, "\n".join(wrong)


def test_a_command_is_one_vector_and_odd_paths_are_one_word(canary, monkeypatch):
    seen: list[list[str]] = []

    def record(self, argv, payload, timeout_seconds):
        seen.append(argv)
        return 255, "", "closed"

    monkeypatch.setattr(ssh_client.SshClient, "_finish", record)
    for snippet in ODD:
        odd = f"/bin/{snippet.format(C=canary)}"
        seen.clear()
        with pytest.raises(ssh_client.Dropped):
            Ssh(host="pi", python=odd).client.call(odd, {}, 1.0)
        (argv,) = seen
        assert argv[-3:-1] == ["--", "pi"] and shlex.split(argv[-1]) == [odd, "-c", ssh_client.BOOT], snippet
        assert not canary.exists(), snippet


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = Sshd(tmp_path_factory.mktemp("sshd"))
    yield found
    found.stop()


@pytest.mark.skipif(bool(LACKING), reason=REASON)
def test_odd_paths_are_not_executed_on_the_target(sshd, canary, monkeypatch):
    monkeypatch.setattr(ssh_module, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    for snippet in ODD:
        odd = f"/bin/{snippet.format(C=canary)}"
        with pytest.raises(HostError):
            sshd.target(python=odd)._ask({}, [])
        with pytest.raises(HostError, match="configuration of ssh"):
            sshd.target(config=Path(odd))._ask({}, [])
        assert not canary.exists(), snippet


@pytest.mark.skipif(bool(LACKING), reason=REASON)
def test_odd_delegates_and_file_names_are_not_executed(sshd, canary, tmp_path, monkeypatch):
    stand_in = tmp_path / "runner.py"
    stand_in.write_text("import json, sys; print(json.dumps(dict(error=dict(stage='usage', message=str(sys.argv)))))")
    monkeypatch.setattr(ssh_module, "_runner_parts", lambda: ({"runner-0/runner.py": stand_in}, "runner-0/runner.py"))
    (tmp_path / "model").mkdir()
    tiny = tiny_model.write(tmp_path / "model")
    for number, snippet in enumerate(ODD[::2]):
        text = snippet.format(C=canary.name)  # relative: a file's name takes no slash
        odd = tmp_path / "model" / f"{text}.tflite"
        shutil.copyfile(tiny, odd)
        with odd.open("ab") as stream:
            stream.write(bytes([number]))  # so that each is pushed
        with pytest.raises(HostError) as found:
            sshd.target(delegate=Path(f"/{snippet.format(C=canary)}"))._once(odd, None, 1)
        assert repr(f"/{snippet.format(C=canary)}") in str(found.value)  # it arrived as it is, as one argument
        with contextlib.suppress(LitetunerError):
            sshd.target()._once(Path(f"-oProxyCommand=touch {canary}"), None, 1)
    assert not list(tmp_path.rglob("canary")) and not list((sshd.folder / "far").rglob("canary"))
    assert not (Path.home() / "canary").exists() and not Path("canary").exists()
