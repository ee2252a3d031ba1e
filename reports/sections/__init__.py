"""The sections of the report, by name, in the order in which they stand."""

from __future__ import annotations

from litetuner.reports.section import Section
from litetuner.spaces.registry import classes

SECTIONS: dict[str, type[Section]] = dict(
    sorted(classes(__name__, list(__path__), Section).items(), key=lambda pair: pair[1].order)
)
