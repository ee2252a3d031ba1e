"""sha256 of the files of 25 candidates of the demo's model: every step and every pipeline.

The converter and the quantizer are deterministic, and so is training, on one kind of processor and with one number of threads.
Elsewhere the last bits of weights and ranges differ: there the structure and the size of each file are compared.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litetuner import demo
from litetuner.search.config.config import make_config
from litetuner.search.evaluation.measured import Measured
from litetuner.search.evaluation.services import Services
from litetuner.search.evaluation.stages import build, train_all
from litetuner.search.listener import Listener
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.machine import usable_cores
from litetuner.search.session import open_session
from litetuner.spaces.building.jobs import FinishResult
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.rules import broken_rules
from litetuner.spaces.step import Step
from litetuner.spaces.steps import STEPS
from litetuner.spaces.tf import load
from litetuner.spaces.tflite.rewriting.slimming import layouts

from ..one_process import OneProcess

pytestmark = pytest.mark.service
SHORT = {"epochs": 0.2, "distill": 0.5}
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def make(name: str, **knobs: Any) -> Step:
    return STEPS[name](**knobs)


def candidates() -> Iterator[Candidate]:
    slim, float32, int8 = make("slim"), make("float32"), make("int8")
    clipped = make("ptq", algorithm="mse", granularity="tensor", io="float32")
    mixed = (("hidden", "int4"), ("digit", "float32"), ("wide_conv", "int4"))
    prune = make("prune", sparsity=0.5, spread="global", schedule="constant", **SHORT)
    cluster = make("cluster", count=16, **SHORT)
    folded = make("cluster", count=16, fold=True, **SHORT | {"learning_rate": 3e-5})
    qat = make("qat", **SHORT)
    both = {"preserve_sparsity": True}
    channels, finetune = make("channels", ratio=0.5), make("finetune", **SHORT)
    yield Candidate((float32,))
    for steps in (
        (float32,),
        (make("float16"),),
        (make("dynamic"),),
        (int8,),
        (make("int8", io="int8"),),
        (make("int8", scales="tensor"),),
        (make("int16x8"),),
        (float32, make("ptq")),
        (float32, clipped),
        (float32, make("ptq", recipe="dynamic_wi8")),
        (float32, make("ptq", recipe="dynamic_wi4", layers=(("depthwise", "int8"),))),
        (float32, make("ptq", recipe="weight_only_wi8")),
        (float32, make("ptq", layers=tuple(sorted(mixed)))),
        (finetune, int8),
        (make("prune", sparsity=0.7, **SHORT), int8),
        (make("prune", sparsity=0.8, **SHORT), float32, make("sparse")),
        (cluster, int8),
        (folded, make("int8", scales="tensor")),
        (qat, int8),
        (make("qat", scales="tensor", **SHORT), int8),
        (prune, make("qat", **both, **SHORT), int8),
        (cluster, make("qat", preserve_clusters=True, **SHORT), int8),
        (
            prune,
            make("cluster", count=16, **both, **SHORT),
            make("qat", preserve_clusters=True, **both, **SHORT),
            int8,
        ),
        (channels, finetune, float32, clipped),
    ):
        yield Candidate((*steps, slim))


CANDIDATES = list(candidates())


class Bench:
    """Builds candidates of one run as a search does, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        load()
        self.model, data = demo.make_inputs(folder / "inputs")
        keys = {"model": str(self.model), "data": str(data), "out": str(folder / "run")}
        self.config = make_config(keys | {"executor": "one-process"})

    def build(self, found: list[Candidate]) -> list[FinishResult]:
        run = RunFolder(self.folder / "run")
        run.create()
        with open_session(self.config, run, Listener()) as session:
            return [self.build_one(candidate, session.services) for candidate in found]

    def build_one(self, candidate: Candidate, services: Services) -> FinishResult:
        assert broken_rules(candidate, services.constraints) == []
        checkpoints, measured = train_all(services, candidate, Measured())
        return build(services, candidate, checkpoints, measured)[0]


def conditions(model: Path) -> dict[str, Any]:
    """What the last bits depend on besides the code. The model is trained here, so its weights belong to them."""
    flags: set[str] = set()
    if Path("/proc/cpuinfo").exists():
        line = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
        flags = set(line.split())
    from litetuner.spaces.models.loading.load import load_model

    weights = b"".join(value.tobytes() for value in load_model(str(model)).model.get_weights())
    return {
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": usable_cores(),
        "tensorflow": importlib.metadata.version("tensorflow"),
        "weights": hashlib.sha256(weights).hexdigest(),
    }


@pytest.mark.timeout(1200)
def test_the_files_of_25_candidates(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    compare: Callable[[str, str], None],
) -> None:
    assert len(CANDIDATES) == 25
    monkeypatch.setitem(EXECUTORS, "one-process", OneProcess)
    bench = Bench(tmp_path)
    built = bench.build(CANDIDATES)
    for candidate, item in zip(CANDIDATES, built, strict=True):
        verified = {finding.property for finding in item.invariants}
        for name, properties in (
            ("prune", {"sparsity", "sparsity_of_all"}),
            ("cluster", {"clusters", "tensor_clusters"}),
        ):
            assert name not in [step.name for step in candidate.steps] or verified & properties, candidate.label
    found = [item.artifact for item in built]
    now = conditions(bench.model)
    recorded = Path(__file__).parent / "data" / "artifacts.json"
    exact = request.config.getoption("--record") or json.loads(recorded.read_text())["conditions"] == now
    rows = [
        {"number": number, "bytes": item.file_bytes, "structure": item.structure}
        | ({"sha256": item.sha256} if exact else {})
        for number, item in enumerate(found)
    ]
    if exact:
        compare("artifacts.json", json.dumps({"conditions": now, "files": rows}, indent=1) + "\n")
        return
    known = json.loads(recorded.read_text())["files"]
    assert [(row["number"], row["structure"]) for row in rows] == [(row["number"], row["structure"]) for row in known]
    # Another processor trains other values, so that another layout of the same file may compress best.
    for row, other, candidate, item in zip(rows, known, CANDIDATES, found, strict=True):
        sizes = {row["bytes"]}
        if candidate.steps[-1].name == "slim":
            (path,) = (tmp_path / "run").rglob(f"{item.sha256}*")
            sizes |= {len(file) for shared in (False, True) for file in layouts(path.read_bytes(), False, shared)}
        assert other["bytes"] in sizes, candidate.label
