"""The sections of the report, one file for each. A new file in this folder registers itself."""

from litetuner.reports.html.sections.section import Section
from litetuner.spaces.registry import Registry

SECTIONS = Registry(__name__, list(__path__), Section, order="order")
