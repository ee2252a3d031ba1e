"""Functions that were given as Python objects: what tells them apart, and how they come into another process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs import python_functions
from litetuner.spaces.jobs.code_identity import code_sha256
from litetuner.spaces.jobs.python_functions import is_missing, name_of, pickles, python_function, shown_name
from litetuner.spaces.user_function import is_function, load_function

BASE = """SCALE = 2.0
def helper(y):
    return y * SCALE
def f(y_true, y_pred, weight=1.0):
    return weight * helper(y_true) + 3
"""
SAME = [  # all that does not change what it returns
    ("moved", "\n\n\n# a comment\n" + BASE),
    ("an unused name", "UNUSED = 7\n" + BASE),
]
OTHER = [
    ("a constant", BASE.replace("+ 3", "+ 4")),
    ("a default", BASE.replace("weight=1.0", "weight=2.0")),
    ("a global", BASE.replace("SCALE = 2.0", "SCALE = 2.5")),
    ("what it calls", BASE.replace("y * SCALE", "y + SCALE")),
    ("an operator", BASE.replace("weight * helper", "weight + helper")),
    ("an attribute", BASE + "f.direction = 'minimize'\n"),
    ("an inner function", BASE.replace("    return weight", "    g = lambda y: y + 1\n    return g(1) * weight")),
]


def in_main(source: str, name: str = "f") -> Any:
    """What a cell of a notebook defines."""
    values: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(source), "<cell>", "exec", dont_inherit=True), values)
    return values[name]


def closure(value: Any) -> Callable[..., Any]:
    return lambda y_true, y_pred: value


def test_the_identity_follows_code_defaults_closures_and_globals() -> None:
    base = code_sha256(in_main(BASE))
    changed = [what for what, source in SAME if code_sha256(in_main(source)) != base]
    unseen = [what for what, source in OTHER if code_sha256(in_main(source)) == base]
    values = (0.5, 1, True, "1", b"1", None, (1,), [1], {1}, {"a": 1}, np.ones(3), np.ones(3, np.float32), np.zeros(3))
    hashes = [code_sha256(closure(value)) for value in values]
    assert (changed, unseen) == ([], []) and len(set(hashes)) == len(values)
    assert code_sha256(closure(0.5)) == hashes[0]
    assert code_sha256(functools.partial(closure(1), 2)) != code_sha256(functools.partial(closure(1), 3))


def test_an_object_that_can_be_called_is_known_by_its_class_and_values() -> None:
    source = "class F:\n    def __init__(self, k): self.k = k\n    def __call__(self, y_true, y_pred): return self.k\n"
    kind = in_main(source, "F")
    kind.__module__ = "__main__"
    assert code_sha256(kind(1)) == code_sha256(kind(1)) != code_sha256(kind(2))
    other = in_main(source.replace("return self.k", "return -self.k"), "F")
    assert code_sha256(other(1)) != code_sha256(kind(1))


def test_the_identity_is_the_same_in_every_process() -> None:
    program = f"""
        import json, sys
        from litetuner.spaces.jobs.code_identity import code_sha256
        values = {{"__name__": "__main__"}}
        exec(compile({BASE!r}, "<other cell>", "exec"), values)
        exec("g = lambda y_true, y_pred: y_true in {{'a', 'b', 'c', 'd'}}", values)
        print(json.dumps([code_sha256(values["f"]), code_sha256(values["g"])]))
    """
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", textwrap.dedent(program)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] and found[0][0] == code_sha256(in_main(BASE))


def test_a_function_of_a_module_keeps_its_name() -> None:
    assert name_of(closure, "metric") == f"{__name__}:closure"
    name = name_of(closure(1), "metric")
    assert is_function(name) and not is_missing(name) and shown_name(name) == "lambda"
    assert shown_name(f"{name}@head") == "lambda@head" and shown_name("accuracy") == "accuracy"
    assert name_of(closure(1), "metric") == name != name_of(closure(2), "metric")


def test_another_process_gets_it_through_a_pipe() -> None:
    name = name_of(in_main(BASE), "metric")
    program = """
        import json, sys
        from litetuner.spaces.jobs.python_functions import receive
        from litetuner.spaces.user_function import load_function
        given = json.load(sys.stdin)
        receive(given)
        print([load_function(name, "--metric")(5.0, None) for name in given])
    """
    sent = pickles([f"{name}@head", "accuracy"])
    assert list(sent) == [name] and not pickles(["accuracy"])
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, input=json.dumps(sent), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[13.0]"


def test_what_is_missing_or_cannot_be_sent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    name = name_of(in_main(BASE), "metric")
    monkeypatch.setattr(python_functions, "_pickles", {})
    with pytest.raises(
        ConfigError, match=r"metric: the run uses the Python function 'f', which is in no file.*metric=f"
    ):
        load_function(name, "--metric")
    with pytest.raises(ConfigError, match=r"preprocess: the function cannot be sent.*locks"):
        name_of(closure(threading.Lock()), "preprocess")
    layers = name_of({"Scale": in_main(LAYERS, "Scale")}, "custom_objects")
    monkeypatch.setattr(python_functions, "_pickles", {})
    with pytest.raises(
        ConfigError, match=r"^custom_objects: .* dict of custom layers .* custom_objects=custom_objects in"
    ):
        python_function(layers, "--custom-objects")
    monkeypatch.setattr(python_functions, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"loss: the function refers to 0 MB of values"):
        name_of(closure(np.zeros(1000)), "loss")


def test_what_it_imports_is_missing_in_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_here")
    exec("def g(y): return y", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    name = name_of(closure(module.g), "metric")
    monkeypatch.delitem(sys.modules, "only_here")
    with pytest.raises(
        ConfigError, match=r"'lambda' cannot be used in a worker process: ModuleNotFoundError.*only_here"
    ):
        python_function(name, "--metric")


LAYERS = """class Base:
    factor = 2
class Scale(Base):
    def call(self, x):
        return x * self.factor
"""


def test_a_dict_of_custom_layers_is_known_by_the_code_of_its_classes() -> None:
    def named(source: str = LAYERS, **more: Any) -> str:
        return name_of({"Scale": (in_main(source, "Scale"), dict)} | more, "custom_objects")

    name = named()
    assert name == named() and shown_name(name) == "custom_objects" and is_function(name)
    assert name_of({"b": int, "a": dict}, "custom_objects") == name_of({"a": dict, "b": int}, "custom_objects")
    changed = [("2", "3"), ("x *", "x +"), ("Scale(Base)", "Scale"), ("call", "run")]
    assert len({name, named(more=dict), *(named(LAYERS.replace(*pair)) for pair in changed)}) == 6
    program = (
        "import json, sys; from litetuner.spaces.jobs.python_functions import python_function, receive; "
        "given = json.load(sys.stdin); receive(given); "
        "print([python_function(name, '')['Scale'][0]().call(21) for name in given])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=json.dumps(pickles([name])), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[42]"


def test_a_module_that_no_other_process_can_import_counts_as_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``runpy`` and tools that run text make one."""
    module = types.ModuleType("made_by_running_text")
    exec(compile(BASE, "<text>", "exec", dont_inherit=True), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    name = name_of(module.f, "metric")
    assert name.startswith("python_function:f_")
    sent = pickles([name])
    monkeypatch.delitem(sys.modules, module.__name__)
    program = (
        "import json, sys, base64, cloudpickle; given = json.load(sys.stdin).values(); "
        "print([cloudpickle.loads(base64.b64decode(item))(5.0, 0) for item in given])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=json.dumps(sent), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[13.0]"
