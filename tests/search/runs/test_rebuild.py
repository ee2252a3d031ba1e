"""Rebuilding with the fake builder: what is compared, and what is refused. Real files are rebuilt in tests/api/test_tune.py."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from litetuner.reports.terminal.rebuild import agreement_lines, to_json
from litetuner.search.runs.rebuild import rebuild
from litetuner.search.runs.rebuild_source import RebuildSource, read_rebuild_source
from litetuner.spaces.errors import Refused, RunError
from litetuner.spaces.store import write_json
from tests.search.fakes import fake_search


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rebuild") / "run"
    fake_search(path, trials=14, steps=("float32", "int8", "ptq", "prune", "qat", "finetune", "slim"))
    return path


def record_of(run: Path, *, trained: bool) -> Path:
    """The trial.json of a scored trial whose recipe trains, or does not."""
    for path in sorted((run / "trials").glob("*/trial.json")):
        trial = read_json(path)
        steps = {step["step"] for step in trial["candidate"]}
        if trial["artifact"] and trial["number"] and bool(steps & {"prune", "cluster", "qat", "finetune"}) == trained:
            return path
    raise LookupError("no such trial")


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def other(source: RebuildSource, **values: Any) -> RebuildSource:
    return dataclasses.replace(source, sha256="0" * 64, **values)


@pytest.mark.parametrize("trained", [False, True])
def test_the_same_file_comes_out(trained: bool, run: Path, tmp_path: Path) -> None:
    source = read_rebuild_source(record_of(run, trained=trained))
    found = rebuild(source, tmp_path / "out" / "again.tflite")
    assert found.same_file and found.agrees and found.trained == trained
    assert found.file.read_bytes() == (run / "artifacts" / f"{source.sha256}.tflite").read_bytes()
    assert agreement_lines(found)[-1] == "verdict   identical file"
    assert [path.name for path in found.file.parent.iterdir()] == ["again.tflite"], "the working folder is gone"


def test_another_file_is_as_good_within_the_interval_and_only_if_it_was_trained(run: Path, tmp_path: Path) -> None:
    trained = read_rebuild_source(record_of(run, trained=True))
    assert trained.metric is not None
    far = trained.metric - 0.2
    cases = [
        (other(trained), True, "inside", "equivalent"),
        (
            other(trained, metric=far, metric_interval=(far - 0.01, far + 0.01)),
            False,
            "outside",
            "different: metric outside",
        ),
        (other(trained, metric=None, metric_interval=None), False, "not recorded", "no metric was recorded"),
        (other(read_rebuild_source(record_of(run, trained=False))), False, "inside", "should be identical"),
    ]
    for source, agrees, where, verdict in cases:
        found = rebuild(source, tmp_path / "again.tflite")
        text = "\n".join(agreement_lines(found))
        assert found.agrees is agrees and where in text and verdict in text
        assert json.loads(json.dumps(to_json(found)))["agrees"] is agrees


def test_a_candidate_that_the_rules_refuse(run: Path, tmp_path: Path) -> None:
    source = read_rebuild_source(record_of(run, trained=True))
    twice = dataclasses.replace(source.candidate, steps=(source.candidate.steps[0], *source.candidate.steps))
    with pytest.raises(Refused, match="stands in it 2 times"):
        rebuild(dataclasses.replace(source, candidate=twice), tmp_path / "again.tflite")
    assert not list(tmp_path.iterdir())


# A record from a stranger


def altered(run: Path, tmp_path: Path, change: Any) -> Path:
    """A copy of a record with a change, in a run's place."""
    record = read_json(record_of(run, trained=True))
    change(record)
    path = tmp_path / "run" / "trials" / "0001" / "trial.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    for name in ("litetuner.toml", "inspection.json", "identity.json", "environment.json"):
        (tmp_path / "run" / name).write_bytes((run / name).read_bytes())
    return path


def knob(name: str, value: Any) -> Any:
    def change(record: dict[str, Any]) -> None:
        record["candidate"][0][name] = value

    return change


def key(name: str, value: Any) -> Any:
    return lambda record: record.update({name: value})


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (key("candidate", "int8"), "candidate is 'int8': input should be a valid array"),
        (key("candidate", []), "candidate is []: list should have at least 1 item"),
        (key("candidate", [{"step": "int8"}] * 17), "list should have at most 16 items"),
        (key("candidate", [7]), "candidate.0 is 7: input should be an object"),
        (key("candidate", [{"step": "explode"}]), "there is no step 'explode'"),
        (key("candidate", [{"step": ["int8"]}]), "candidate.0.step is ['int8']: input should be a valid string"),
        (key("candidate", [{"steps": "int8"}]), "has no candidate.0.step"),
        (knob("sparsity", "0.5"), "sparsity is '0.5': input should be a valid number"),
        (knob("sparsity", 1e308), "sparsity is 1e+308: input should be less than"),
        (knob("sparsity", True), "sparsity is True: input should be a valid number"),
        (knob("epochs", 10**400), "epochs is a huge number"),
        (knob("epochs", -1), "epochs is -1: input should be greater than"),
        (knob("schedule", 3), "schedule is 3: input should be a valid string"),
        (knob("schedule", "x" * 5000), "at most 1000 characters"),
        (knob("skip", "conv"), "skip is 'conv': input should be a valid list"),
        (knob("skip", [{"a": 1}]), "skip is {'a': 1}: input should be a valid"),
        (knob("sparcity", 0.5), "did you mean 'sparsity'"),
        (key("sha256", "../../etc/passwd"), "sha256 is '../../etc/passwd': string should match pattern"),
        (key("artifact", "../../etc/passwd"), "was altered: artifact is"),
        (key("artifact", 7), "was altered"),
        (key("sha256", None), "never had a file"),
        (key("number", "1"), "number is '1': input should be a valid integer"),
        (key("format_version", 99), "has format 99"),
        (key("measurements", {"metric": {"value": "good"}}), "metric.value is 'good': input should be a valid number"),
        (key("measurements", {"metric": {"value": 0.5, "interval": [1]}}), "has no measurements.metric.interval.1"),
    ],
)
def test_a_hostile_record_is_refused_in_a_sentence(change: Any, part: str, run: Path, tmp_path: Path) -> None:
    path = altered(run, tmp_path, change)
    with pytest.raises(RunError) as caught:
        read_rebuild_source(path)
    message = str(caught.value)
    assert part in message and str(path) in message
    assert "\n" not in message and len(message) < 600


@pytest.mark.parametrize("text", ["", "[1, 2]", "[" * 100_000, '{"number": NaN', "\x00"])
def test_what_is_no_record(text: str, tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"trial\.json"):
        read_rebuild_source(path)
    with pytest.raises(RunError, match="does not exist"):
        read_rebuild_source(tmp_path / "nowhere")


def test_an_exported_record_needs_its_provenance_and_vouches_for_nothing(run: Path, tmp_path: Path) -> None:
    from litetuner.reports.export.export import export
    from litetuner.search.runs.record import read_run

    record = read_run(run)
    folder = export(record, trial=int(record_of(run, trained=True).parent.name), out=tmp_path / "out").parent
    told = read_json(folder / "provenance.json")
    told["configuration"]["trust-model"] = True
    write_json(folder / "provenance.json", told)
    assert not read_rebuild_source(folder).config.trust_model
    assert read_rebuild_source(folder, trust=True).config.trust_model
    assert rebuild(read_rebuild_source(folder), tmp_path / "again.tflite").same_file
    told["configuration"]["batch-size"] = "many"
    (folder / "provenance.json").write_text(json.dumps(told))
    with pytest.raises(Exception, match="batch-size"):
        read_rebuild_source(folder)
    told["configuration"] = ["x"]
    (folder / "provenance.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match=r"configuration is .*: input should be an object"):
        read_rebuild_source(folder)
    (folder / "provenance.json").unlink()
    with pytest.raises(RunError, match=r"no provenance\.json is beside it"):
        read_rebuild_source(folder)
