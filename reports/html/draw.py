"""HTML templates, and JSON that is safe inside a page."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from litetuner.reports.model.rows import finite
from litetuner.reports.text import formatting as words
from litetuner.search.config.units import format_seconds

TEMPLATES = Path(__file__).parent / "templates"
BREAKS = re.compile(r"(?<=[+_,;])|(?=\[)")  # positions at which a label may wrap
UNITS = re.compile(r"(\d) (?=(?:%|[kMG]?B|µs|ms|s)(?!\w))")
# Characters that could end a script element, start a comment in it, or end a line of JavaScript are escaped.
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def draw(template: str, **values: Any) -> Markup:
    """Render a template of ``reports/html/templates`` as HTML; every value is escaped."""
    return Markup(_environment().get_template(template).render(**values))


def safe_json(value: Any) -> Markup:
    """JSON that is safe inside a ``<script type="application/json">``. NaN and infinity become null."""
    text = json.dumps(finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup("".join(ESCAPES.get(c, c) for c in text) if any(c in text for c in ESCAPES) else text)


def policy(*scripts: str) -> str:
    """The hashes of a page's scripts for its Content-Security-Policy."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def recipe(label: object, limit: int = 160) -> Markup:
    """A candidate's label that can wrap at spaces, after ``+ _ , ;`` and before ``[``."""
    return Markup("<wbr>").join(escape(part) for part in BREAKS.split(words.clean(label, limit)))


def tied(text: str) -> str:
    """The text with no-break spaces between numbers and units, so that no line starts with a unit."""
    return UNITS.sub("\\1\u00a0", text)


def strip(values: Sequence[float], width: int = 120, height: int = 14) -> Markup:
    """An SVG that shows raw samples as ticks on a line, at most 400 of them."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    places = (4 + (value - low) / span * (width - 8) for value in values[:400])
    ticks = "".join(f'<path d="M{place:.1f} 2v{height - 4}"/>' for place in places)
    label = f"{len(values)} samples from {low:.6g} to {high:.6g}"
    return Markup(
        f'<svg class="strip" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}">'
        f'<path class="base" d="M2 {height / 2}H{width - 2}"/>{ticks}</svg>'
    )


def figure_text(text: str) -> str:
    """Text for a plotly figure, escaped so that plotly does not interpret HTML tags in it (such as bold and links)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {"recipe": recipe, "strip": strip, "tied": tied, "seconds": format_seconds}
    environment.filters |= words.FILTERS | own
    environment.globals["drop_title"] = words.drop_title
    return environment
