"""The sections of the report: one file each; a new file registers itself."""

from litetuner.reports.html.sections.section import Section
from litetuner.spaces.registry import Registry

SECTIONS = Registry(__name__, list(__path__), Section, order="order")
