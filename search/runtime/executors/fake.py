"""Jobs by formula: the whole loop runs hundreds of trials in seconds, for tests and for studying samplers."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.fake import Fake as FakeTarget
from litetuner.search.config.config import Config
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.executors.executor import Executor
from litetuner.search.runtime.jobs import Job, Result
from litetuner.spaces.building.fake_builder import FakeBuilder, quality, stand_in
from litetuner.spaces.candidate import Candidate


class Fake(Executor):
    """The fake builder and the fake target behind the protocol of executors."""

    name = "fake"
    simulated = True

    def __init__(self, folder: RunFolder, config: Config) -> None:
        super().__init__(folder, config)
        self._builder = builder = FakeBuilder(folder.blobs, folder.artifacts)
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "inspect": builder.inspect,
            "train": builder.train,
            "convert": builder.convert,
            "finish": self._finish,
            "score": self._score,
            "time": self._time,
        }

    def run(self, job: Job) -> Result:
        return Result(self._handlers[job.handler or job.kind](job.inputs | job.hints))

    def _score(self, inputs: dict[str, Any]) -> dict[str, Any]:
        candidate = Candidate.from_json(json.loads(Path(inputs["file"]).read_text()))
        count = inputs["limit"] or inputs["data"]["counts"][inputs["split"]]
        right = np.zeros(count, dtype=np.float64)
        right[: round(quality(candidate) * count)] = 1.0
        value = float(right.mean())
        environment = {"simulated": True, "split": inputs["split"], "samples": count}
        measured = Measurement(value, inputs["metric"], environment, (value - 0.01, value + 0.01))
        blob = self._keep(right)
        return {"metric": measured.to_json(), "each": blob, "predictions": blob}

    def _time(self, inputs: dict[str, Any]) -> dict[str, Any]:
        asked = find_target(inputs["spec"]).target
        target = asked if isinstance(asked, FakeTarget) else FakeTarget()  # a simulation bothers no device
        with tempfile.TemporaryDirectory() as place:
            for name in ("file", "baseline"):
                candidate = Candidate.from_json(json.loads(Path(inputs[name]).read_text()))
                (Path(place) / name).write_bytes(stand_in(candidate))
            timing = target.time(Path(place) / "file", Path(place) / "baseline", inputs["threads"])
        return {
            "latency_us": timing.latency_us.to_json(),
            "baseline_us": timing.baseline_us.to_json(),
            "ratio": timing.ratio,
        }

    def _finish(self, inputs: dict[str, Any]) -> dict[str, Any]:
        found = self._builder.finish(inputs)
        arena = 0.3 * found["file_bytes"]
        values = {"arena_bytes": arena, "memory_bytes": arena + found["file_bytes"]}
        facts = {name: Measurement(round(value), "B", {"simulated": True}).to_json() for name, value in values.items()}
        return found | {"facts": facts}

    def _keep(self, values: np.ndarray) -> str:
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        return self.folder.blobs.put(buffer.getvalue(), ".npy")
