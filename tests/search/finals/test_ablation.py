"""What each step contributes is measured without it, and told in finals.json."""

from __future__ import annotations

import json
from pathlib import Path

from litetuner.search.finals.ablation import rests
from litetuner.search.runs.record import read_run
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.steps import STEPS
from tests.search.fakes import fake_search


def candidate(*steps: tuple[str, dict[str, object]]) -> Candidate:
    return Candidate(tuple(STEPS[name](**knobs) for name, knobs in steps))


def test_without_a_step_the_later_ones_keep_nothing_of_it() -> None:
    whole = candidate(
        ("prune", {}),
        ("cluster", {"preserve_sparsity": True}),
        ("qat", {"preserve_sparsity": True, "preserve_clusters": True}),
        ("int8", {}),
        ("slim", {}),
    )
    found = {name: rest for name, rest in rests(whole)}
    assert set(found) == {"prune", "cluster", "qat", "int8"}
    assert [step.knobs().get("preserve_sparsity") for step in found["prune"].steps] == [False, False, None, None]
    assert [step.knobs().get("preserve_clusters") for step in found["cluster"].steps] == [None, False, None, None]
    assert [step.name for step in found["int8"].steps] == ["prune", "cluster", "qat", "float32", "slim"]


def test_cut_channels_go_with_their_mending() -> None:
    whole = candidate(("channels", {}), ("finetune", {}), ("prune", {}), ("int8", {}))
    found = {name: [step.name for step in rest.steps] for name, rest in rests(whole)}
    assert found["channels"] == ["prune", "int8"]
    assert found["prune"] == ["channels", "finetune", "int8"]
    assert "finetune" not in found
    alone = candidate(("channels", {}), ("finetune", {}), ("int8", {}))
    assert {name: [step.name for step in rest.steps] for name, rest in rests(alone)}["channels"] == ["finetune", "int8"]


def test_the_finals_tell_what_the_best_would_be_without_each_step(tmp_path: Path) -> None:
    fake_search(tmp_path / "run", trials=40)
    run = read_run(tmp_path / "run")
    best = run.picks["best"]
    record = json.loads((tmp_path / "run" / "finals.json").read_text())
    ablation = record["ablation"]
    assert ablation["trial"] == best.number
    assert str(best.number) in record["trials"]  # what the finals measured is still there
    names = [step.name for step in best.candidate.steps]
    assert ablation["steps"], best.candidate.label
    for step in ablation["steps"]:
        assert step["without"] in names
        assert step["label"] != best.candidate.label
        assert step["compressed_bytes"] > 0 and step["latency_us"] > 0 and 0 <= step["metric"] <= 1
        if step.get("trial") is not None:
            assert run.trial(step["trial"]).value("metric") == step["metric"]


def test_it_is_not_done_again(tmp_path: Path) -> None:
    fake_search(tmp_path / "run", trials=20)
    before = (tmp_path / "run" / "finals.json").read_bytes()
    fake_search(tmp_path / "run", trials=20)
    assert (tmp_path / "run" / "finals.json").read_bytes() == before
