"""The base class of the report's sections. Each section is a file in this folder, which registers itself."""

import dataclasses
from typing import Any, ClassVar

from markupsafe import Markup

from litetuner.reports.model.report import Report


@dataclasses.dataclass(frozen=True)
class Content:
    """The content of a section: HTML, and plotly figures (JSON objects) by the id of their HTML element.

    The ``meta.role`` of a trace and the ``name`` of a shape say what they show; the page colors them by the reader's
    theme.
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
