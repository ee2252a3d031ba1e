"""The report of a run as one HTML file that works offline."""

import functools
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from litetuner.reports.files.summary import summarize
from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.html.draw import TEMPLATES, draw, policy, safe_json
from litetuner.reports.html.sections import SECTIONS
from litetuner.reports.html.trial_data import trial_data
from litetuner.reports.model.report import Report, build_report
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.store import write_atomic

SCRIPTS = ("core", "charts", "parallel", "table", "trial", "page")


def write_report(record: RunRecord) -> Path:
    """Write ``report.html``, ``trials.csv`` and ``summary.json`` into the run folder; returns the report's path.

    Each file is written atomically. Raises ``RunError`` if the folder cannot be written.
    """
    report = build_report(record)
    folder = record.folder.path
    write_atomic(folder / "summary.json", json.dumps(summarize(report.result), indent=1) + "\n")
    write_atomic(folder / "trials.csv", write_csv(report.result))
    write_atomic(record.folder.report, render(report))
    return record.folder.report


def render(report: Report) -> str:
    """The report as HTML.

    The Content-Security-Policy of the page forbids all connections, and all scripts except those whose hash it lists.
    Even if an untrusted name were not escaped, it could not run a script or send data.
    """
    from plotly.offline import get_plotlyjs

    parts: list[tuple[str, str, Markup]] = []
    figures: dict[str, dict[str, Any]] = {}
    for name, section in SECTIONS.items():
        content = section().render(report)
        if content is not None:
            parts.append((name, section.title, content.html))
            figures |= content.figures
    scripts = [*([get_plotlyjs()] if figures else []), page_script()]
    data = safe_json(trial_data(report) | {"figures": figures})
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    code: dict[str, Any] = {"scripts": [Markup(script) for script in scripts], "policy": policy(*scripts)}
    record = report.result.record
    code |= {"model": record.model, "doubts": record.doubts}
    return str(draw("report.html", parts=parts, data=data, style=style, **code))


@functools.cache
def page_script() -> str:
    """The page's own script: the files of ``SCRIPTS``, in this order, inside one function scope."""
    parts = [(TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return "(() => {\n" + "\n".join(parts) + "})();\n"
