from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.export.export import export
from litetuner.reports.html.report import write_report
from litetuner.search.config.config import make_config
from litetuner.search.runs.record import RunRecord
from litetuner.spaces.errors import ConfigError, RunError
from litetuner.spaces.store import Store


def test_export_writes_the_measured_file_its_trial_and_a_card(record: RunRecord, tmp_path: Path) -> None:
    path = export(record, out=tmp_path / "out")
    assert path.name == "resnet8_cifar10-channels0.5-prune0.7-cluster16-pcqat-int8-2eb5a4.tflite"
    best = record.picks["best"]
    assert Store(tmp_path).put(path.read_bytes(), "") == best.sha256
    told = json.loads((tmp_path / "out" / "trial.json").read_text())
    assert told["number"] == best.number and told["sha256"] == best.sha256
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for text in (
        path.name,
        best.sha256,
        "| input | `image` | int8 |",
        "0.00390625",
        "| conv0 | sparsity | 0.7 | 0.7 |",
    ):
        assert text in card
    assert "**On the test split it misses" not in card


def test_export_of_a_number_and_of_picks(record: RunRecord, tmp_path: Path) -> None:
    assert "int8" in export(record, trial=3, out=tmp_path / "a").name
    card = (tmp_path / "a" / "MODEL_CARD.md").read_text()
    assert "| `max-compressed-size 60kB` | 78.5 kB | **not met** |" in card
    assert "The test split has not been scored for this trial" in card
    export(record, trial=0, out=tmp_path / "b")
    assert "Inputs and outputs are floating-point numbers" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    for pick, trial in record.picks.items():
        export(record, pick=pick, out=tmp_path / pick)
        assert json.loads((tmp_path / pick / "trial.json").read_text())["number"] == trial.number


def test_the_card_says_what_test_misses(filled: Any, tmp_path: Path) -> None:
    filled.add("int8", drop=0.001, compressed=20_000, us=30.0, test_drop=0.012)
    export(filled.record(), out=tmp_path / "out")
    assert (
        "**On the test split it is not within --max-drop 1% (1.20 points there).**"
        in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    )


def test_the_card_marks_a_latency_that_was_measured_on_another_file(record: RunRecord, tmp_path: Path) -> None:
    trial = next(trial for trial in record.trials if trial.artifact and not trial.is_baseline)
    (key,) = [key for key in trial.measurements if key.startswith("latency_us:")][:1]
    trial.measurements[key].extra["borrowed_from"] = {"trial": 3}
    export(record, trial=trial.number, out=tmp_path / "out")
    assert ", measured on the file of trial 3, which has" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_errors_say_what_to_do(record: RunRecord, filled: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        RunError, match=r"there is no trial 99; trial numbers are 0 to 39\. The nearest with a file is trial 39"
    ):
        export(record, trial=99, out=out)
    with pytest.raises(ConfigError, match=r"unknown pick 'smalest' \(did you mean 'smallest'"):
        export(record, pick="smalest", out=out)
    with pytest.raises(ConfigError, match="not both"):
        export(record, pick="best", trial=1, out=out)
    with pytest.raises(RunError, match=r"trial 33 is FAILED .*no_integer_overflow.* has no file"):
        export(record, trial=33, out=out)
    with pytest.raises(RunError, match=r"repeats trial 7\. Export that trial"):
        export(record, trial=35, out=out)
    with pytest.raises(
        RunError, match=r"no candidate is within the budgets.*--max-compressed-size 22kB, or export .* --trial 15"
    ):
        export(filled.record(max_compressed_size="8kB"), out=out)
    assert not out.exists()


def test_no_fastest_where_nothing_was_timed(build: Any, tmp_path: Path) -> None:
    build.add("float32", drop=0.0, compressed=50_000)
    with pytest.raises(RunError, match=r"no fastest trial because latency was not measured.*smallest"):
        export(build.record(max_latency=None), pick="fastest", out=tmp_path / "out")


def test_an_altered_file_is_not_exported(record: RunRecord, tmp_path: Path) -> None:
    best = record.picks["best"]
    path = record.folder.path / str(best.artifact)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(RunError, match="was altered"):
        export(record, out=tmp_path / "out")
    path.unlink()
    with pytest.raises(RunError, match="is missing"):
        export(record, out=tmp_path / "out")
    other = dataclasses.replace(best, artifact=record.trial(3).artifact)  # a record that names another trial's file
    trials = tuple(other if trial.number == best.number else trial for trial in record.trials)
    with pytest.raises(RunError, match="was changed: its file is"):
        export(dataclasses.replace(record, trials=trials), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be_written(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="cannot write"):
        export(record, out=tmp_path / "file" / "below")


def test_hostile_names_stay_inside_the_folder_and_out_of_the_markup(hostile: RunRecord, tmp_path: Path) -> None:
    for number in range(1, 6):
        path = export(hostile, trial=number, out=tmp_path / f"out{number}")
        assert path.parent == tmp_path / f"out{number}" and len(path.name) <= 100
        card = (path.parent / "MODEL_CARD.md").read_text()
        unescaped = re.sub(r"\\.", "", card)
        outside_code = "".join(unescaped.split("`")[::2])
        assert not set("<>") & set(outside_code) and "](" not in outside_code
        assert "\u202e" not in card and len(card) < 40_000


def test_a_file_that_is_no_tflite_gets_a_card_that_says_so(build: Any, tmp_path: Path) -> None:
    trial = build.add("float32", drop=0.0, compressed=50_000, us=10.0)
    name = build.folder.artifacts.put(b"no model at all", ".tflite")
    build.trials[0] = dataclasses.replace(trial, artifact=f"artifacts/{name}", sha256=name.partition(".")[0])
    export(build.record(), trial=0, out=tmp_path / "out")
    assert "Inputs and outputs could not be read" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_the_same_numbers_everywhere(record: RunRecord, tmp_path: Path) -> None:
    import pandas as pd
    from rich.console import Console

    from litetuner.reports.model.result import build_result
    from litetuner.reports.terminal.tables import best_panel, front_table

    html = write_report(record).read_text()
    summary = json.loads((record.folder.path / "summary.json").read_text())
    lines = pd.read_csv(record.folder.path / "trials.csv").set_index("trial")
    for row in (*summary["front"], summary["baseline"]):
        line = lines.loc[row["trial"]]
        for name in ("label", "state", "metric", "drop", "file_bytes", "compressed_bytes"):
            assert line[name] == row[name]
        assert line["latency_us_host"] == row["latency_us"]["host"]
        assert [line["metric_interval_low"], line["metric_interval_high"]] == row["metric_interval"]
    export(record, out=tmp_path / "out")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(front_table(build_result(record)), best_panel(build_result(record), "next"))
    terminal = console.export_text()
    best = summary["best"]
    shown = [f"{best['metric']:.4f}", "21.9 kB", "38.4 µs", "6.6×"]
    assert best["compressed_bytes"] == 21_904 and best["latency_us"]["host"] == 38.4
    for text in shown:
        assert text in html and text in card and text in terminal


def test_provenance_says_where_the_file_comes_from(record: RunRecord, tmp_path: Path) -> None:
    file = export(record, out=tmp_path / "out", c_array=True)
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())
    best = record.picks["best"]
    assert told["schema_version"] == 1 and told["trial"] == best.number
    assert told["measured_sha256"] == best.sha256 == told["files"][file.name]["sha256"]
    assert set(told["files"]) == {
        path.name for path in file.parent.iterdir() if path.suffix in (".tflite", ".h", ".cc")
    }
    assert told["inputs"]["model"]["sha256"] == "a" * 64 and told["inputs"]["data"]["sha256"] == "b" * 64
    assert len(told["measurements"]["latency_us:host"]["samples"]) == 7
    assert told["baseline"]["measurements"]["metric"]["value"] == 0.8720
    assert told["environment"]["versions"]["tensorflow"] == "2.21.0"
    assert make_config(told["configuration"]) == record.config


def test_a_folder_holds_one_trial(record: RunRecord, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = export(record, out=out, c_array=True)
    assert export(record, out=out) == first, "the same trial again is no other"
    (array,) = out.glob("*_model.cc")
    assert array.name in json.loads((out / "provenance.json").read_text())["files"], "it is still the same file's"
    with pytest.raises(RunError, match=r"contains trial 15 \(.*\), not trial 3 .*--force"):
        export(record, trial=3, out=out)
    assert first.is_file()
    second = export(record, trial=3, out=out, force=True)
    assert second.is_file() and not first.exists()
    key = record.picks["best"].candidate.id
    assert {first.name, array.name, "trial.json", "MODEL_CARD.md"} < {
        path.name for path in (out / f"earlier-{key}").iterdir()
    }
    export(record, out=out, force=True)
    export(record, trial=3, out=out, force=True)
    assert (out / f"earlier-{key}-2" / first.name).is_file(), "nothing is overwritten there"
    assert json.loads((out / "trial.json").read_text())["number"] == 3


def test_an_export_that_was_killed_is_repeated_by_the_same_command(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was killed: no file is torn, and what is there is known as this trial's."""
    whole = export(record, out=tmp_path / "whole", c_array=True).parent
    replace, count = os.replace, len(list(whole.iterdir()))
    for written in range(count):
        out, left = tmp_path / f"out{written}", [written]

        def killed(source: str, target: Path, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr("litetuner.spaces.store.os.replace", killed)
            with pytest.raises(KeyboardInterrupt):
                export(record, out=out, c_array=True)
        assert len(list(out.iterdir())) == written if written else True
        export(record, out=out, c_array=True)
        assert {file.name for file in out.iterdir()} == {file.name for file in whole.iterdir()}


def test_somebody_elses_files_are_left_alone(record: RunRecord, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run_example.py").write_text("mine")
    with pytest.raises(RunError, match=r"already contains run_example\.py.*--force"):
        export(record, out=out)
    (out / "trial.json").write_text("[1, 2")
    with pytest.raises(RunError, match="was not written by an export"):
        export(record, out=out, force=True)
    assert (out / "run_example.py").read_text() == "mine"


def test_force_moves_what_an_export_wrote_and_nothing_else(record: RunRecord, tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious.tflite"
    precious.write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    export(record, out=out)
    (out / "notes.txt").write_text("x")
    told = json.loads((out / "provenance.json").read_text())
    told["files"] |= {"../precious.tflite": {}, str(precious): {}, "notes.txt": {}}
    (out / "provenance.json").write_text(json.dumps(told))
    export(record, trial=3, out=out, force=True)
    assert precious.exists() and (out / "notes.txt").exists()


def test_the_card_is_markdown_that_hubs_render(record: RunRecord, tmp_path: Path) -> None:
    """CommonMark with tables: every table is one, nothing is left as pipes or HTML, and the metadata is YAML."""
    from markdown_it import MarkdownIt

    export(record, out=tmp_path)
    _, head, body = (tmp_path / "MODEL_CARD.md").read_text().split("---\n", 2)
    assert head.startswith("library_name: litert\n") and "- accuracy" in head
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == sum(
        line.startswith("|") and set(line) <= set("|-:") for line in body.split("\n")
    )
    assert kinds.count("heading_open") >= 8 and "html_block" not in kinds
    texts = [tokens[at + 1].content for at, kind in enumerate(kinds) if kind == "paragraph_open"]
    assert not [text for text in texts if text.startswith("|") or "<" in text]


def test_a_file_that_cannot_carry_metadata_is_said(record: RunRecord, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="metadata cannot be added"):
        export(
            record, out=tmp_path / "out", metadata=True
        )  # these files have no operators, so the runtime refuses them
    assert not (tmp_path / "out").exists()
