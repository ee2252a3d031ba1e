"""The tables of breadth.py, made from its stored rows."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "breadth"
REAL = HERE / "results" / "breadth_real"

HEAD = """# Models of many kinds

    python benchmarks/breadth.py run --folder WORK
    python benchmarks/breadth.py table

{right} of {tasks} tasks are right, {days}: {trials} trials each, trainings of at most 0.3 epochs, on two cores with a
load average of {low} to {high}; all jobs in one process, latencies not measured. Right means: the baseline's score equals
`expected`, which scikit-learn or NumPy computed from Keras's outputs (and, after the slash, Keras's own `evaluate`);
every file of the search, run by hand with LiteRT, has the recorded score (both within 1e-4, or one sample); no trial
failed; and what was refused, was refused with the reason that is true. `offered` are the steps among 300 candidates drawn
at random from the space; all are {steps}. The scores say nothing of what a longer search would find.

"""


REAL_HEAD = """
## With worker processes

    python benchmarks/breadth.py real --folder WORK

{right} of {tasks} tasks are right, {days}, load average {low} to {high}: real trainings, conversions and timings in worker
processes, only the steps prune, cluster, qat and int8, trainings of at most 0.3 epochs. Right means what it means above, and
that at least one file was trained.

"""


def table() -> str:
    """All stored rows as a Markdown table."""
    rows = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    every = {step for row in rows.values() for step in row.get("offered", ())}
    lines = [
        "| task | kind | metric | expected | baseline | best of the search | smaller | its file by hand | offered | right |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [name, row["kind"], row["metric"], " / ".join(f"{value:.4f}" for value in row["expected"].values())]
        if "rejected" in row:
            cells += ["-", f"rejected: {row['rejected'][:120]}", "-", "-", "-"]
        else:
            file = next((file for file in row["files"].values() if file["label"] == row["best"]), None)
            hand = "-" if file is None else f"{file['by_hand']:.4f} (recorded {file['recorded']:.4f})"
            families = (
                f"all but {', '.join(sorted(every - set(row['offered'])))}" if every - set(row["offered"]) else "all"
            )
            families += f"; not trained: {row['untrained'][:90]}" if row["untrained"] else ""
            smaller = f"{row['size']:.1f}x" if "size" in row else "-"
            cells += [f"{row['baseline']:.4f}", row["best"] or "none within the budget", smaller, hand, families]
        lines.append(
            "| "
            + " | ".join([*cells, "yes" if row["right"] else f"NO {'; '.join(row.get('problems', ()))[:170]}"])
            + " |"
        )
    days = sorted({row["date"] for row in rows.values()})
    loads = sorted(row["load"] for row in rows.values() if "load" in row)
    words = HEAD.format(
        right=sum(row["right"] for row in rows.values()),
        tasks=len(rows),
        steps=", ".join(sorted(every)),
        days=" and ".join(days),
        trials=" or ".join(map(str, sorted({row["trials"] for row in rows.values()}))),
        low=loads[0],
        high=loads[-1],
    )
    return words + "\n".join(lines) + "\n"


def real_table() -> str:
    """All stored rows of searches with worker processes as a Markdown table."""
    rows = {path.stem: json.loads(path.read_text()) for path in sorted(REAL.glob("*.json"))}
    if not rows:
        return ""
    lines = [
        "| task | baseline, us | trained files: recorded score, by hand | us | right |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        files = list(row["files"].values())
        found = [file for file in files if file["trained"]]
        scores = "; ".join(f"{file['label']}: {file['recorded']:.4f}, {file['by_hand']:.4f}" for file in found)
        times = ", ".join("-" if file["latency_us"] is None else f"{file['latency_us']:.3g}" for file in found)
        base = next(file["latency_us"] for file in files if file["label"] == "float32")
        right = row["right"] and bool(found)
        said = "yes" if right else f"NO {'; '.join(row['problems'])[:170]}"
        lines.append(f"| {name} | {row['baseline']:.4f}, {base:.3g} | {scores} | {times} | {said} |")
    loads = sorted(row["load"] for row in rows.values())
    return (
        REAL_HEAD.format(
            tasks=len(rows),
            right=sum("| yes |" in line for line in lines),
            days=" and ".join(sorted({row["date"] for row in rows.values()})),
            low=loads[0],
            high=loads[-1],
        )
        + "\n".join(lines)
        + "\n"
    )
