"""The model card of an exported file, in Markdown."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from litetuner.reports.model.card import Card
from litetuner.reports.text import formatting as words
from litetuner.reports.text.formatting import clean

MOST_OPERATORS = 120  # lines of the table of precisions
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~!&"})


def write_card(card: Card, file_name: str) -> str:
    """The card of the exported file of that name, as Markdown."""
    record = card.result.record
    return str(
        _environment()
        .get_template("card.md")
        .render(
            card=card,
            result=card.result,
            trial=card.trial,
            row=card.row,
            baseline=card.result.baseline,
            file_name=file_name,
            operators=card.operators[:MOST_OPERATORS],
            operators_left=max(0, len(card.operators) - MOST_OPERATORS),
            model=record.model,
            data=record.data,
            config=record.config,
            bounded=record.metric.bounded,
            points_of=functools.partial(words.points, bounded=record.metric.bounded),
            latency_of=words.latency,
        )
    )


def markdown(value: Any, limit: int = 200) -> str:
    """A value as Markdown text in which nothing is markup."""
    return clean(value, limit).translate(SPECIAL)


def code(value: Any, limit: int = 200) -> str:
    """A value as inline code, also in a table."""
    return "`" + clean(value, limit).replace("`", "'").replace("|", "\\|") + "`"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # Markdown: `text` and `code` escape what came from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "text": markdown,
        "code": code,
        "number": words.number,
        "points": words.points,
        "size": words.size,
        "latency": words.latency,
        "times": words.times,
        "between": words.between,
    }
    environment.globals["drop_title"] = words.drop_title
    return environment
