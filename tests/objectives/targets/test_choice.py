"""The user's text for a target, kind by kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from litetuner.objectives.targets.choice import NamedTarget, find_target
from litetuner.objectives.targets.fake import Fake
from litetuner.objectives.targets.host import Host
from litetuner.objectives.targets.options import split_query
from litetuner.objectives.targets.ssh.target import Ssh
from litetuner.spaces.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("host", NamedTarget("host", Host())),
        ("fake", NamedTarget("fake", Fake())),
        ("here=host?xnnpack=off&core=none", NamedTarget("here", Host(xnnpack=False, core="none"))),
        ("host?delegate=/opt/a%20b/lib+x.so", NamedTarget("host", Host(delegate=Path("/opt/a b/lib+x.so")))),
        ("host?core=2,3&tolerance=0.02", NamedTarget("host", Host(core="2,3", tolerance=0.02))),
        (
            "host?delegate=/a.so&delegate_options=a=1,b=/x",
            NamedTarget("host", Host(delegate=Path("/a.so"), delegate_options="a=1,b=/x")),
        ),
        ("gpu=host?accelerator=gpu", NamedTarget("gpu", Host(accelerator="gpu"))),
        ("ssh://pi.local", NamedTarget("pi", Ssh(host="pi.local"))),
        ("ssh://me@pi.local:2222", NamedTarget("pi", Ssh(host="pi.local", user="me", port=2222))),
        ("ssh://me@10.0.0.7", NamedTarget("10.0.0.7", Ssh(host="10.0.0.7", user="me"))),
        ("ssh://[fe80::1]:22", NamedTarget("fe80--1", Ssh(host="fe80::1", port=22))),
        (
            "board=ssh://pi?python=/opt/litert/bin/python3&folder=/data/litetuner&config=/etc/my%3fconfig",
            NamedTarget(
                "board",
                Ssh(
                    host="pi", python="/opt/litert/bin/python3", folder="/data/litetuner", config=Path("/etc/my?config")
                ),
            ),
        ),
    ],
)
def test_texts(text, place):
    assert find_target(text) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hots", "did you mean 'host'"),
        ("shh://pi", "did you mean 'ssh'"),
        ("host?xnpack=off", "did you mean 'xnnpack'"),
        ("ssh://pi?pyhton=/x", "did you mean 'python'"),
        ("ssh://pi?host=other", "no option 'host'"),  # an address is no option
        ("host?xnnpack=maybe", "on or off"),
        ("host?xnnpack", "write option=value"),
        ("host?core=1&core=2", "given twice"),
        ("host?core=all", "auto, none or numbers"),
        ("host?tolerance=nan", "above 0"),
        ("host?tolerance=much", "must be a number"),
        ("host?delegate=lib.so", "absolute path"),
        ("host?delegate_options=a=1", "beside a delegate"),
        ("host?delegate=/a.so&delegate_options=a", "name=value"),
        ("host?accelerator=tpu", "cpu, gpu, npu"),
        ("host?accelerator=gpu&xnnpack=off", "chooses its delegates itself"),
        ("host?core=%ff", "UTF-8"),
        ("host:9", "takes nothing after its name"),
        ("ssh://", "no host name"),
        ("ssh:pi", "write ssh://user@host"),
        ("ssh://pi:0", "1 to 65535"),
        ("ssh://pi:99999", "1 to 65535"),
        ("ssh://pi:٢٢", "1 to 65535"),
        ("ssh://@pi", "no user name"),
        ("my pi=host", "cannot be a name"),
        ("-x=host", "cannot be a name"),
        ("..=host", "cannot be a name"),
        (f"{'x' * 41}=host", "cannot be a name"),
        (f"ssh://{'x' * 50}.local", "Give it one: NAME="),
        ("host" * 1000, "is not a target"),
        ("", "no kind ''"),
    ],
)
def test_texts_that_are_refused(text, words):
    with pytest.raises(ConfigError, match="target") as found:
        find_target(text)
    assert words in str(found.value)


def test_an_option_list_may_end():
    assert split_query("") == {}
    with pytest.raises(ConfigError, match="is not an option"):
        split_query("a=1&")


def test_descriptions_are_json_and_tell_targets_apart():
    texts = ("host", "host?xnnpack=off", "host?delegate=/a.so", "ssh://pi", "ssh://me@pi", "ssh://pi:22", "fake")
    described = [json.dumps(find_target(text).target.describe(), sort_keys=True) for text in texts]
    assert len(set(described)) == len(texts)
    assert '"kind": "ssh"' in described[3]
    assert find_target("a=host").target.describe() == find_target("b=host").target.describe()


def test_options_reach_the_runner():
    target = find_target(
        "host?delegate=/a.so&delegate_options=a=1,b=/x&xnnpack=off&core=2&tolerance=0.02&max_seconds=3"
    ).target
    found = target.runner_arguments(4)
    assert found[:4] == ["--threads", "4", "--core", "2"] and found[-1] == "--no-xnnpack"
    assert found[4:8] == ["--tolerance", "0.02", "--max-seconds", "3.0"]
    assert found[8:-1] == ["--delegate", "/a.so", "--delegate-option=a=1", "--delegate-option=b=/x"]
    assert find_target("host?accelerator=gpu").target.runner_arguments(1)[-2:] == ["--accelerator", "gpu"]


def test_no_target_lacks_an_operator_unless_it_says_so():
    assert find_target("host").target.unsupported_operators() == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        *("ssh://me:secret@host", "pi=ssh://me:secret@host:22", "ssh://me@secret@host", "ssh:me:secret@host"),
        *("pi=ssh//me:secret@host", "adb://me:secret@host", "host:me:secret@host", "pi=sssh://me:se/cret@host"),
    ],
)
def test_a_password_is_not_printed_back(text):
    with pytest.raises(ConfigError, match="no password") as caught:
        find_target(text)
    assert "cret" not in str(caught.value)
