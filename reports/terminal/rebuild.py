"""The comparison of a rebuilt file with the recorded one, as lines of text and as JSON."""

from typing import Any

from litetuner.reports.text.formatting import between, clean, number
from litetuner.search.runs.rebuild import Rebuilt

SCHEMA_VERSION = 1


def agreement_lines(found: Rebuilt) -> list[str]:
    """One line for each comparison, the verdict last."""
    source = found.source
    lines = [f"candidate {clean(source.candidate.label, 160)}: verified in the new file", f"sha256    {_sums(found)}"]
    if found.metric is not None:
        recorded = "not recorded" if source.metric is None else number(source.metric)
        interval = f" (95 % interval {between(source.metric_interval)})" if source.metric_interval else ""
        where = "" if source.metric is None else ", inside" if found.within else ", outside"
        name = f"{clean(found.metric_name, 60)}, search split"
        lines.append(f"metric    {name}: {number(found.metric)} now, {recorded} recorded{interval}{where}")
    if found.versions and not found.same_file:
        named = ", ".join(f"{name} {before}, now {now}" for name, before, now in found.versions[:6])
        lines.append(f"versions  {named}")
    return [*lines, f"verdict   {_verdict(found)}"]


def to_json(found: Rebuilt) -> dict[str, Any]:
    source = found.source
    recorded = {"name": found.metric_name, "recorded": source.metric, "interval": source.metric_interval}
    return {
        "schema_version": SCHEMA_VERSION,
        "file": str(found.file),
        "trial": source.number,
        "label": source.candidate.label,
        "trained": found.trained,
        "sha256": {"recorded": source.sha256, "now": found.sha256, "same": found.same_file},
        "metric": recorded | {"now": found.metric, "within": found.same_file or found.within},
        "versions": [{"package": name, "recorded": before, "now": now} for name, before, now in found.versions],
        "agrees": found.agrees,
    }


def _sums(found: Rebuilt) -> str:
    if found.same_file:
        return f"{found.sha256}, as recorded"
    return f"{found.sha256[:16]}... now, {found.source.sha256[:16]}... recorded"


def _verdict(found: Rebuilt) -> str:
    if found.same_file:
        return "identical file"
    if not found.trained:
        return "different file: no step of this candidate trains, so it should be identical"
    if found.source.metric is None:
        return "different file, and no metric was recorded to compare with"
    if found.agrees:
        return "equivalent: trained again, metric within the recorded interval"
    return "different: metric outside the recorded interval"
