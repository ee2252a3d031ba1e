"""A run of forty trials as a search would leave it, without a model: small real flatbuffers, all states, finals."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metric_choice import find_metric
from litetuner.search.config import make_config
from litetuner.search.record import RunRecord
from litetuner.search.run_folder import RunFolder
from litetuner.search.terms import Terms, judged
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.facts import DataFacts, LayerFacts, ModelFacts
from litetuner.spaces.step import Stage, Step, knob

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'`|[a](http://x)\u202e\u05d0\u05d1\u2028<!--"
LONG = HOSTILE + "x" * 10_000

HOST = {
    "cpu": "x86-64, 2 cores",
    "threads": 1,
    "runtime": "ai-edge-litert 2.3.0",
    "delegate": "XNNPACK",
    "pinned": True,
}


@dataclasses.dataclass(frozen=True)
class Named(Step):
    """A step that is only a name with knobs."""

    name: ClassVar[str] = "named"
    stage: ClassVar[Stage] = Stage.TRAIN
    text: str = knob("int8")
    sparsity: float = knob(0.0)
    layers: tuple[str, ...] = knob(())

    def label(self) -> str:
        return self.text

    def details(self) -> list[str]:
        return [f"keeps float32: {', '.join(self.layers)}"] if self.layers else []


@dataclasses.dataclass(frozen=True)
class Prune(Named):
    name: ClassVar[str] = "prune"


@dataclasses.dataclass(frozen=True)
class Convert(Named):
    name: ClassVar[str] = "convert"
    stage: ClassVar[Stage] = Stage.CONVERT


def candidate(label: str, sparsity: float | None = None, layers: tuple[str, ...] = ()) -> Candidate:
    head, _, tail = label.rpartition("+")
    steps: tuple[Step, ...] = (Convert(text=tail, layers=layers),)
    if head:
        steps = (Prune(text=head, sparsity=sparsity or 0.0), *steps)
    return Candidate(steps)


def params_of(label: str) -> dict[str, dict[str, Any]]:
    """The choices that would have led to a label, as a study records them."""
    *trained, deploy = label.split("+")
    options: dict[str, list[Any]] = {"deploy": [deploy], "train": ["no", "yes"], "steps": [0, 1, 2, 3, 4, 5]}
    chosen: dict[str, Any] = {"deploy": deploy, "train": "yes" if trained else "no", "steps": len(trained)}
    kind = '{"name": "CategoricalDistribution", "attributes": {"choices": %s}}'
    return {n: {"chosen": v, "value": v, "distribution": kind % json.dumps(options[n])} for n, v in chosen.items()}


def tflite(tag: str, kind: str = "int8") -> bytes:
    """A flatbuffer of one input and one output, without operators; ``tag`` makes it different from others."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int]) -> Any:
        found = schema.TensorT()
        found.name, found.shape = name.encode(), shape
        found.type = schema.TensorType.INT8 if kind == "int8" else schema.TensorType.FLOAT32
        if kind == "int8":
            found.quantization = schema.QuantizationParametersT()
            found.quantization.scale, found.quantization.zeroPoint = [0.00390625], [-128]
        return found

    graph = schema.SubGraphT()
    graph.tensors = [tensor("image", [1, 32, 32, 3]), tensor("probabilities", [1, 10])]
    graph.inputs, graph.outputs, graph.operators = [0], [1], []
    model = schema.ModelT()
    model.version, model.description, model.subgraphs = 3, tag.encode(), [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def measured(name: str, value: float, interval: tuple[float, float] | None = None, **extra: Any) -> Measurement:
    if name.startswith("latency_us"):
        return Measurement(value, "us", HOST, interval, tuple(value * (1 + k / 900) for k in range(7)), extra)
    if name.startswith("latency_ratio"):
        return Measurement(value, "ratio", HOST, interval)
    if name.endswith("_bytes"):
        return Measurement(value, "B", {"how": "zlib level 9" if name.startswith("deflated") else "length of the file"})
    split = "test" if name.startswith("test") else "search"
    return Measurement(value, "1", {"split": split, "samples": 5000, "runtime": HOST["runtime"]}, interval)


BASE = {"metric": 0.8720, "deflated": 296_412, "file": 321_904, "us": 254.3}


@dataclasses.dataclass
class Builder:
    """Makes trials and the record that holds them."""

    folder: RunFolder
    trials: list[Trial] = dataclasses.field(default_factory=list)
    target: str = "host"

    def add(self, label: str, state: State = State.COMPLETE, **values: Any) -> Trial:
        number = len(self.trials)
        drop = values.get("drop")
        found: dict[str, Measurement] = {}
        if drop is not None:
            metric = BASE["metric"] - drop
            found["metric"] = measured("metric", metric, (metric - 0.0092, metric + 0.0090))
            found["drop"] = measured("drop", drop, (drop - 0.0035, drop + 0.0036))
        if "deflated" in values:
            found["deflated_bytes"] = measured("deflated_bytes", values["deflated"])
            found["file_bytes"] = measured("file_bytes", values.get("file", values["deflated"] * 1.2 // 1))
        if "us" in values:
            us, ratio = values["us"], BASE["us"] / values["us"]
            found[f"latency_us:{self.target}"] = measured(
                "latency_us", us, (us * 0.995, us * 1.004), p50=us, p99=us * 1.2
            )
            found[f"latency_ratio:{self.target}"] = measured("latency_ratio", ratio, (ratio * 0.993, ratio * 1.006))
        if "test_drop" in values:
            lost = values["test_drop"]
            found["test_metric"] = measured("test_metric", BASE["metric"] - 0.004 - lost, (0.85, 0.88))
            found["test_drop"] = measured("test_drop", lost, (lost - 0.004, lost + 0.004))
        artifact = sha256 = None
        if state.scored and values.get("duplicate_of") is None and values.get("artifact", True):
            name = self.folder.artifacts.put(tflite(f"{number}", values.get("kind", "int8")), ".tflite")
            artifact, sha256 = f"artifacts/{name}", name.partition(".")[0]
        trial = Trial(
            number=number,
            candidate=values.get("candidate") or candidate(label, values.get("sparsity"), values.get("layers", ())),
            state=state,
            origin=values.get("origin", "sampler"),
            seed=number,
            measurements=found,
            gate=values.get("gate"),
            reason=values.get("reason"),
            duplicate_of=values.get("duplicate_of"),
            artifact=artifact,
            sha256=sha256,
            operators=values.get("operators", {}),
            invariants=values.get("invariants", ()),
            notes=values.get("notes", ()),
            params=values.get("params") or params_of(label),
            seconds={"train": 40.0, "convert": 3.1},
            seconds_since_start=30.0 * number,
        )
        self.trials.append(trial)
        return trial

    def record(
        self, *, model_name: str = "resnet8_cifar10", class_names: tuple[str, ...] | None = None, **config: Any
    ) -> RunRecord:
        values = {
            "model": "resnet8_cifar10.keras",
            "data": "cifar10.npz",
            "max_drop": "1%",
            "max_deflated": "60kB",
            "max_latency": "150us",
        }
        settings = make_config({k: v for k, v in (values | config).items() if v is not None})
        layers = tuple(LayerFacts(f"conv{k}", "Conv2D", 432, (3, 3, 3, 16), (None, 32, 32, 16), {}) for k in range(8))
        return RunRecord(
            folder=self.folder,
            config=settings,
            metric=find_metric(settings.metric),
            model=ModelFacts(
                model_name,
                "a" * 64,
                "keras3",
                (None, 32, 32, 3),
                "float32",
                (None, 10),
                78_666,
                layers,
                "softmax",
                None,
                7.5e-7,
            ),
            data=DataFacts(
                "b" * 64,
                "/data",
                {"train": 40000, "search": 5000, "test": 5000},
                (32, 32, 3),
                "float32",
                10,
                class_names,
                ("The search split was cut from train by seed 0.",),
            ),
            trials=tuple(judged(trial, Terms(settings.budgets)) for trial in self.trials),
            environment={
                "cpu": {"model": "Example 9000", "cores": 2},
                "python": "3.11.9",
                "versions": {"tensorflow": "2.21.0", "ai-edge-litert": "2.3.0"},
            },
            seconds={"train": 1210.4, "convert": 96.2, "score": 201.7, "time": 88.3, "other": 14.6, "wall": 1611.2},
        )


def fill(build: Builder) -> Builder:
    """Forty trials of all states; trial 0 is the baseline, two carry finals."""
    rng = random.Random(0)
    build.add(
        "float32",
        origin="baseline",
        drop=0.0,
        deflated=BASE["deflated"],
        file=BASE["file"],
        us=BASE["us"],
        kind="float32",
        test_drop=0.0,
    )
    build.add("float16", origin="baseline", drop=0.0001, deflated=150_221, file=163_080, us=254.9, kind="float32")
    build.add("dynamic", origin="baseline", drop=0.0011, deflated=81_204, file=96_120, us=120.4, kind="float32")
    build.add("int8", origin="baseline", drop=0.0018, deflated=78_454, file=88_032, us=78.2)
    build.add("int16x8", origin="baseline", deflated=82_300, us=4120.0, state=State.INFEASIBLE)
    for k, sparsity in enumerate((0.5, 0.6, 0.7, 0.75, 0.8, 0.9)):
        build.add(
            f"prune{sparsity}+int8",
            sparsity=sparsity,
            origin="recipe",
            drop=0.002 + k * k * 0.0013,
            deflated=62_000 - k * 7_300,
            file=88_032,
            us=78.1 + rng.random(),
        )
    for k, clusters in enumerate((64, 32, 16, 8)):
        build.add(
            f"cluster{clusters}+int8",
            drop=0.0015 + k * k * 0.002,
            deflated=64_000 - k * 5_100,
            file=88_032,
            us=78.3 + rng.random(),
        )
    invariants = tuple(
        {"layer": f"conv{k}", "property": "sparsity", "asked": 0.7, "found": 0.7 + k / 1000} for k in range(4)
    )
    invariants += tuple(
        {"layer": f"conv{k}", "property": "distinct weights a channel", "asked": 16, "found": 15} for k in range(4)
    )
    build.add(
        "channels0.5+prune0.7+cluster16+pcqat+int8",
        sparsity=0.7,
        drop=0.0083,
        deflated=21_904,
        file=34_100,
        us=38.4,
        test_drop=0.0091,
        invariants=invariants,
        operators={"CONV_2D": 9, "ADD": 3, "FULLY_CONNECTED": 1, "SOFTMAX": 1},
        notes=("shared scales per tensor in 2 layers",),
        layers=("dense",),
    )
    build.add("channels0.75+qat+int8", drop=0.0041, deflated=44_020, file=52_110, us=57.9, test_drop=0.0060)
    build.add("channels0.5+qat+int8", drop=0.0134, deflated=24_310, file=31_002, us=37.1)
    build.add("prune0.7+cluster16+pcqat+int8", sparsity=0.7, drop=0.0052, deflated=33_500, file=88_032, us=78.3)
    build.add("aeq_wi4+int8", drop=0.0066, deflated=51_100, file=58_410, us=103.0)
    build.add("prune0.95+int8", sparsity=0.95, drop=0.41, deflated=18_100, file=88_032, us=78.0)
    for k in range(8):
        build.add(
            f"prune{0.5 + k / 20:.2f}+cluster{2 ** (k % 4 + 3)}+int8",
            drop=0.003 + rng.random() * 0.02,
            deflated=round(28_000 + rng.random() * 40_000),
            file=88_032,
            us=78 + rng.random(),
        )
    build.add(
        "channels0.9+int16x8",
        State.PRUNED,
        gate="probe",
        reason="latency 3.9 ms breaks max-latency 150us",
        deflated=74_000,
        us=3900.0,
    )
    build.add(
        "float16+sparse",
        State.PRUNED,
        gate="dominated",
        reason="trial 3 is better even if training lost nothing",
        deflated=151_000,
        us=255.0,
    )
    build.add(
        "prune0.9+cluster8+pcqat+int8",
        State.PRUNED,
        gate="rung1",
        reason="8.1 points lost after the short training",
        drop=0.081,
        deflated=19_900,
        us=78.2,
    )
    build.add("qat+dynamic", State.INVALID, reason="qat asks for a full integer conversion")
    build.add("int8+sparse", State.FAILED, reason="allocate_tensors: no_integer_overflow_from_quantization")
    build.add("cluster16+cqat+int8", State.LOST, reason="the worker was killed by signal 9")
    build.add("prune0.7+int8", duplicate_of=7, drop=0.0072, deflated=47_400, us=78.4, sparsity=0.7)
    build.add("channels0.25+int8", drop=0.064, deflated=9_800, file=14_100, us=21.5)
    build.add("cluster64+cqat+int8", drop=-0.0008, deflated=58_900, file=88_032, us=78.4)
    while len(build.trials) < 40:
        build.add(
            f"prune0.{len(build.trials)}+qat+int8",
            drop=0.004 + rng.random() * 0.03,
            deflated=round(35_000 + rng.random() * 50_000),
            us=78 + rng.random(),
        )
    return build


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """A builder without trials."""
    return Builder(RunFolder(tmp_path / "run"))


@pytest.fixture
def filled(build: Builder) -> Builder:
    return fill(build)


@pytest.fixture
def record(filled: Builder) -> RunRecord:
    """The run of forty trials under its budgets."""
    return filled.record()


@pytest.fixture(scope="module")
def run_of_forty(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """The same, once for a module that only looks at it."""
    return fill(Builder(RunFolder(tmp_path_factory.mktemp("forty") / "run"))).record()


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], RunRecord]:
    """A run of n scored trials without files."""

    def make(count: int) -> RunRecord:
        build, rng = Builder(RunFolder(tmp_path / "many")), random.Random(1)
        build.add("float32", drop=0.0, deflated=BASE["deflated"], file=BASE["file"], us=BASE["us"], artifact=False)
        for k in range(count - 1):
            quality = rng.random()
            build.add(
                f"prune{k}+int8",
                sparsity=quality,
                drop=0.03 * quality * rng.random(),
                deflated=round(90_000 - 70_000 * quality * rng.random()),
                us=40 + 50 * rng.random(),
                artifact=False,
            )
        return build.record()

    return make


@pytest.fixture
def hostile(build: Builder) -> RunRecord:
    """A run whose names all try to break out."""
    build = Builder(RunFolder(build.folder.path / "'\"<script>window.hacked=1<script>$(id)\u202e"))
    layers = {text: {"precision": text, "change": 0.1, "reason": text} for text in (HOSTILE, LONG)}
    build.folder.write("sensitivity", {"layers": layers})
    build.folder.write("finals", {"ablation": {"steps": [{"label": HOSTILE, "without": LONG, "metric": 0.1}]}})
    choice = {"chosen": HOSTILE, "value": HOSTILE, "distribution": HOSTILE}
    build.add("float32", drop=0.0, deflated=BASE["deflated"], file=BASE["file"], us=BASE["us"])
    for k, text in enumerate((HOSTILE, LONG, "{{ 7*7 }}{% raw %}", "../../etc/passwd", "[red]not markup[/red]")):
        odd = Candidate((Convert(text=text, layers=(text,)),))
        checks = ({"layer": text, "property": text, "asked": text, "found": 1.0},)
        build.add(
            text,
            candidate=odd,
            drop=0.001 * (k + 1),
            deflated=50_000 - 1000 * k,
            us=70.0 - k,
            invariants=checks,
            notes=(text,),
            operators={text: 1},
            test_drop=0.002,
            params={text: choice | {"chosen": text}, "c": choice | {"chosen": text}},
        )
    build.add("x", State.FAILED, candidate=Candidate((Convert(text=HOSTILE * 2),)), reason=LONG, gate=HOSTILE)
    record = build.record(model_name=LONG, class_names=(HOSTILE, LONG, "\u05d0\u05d1"))
    return dataclasses.replace(record, environment={HOSTILE: {LONG: HOSTILE}, "nan": float("nan")})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def deflated(content: bytes) -> int:
    return len(zlib.compress(content, 9))
