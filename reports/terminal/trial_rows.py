"""The lines that a running search prints: one for each finished trial, aligned below a header."""

import textwrap
from collections.abc import Sequence

from litetuner.reports.model.rows import shown_labels
from litetuner.reports.text.formatting import clean, latency, number, points, size
from litetuner.search.trial import Trial

WIDTHS = (5, 7, 9, 9, 10, 9)  # column widths of trial, time, metric, drop, size, latency
NARROW = 90  # columns; in narrower terminals the candidate is printed on separate lines
INDENT = 15  # indentation of these lines, which aligns them with the metric


def trial_header(
    metric: str, bounded: bool, size_measurement: str = "compressed_bytes", width: int | None = None
) -> str:
    """The titles of the columns. ``width`` is the width of the terminal, ``None`` without a terminal."""
    titles = ("trial", "time", clean(metric, 8), "drop pts" if bounded else "drop %")
    sized = "zlib" if size_measurement == "compressed_bytes" else "file"
    line = _columns((*titles, f"size {sized}"[-9:], "latency"))
    return line if _narrow(width) else f"{line}  candidate"


def trial_line(
    trial: Trial, trials: Sequence[Trial], size_measurement: str = "compressed_bytes", width: int | None = None
) -> str:
    """The text for one finished trial of ``trials``, with the size that is minimized.

    It is wrapped to ``width``, or one line without a ``width``. A star marks a latency that was measured on another
    file of the same structure.
    """
    label = shown_labels([other for other in trials if other.number <= trial.number], 80)[trial.number]
    ended = clock(trial.seconds_since_start)
    words = f"{label}{_remark(trial)}"
    if trial.duplicate_of is not None or not trial.state.scored:
        cells: tuple[str, ...] = (str(trial.number), ended, "–", "", "", "")
    else:
        timed = next((value for name, value in trial.measurements.items() if name.startswith("latency_us")), None)
        borrowed = any("borrowed_from" in value.extra for value in trial.measurements.values())
        drop = trial.measurements.get("drop")
        cells = (
            str(trial.number),
            ended,
            number(trial.value("metric")),
            "–" if drop is None else points(drop.value).removesuffix(" %"),
            size(trial.value(size_measurement)),
            latency(None if timed is None else timed.value) + ("*" if borrowed else ""),
        )
    line = _columns(cells)
    if width is None:
        return f"{line}  {words}"
    if _narrow(width):
        return f"{line.rstrip()}\n" + textwrap.fill(
            words, width, initial_indent=" " * INDENT, subsequent_indent=" " * INDENT
        )
    first, *more = textwrap.wrap(words, max(20, width - len(line) - 2)) or [""]
    return "\n".join((f"{line}  {first}", *(" " * (len(line) + 2) + text for text in more)))


def _remark(trial: Trial) -> str:
    """A remark after the label: duplicate, state and reason, baseline, or exceeded budgets."""
    if trial.duplicate_of is not None:
        return f" (same as trial {trial.duplicate_of})"
    if not trial.state.scored:
        gate = f" by {trial.gate}" if trial.gate else ""
        return f" ({trial.state.lower()}{gate}: {clean(trial.reason or 'no reason', 140)})"
    if trial.number == 0:
        return " (baseline)"
    exceeded = [name for name, value in trial.constraints.items() if value > 0]
    return f" (over {', '.join(exceeded)})" if exceeded else ""


def _columns(cells: Sequence[str]) -> str:
    return " ".join(f"{text:>{width}}" for text, width in zip(cells, WIDTHS, strict=True))


def _narrow(width: int | None) -> bool:
    return width is not None and width < NARROW


def clock(seconds: float) -> str:
    """Seconds since the start of the run as text: 0:07, 3:42, 1:02:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
