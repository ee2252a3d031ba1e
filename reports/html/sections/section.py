"""A section of the report: one file in ``reports/html/sections``, which registers itself."""

import dataclasses
from typing import Any, ClassVar

from markupsafe import Markup

from litetuner.reports.model.report import Report


@dataclasses.dataclass(frozen=True)
class Content:
    """What a section shows: HTML, and plotly figures (JSON objects) by the id of the element that they are drawn in.

    A trace's ``meta.role`` and a shape's ``name`` say what it is; the page sets the colors of the reader's theme.
    """

    html: Markup
    figures: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


class Section:
    """Subclasses set ``name`` (also the anchor), ``order`` and ``title``, and define ``render``."""

    name: ClassVar[str]
    order: ClassVar[int]
    title: ClassVar[str]

    def render(self, report: Report) -> Content | None:
        """Render the report; ``None`` leaves the section out."""
        raise NotImplementedError(f"{type(self).__name__} defines no render()")
