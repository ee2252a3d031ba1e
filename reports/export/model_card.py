"""The model card of an exported file, in Markdown."""

import functools
import re
from pathlib import Path
from typing import Any

import jinja2

from litetuner.reports.model.card import Card
from litetuner.reports.model.columns import estimate_of
from litetuner.reports.text import formatting as words
from litetuner.reports.text.formatting import clean

MOST_OPERATORS = 120  # rows of the table that lists the precision of each operator
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~!&"})


def write_card(card: Card, file_name: str) -> str:
    result, record, bounded = card.result, card.result.record, card.result.record.metric.bounded
    numbers = {"result": result, "trial": card.trial, "row": card.row, "baseline": result.baseline, "bounded": bounded}
    plain = result.metric_name if re.fullmatch(r"[a-z][a-z0-9_]*", result.metric_name) else ""
    numbers["plain_metric"] = plain
    inputs = {"model": record.model, "data": record.data, "config": record.config}
    shown = {"operators": card.operators[:MOST_OPERATORS], "left": max(0, len(card.operators) - MOST_OPERATORS)}
    ways: dict[str, Any] = {"points_of": functools.partial(words.points, bounded=bounded), "latency_of": words.latency}
    ways["estimated"] = lambda name: f" (estimate, {whose})" if (whose := estimate_of(record, name)) else ""
    template = templates().get_template("card.md")
    return str(template.render(card=card, file_name=file_name, **numbers, **inputs, **shown, **ways))


def markdown(value: Any, limit: int = 200) -> str:
    """A value as Markdown text; all markup characters in it are escaped."""
    return clean(value, limit).translate(SPECIAL)


def code(value: Any, limit: int = 200) -> str:
    """A value as inline code, which is also safe inside a Markdown table."""
    return "`" + clean(value, limit).replace("`", "'").replace("|", "\\|") + "`"


@functools.cache
def templates() -> jinja2.Environment:
    """The jinja2 environment with the templates of an export."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # the output is Markdown and Python: `text`, `code` and `repr` escape untrusted values
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= words.FILTERS | {"text": markdown, "code": code}
    environment.globals["drop_title"] = words.drop_title
    return environment
