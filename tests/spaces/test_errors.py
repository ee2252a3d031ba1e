"""Errors cross a process boundary with all that they carry."""

from __future__ import annotations

import json

import pytest

from litetuner.search.evaluation.gates import Unsuited
from litetuner.spaces.errors import BuildFailed, DataError, LitetunerError, TargetLost, escaped, from_json, to_json


@pytest.mark.parametrize(
    "error",
    [DataError("NaN"), TargetLost("the cable was pulled", "pi"), Unsuited("no kernel for CONV_2D", "target pi")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_it_was(error: LitetunerError) -> None:
    found = from_json(json.loads(json.dumps(to_json(error))))
    assert type(found) is type(error) and str(found) == str(error) and vars(found) == vars(error)


def test_a_foreign_error_becomes_a_failed_build_that_names_it() -> None:
    found = from_json(to_json(ZeroDivisionError("by design")))
    assert isinstance(found, BuildFailed) and str(found) == "ZeroDivisionError: by design"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\u202eb\u200b", "a\\u202eb\\u200b"),
        ("\udcff Müller 日本", "\\udcff Müller 日本"),
    ],
)
def test_what_could_change_a_terminal_is_shown_as_an_escape(given: str, shown: str) -> None:
    assert escaped(given) == shown
