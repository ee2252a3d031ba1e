"""Makes trials, and the record of a run that holds them, without a search."""

from __future__ import annotations

import dataclasses
from typing import Any

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.metrics.choice import find_metric
from litetuner.search.config.config import make_config
from litetuner.search.criteria import Criteria, judged
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State, Trial
from litetuner.spaces.info import DataInfo, LayerInfo, ModelInfo
from tests.reports.flatbuffer import tflite
from tests.reports.names import candidate, params_of

HOST = {
    "cpu": "x86-64, 2 cores",
    "threads": 1,
    "runtime": "ai-edge-litert 2.3.0",
    "delegate": "XNNPACK",
    "pinned": True,
}

BASE = {"metric": 0.8720, "compressed": 296_412, "file": 321_904, "us": 254.3}


def measured(name: str, value: float, interval: tuple[float, float] | None = None, **extra: Any) -> Measurement:
    if name.startswith("latency_us"):
        return Measurement(value, "us", HOST, interval, tuple(value * (1 + k / 900) for k in range(7)), extra)
    if name.startswith("latency_ratio"):
        return Measurement(value, "ratio", HOST, interval)
    if name.endswith("_bytes"):
        return Measurement(
            value, "B", {"how": "zlib level 9" if name.startswith("compressed") else "length of the file"}
        )
    split = "test" if name.startswith("test") else "search"
    unit = "points" if name.endswith("drop") else "1"
    return Measurement(value, unit, {"split": split, "samples": 5000, "runtime": HOST["runtime"]}, interval)


@dataclasses.dataclass
class Builder:
    """Makes trials and the record that holds them."""

    folder: RunFolder
    trials: list[Trial] = dataclasses.field(default_factory=list)
    target: str = "host"  # of a latency that is given without one
    base_us: dict[str, float] = dataclasses.field(default_factory=dict)  # the baseline's latency on other targets

    def add(self, label: str, state: State = State.COMPLETE, **values: Any) -> Trial:
        number = len(self.trials)
        drop = values.get("drop")
        found: dict[str, Measurement] = {}
        if drop is not None:
            metric = BASE["metric"] - drop
            found["metric"] = measured("metric", metric, (metric - 0.0092, metric + 0.0090))
            found["drop"] = measured("drop", drop, (drop - 0.0035, drop + 0.0036))
        if "compressed" in values:
            found["compressed_bytes"] = measured("compressed_bytes", values["compressed"])
            found["file_bytes"] = measured("file_bytes", values.get("file", values["compressed"] * 1.2 // 1))
        us = values.get("us", {})
        for target, own in (us if isinstance(us, dict) else {self.target: us}).items():
            ratio = self.base_us.get(target, BASE["us"]) / own
            found[f"latency_us:{target}"] = measured(
                "latency_us", own, (own * 0.995, own * 1.004), p50=own, p99=own * 1.2
            )
            found[f"latency_ratio:{target}"] = measured("latency_ratio", ratio, (ratio * 0.993, ratio * 1.006))
        if "keras" in values:
            unit = {"split": "search", "samples": 4800}
            found["keras_metric"] = Measurement(values["keras"], "accuracy", unit | {"runtime": "Keras"})
            found["conversion_gap"] = Measurement(0.0002, "points", unit | {"paired": True}, (-0.0007, 0.0011))
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
            "max_compressed_size": "60kB",
            "max_latency": "150us",
        }
        settings = make_config({k: v for k, v in (values | config).items() if v is not None})
        layers = tuple(LayerInfo(f"conv{k}", "Conv2D", 432, (3, 3, 3, 16), (None, 32, 32, 16), {}) for k in range(8))
        return RunRecord(
            folder=self.folder,
            config=settings,
            metric=find_metric(settings.metric),
            model=ModelInfo(
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
            data=DataInfo(
                "b" * 64,
                {},
                {"train": 40000, "search": 5000, "test": 5000},
                (32, 32, 3),
                "float32",
                10,
                class_names,
                ("The search split was cut from train by seed 0.",),
            ),
            trials=tuple(judged(trial, Criteria(settings.budgets)) for trial in self.trials),
            environment={
                "cpu": {"model": "Example 9000", "cores": 2},
                "python": "3.11.9",
                "versions": {"tensorflow": "2.21.0", "ai-edge-litert": "2.3.0"},
            },
            seconds={"train": 1210.4, "convert": 96.2, "score": 201.7, "time": 88.3, "other": 14.6, "wall": 1611.2},
        )
