"""The typed keywords of ``tune`` against the configuration."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

import litetuner
from litetuner.inputs import FUNCTIONS
from litetuner.keys import BudgetKeys, SearchKeys
from litetuner.reports.model.comparison import BUDGETS
from litetuner.search.config.config import Config

COMMAND_LINE_ONLY = ("json", "debug")
WITHOUT = ("model", "data", *COMMAND_LINE_ONLY)  # parameters of ``tune`` itself, and what means nothing in Python


def described() -> dict[str, tuple[Any, str]]:
    hints = typing.get_type_hints(SearchKeys, include_extras=True)
    return {name: (typing.get_args(kind)[0], kind.__metadata__[0]) for name, kind in hints.items()}


def accepted(annotation: Any) -> set[Any]:
    """The simple types and literal values of an annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    parts = [part for part in typing.get_args(annotation) if isinstance(part, type) or typing.get_args(part)]
    if not parts or typing.get_origin(annotation) is tuple:
        return {typing.get_origin(annotation) or annotation}
    if typing.get_origin(annotation) is typing.Annotated:
        return accepted(parts[0])
    return set().union(*map(accepted, parts)) - {type(None)}


def test_every_key_of_the_configuration_is_a_typed_keyword_with_its_help() -> None:
    fields = {
        name: field
        for name, field in Config.model_fields.items()
        if name not in WITHOUT and field.alias not in COMMAND_LINE_ONLY
    }
    keys = described()
    assert list(keys) == list(fields), "api/keys.py must have the fields of search/config/config.py, in their order"
    texts = {name: (keys[name][1], field.description) for name, field in fields.items()}
    assert not {name: pair for name, pair in texts.items() if pair[0] != pair[1]}
    wrong = []
    for name, field in fields.items():
        wanted, given = accepted(field.annotation), accepted(keys[name][0])
        if not ({str} if tuple in wanted else wanted) <= given:
            wrong.append(f"{name}: the configuration takes {wanted}, api/keys.py says {given}")
    assert not wrong, "\n".join(wrong)


def test_help_and_editors_see_every_key() -> None:
    signature = inspect.signature(litetuner.tune)
    assert list(signature.parameters) == ["model", "data", "progress", "listener", *described()]
    text = str(inspect.getdoc(litetuner.tune))
    assert "Budget: drop of the metric against the baseline, such as 1%." in " ".join(text.split())
    assert set(FUNCTIONS) <= set(described())
    assert set(typing.get_type_hints(BudgetKeys)) == set(BUDGETS)


def test_every_parameter_of_every_verb_is_typed_and_documented() -> None:
    methods = [getattr(litetuner.Run, name) for name in vars(litetuner.Run) if not name.startswith("_")]
    verbs = [getattr(litetuner, name) for name in litetuner.__all__]
    wrong = []
    for verb in filter(inspect.isfunction, [*verbs, *methods]):
        for part in inspect.signature(verb).parameters.values():
            if part.name == "self":
                continue
            if part.kind is part.VAR_KEYWORD or part.annotation is part.empty:
                wrong.append(f"{verb.__qualname__}: {part.name} has no type")
            if not re.search(rf"\b{part.name}\b", inspect.getdoc(verb) or ""):
                wrong.append(f"{verb.__qualname__}: its text does not name {part.name}")
    assert not wrong, "\n".join(wrong)


def test_every_verb_of_the_command_line_is_in_python() -> None:
    verbs = {"tune", "inspect", "init", "measure", "slim", "doctor", "compare", "rebuild"}
    assert verbs <= set(litetuner.__all__)
    for name in verbs:
        assert inspect.getdoc(getattr(litetuner, name)), name
