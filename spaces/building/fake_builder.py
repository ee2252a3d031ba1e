"""A fake builder: plausible sizes and metrics by formula, in microseconds. For tests and for studies of samplers."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np

from litetuner.spaces.building.jobs import (
    ConvertJob,
    ConvertResult,
    FinishJob,
    FinishResult,
    InspectJob,
    InspectResult,
    MeasureLayersJob,
    TrainJob,
    TrainResult,
)
from litetuner.spaces.candidate import Candidate, digest
from litetuner.spaces.info import DataInfo, LayerInfo, ModelInfo, TensorInfo
from litetuner.spaces.jobs.metric_info import MetricInfo
from litetuner.spaces.jobs.workspace import Inspected, LossSettings, Workspace
from litetuner.spaces.models.decision import Decision
from litetuner.spaces.reconstruction.allocation.statistics import INT4, SPARSITIES, VALUES, LayerStatistics, Statistics
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.step import Stage
from litetuner.spaces.tflite.artifact import Artifact

LAYERS = 8
LONG = 8.0  # epochs over all steps; longer training gives no further gain
WEIGHTS = 10_000  # parameters of each layer
COUNTS = {"train": 1000, "search": 400, "test": 400}
BITS = {"float32": 32, "float16": 16, "dynamic": 8, "int8": 8, "int16x8": 8}


@dataclasses.dataclass(frozen=True)
class FakeBuilder:
    """Runs the builder's jobs without a model. Deterministic; compression lowers the metric and training raises it."""

    workspace: Workspace

    def inspect(self, job: InspectJob, metric: MetricInfo) -> InspectResult:
        """A model with ``LAYERS`` convolutions, and data with ten classes."""
        sha256 = hashlib.sha256(job.model_content.encode()).hexdigest()
        arrays = {f"x_{split}": self.workspace.keep_array(np.zeros(size)) for split, size in COUNTS.items()}
        decision = Decision("multiclass", None, "probabilities", "softmax", "from the last activation softmax")
        data = DataInfo(sha256, arrays, COUNTS, (8, 8, 3), "float32", 10, None, decision=decision)
        base = self.workspace.blobs.put(b"fake base", ".npz")
        model, loss = _model(sha256), LossSettings("sparse_categorical_crossentropy")
        inspected = json.dumps(Inspected(model, data, base, loss).to_json()).encode()
        blob = self.workspace.blobs.put(inspected, ".json")
        return InspectResult(model, data, base, loss, metric, blob, None, 0.0, 0.0)

    def train(self, job: TrainJob) -> TrainResult:
        """A checkpoint that contains its steps and seed as JSON."""
        content = json.dumps([job.prefix.to_json(), job.seed]).encode()
        return TrainResult(self.workspace.blobs.put(content, ".npz"), 0.0, ())

    def convert(self, job: ConvertJob) -> ConvertResult:
        """A raw file that contains its steps as JSON."""
        return ConvertResult(self.workspace.blobs.put(json.dumps(job.candidate.to_json()).encode(), ".tflite"))

    def measure_layers(self, job: MeasureLayersJob) -> Statistics:
        """The same statistics for every model."""
        return layer_statistics()

    def finish(self, job: FinishJob) -> FinishResult:
        """A file that contains its steps as JSON, with sizes by formula."""
        candidate = job.candidate
        name = self.workspace.artifacts.put(json.dumps(candidate.to_json()).encode(), ".tflite")
        bits = _bits(candidate)
        weights = WEIGHTS * _kept(candidate) ** 2
        (convert,) = candidate.of_stage(Stage.CONVERT)
        port = TensorInfo("", (), convert.knobs().get("io", "float32"))
        ends = {"QUANTIZE": 1, "DEQUANTIZE": 1} if convert.name == "int8" and port.dtype == "float32" else {}
        artifact = Artifact(
            sha256=name.partition(".")[0],
            file_bytes=int(sum(bits) / 8 * weights) + 9000,
            compressed_bytes=int(_compressed(candidate)) + 4000,
            inputs=(port,),
            outputs=(port,),
            operators={"CONV_2D": LAYERS} | ends,
            structure=structure_of(candidate),
        )
        return FinishResult(name, artifact, (), ())


def _model(sha256: str) -> ModelInfo:
    refusals = [{} if index % 3 else {"int4": "a fake"} for index in range(LAYERS)]
    return ModelInfo(
        "fake",
        sha256,
        "tf_keras",
        input_shape=(None, 8, 8, 3),
        input_dtype="float32",
        output_shape=(None, 10),
        parameters=LAYERS * WEIGHTS,
        layers=tuple(
            LayerInfo(f"conv{index}", "Conv2D", WEIGHTS, (3, 3, 8, 16), (None, 8, 8, 16), refusals[index])
            for index in range(LAYERS)
        ),
        output_activation="softmax",
    )


def structure_of(candidate: Candidate) -> str:
    """A digest of what determines a fake latency: the deployment steps and the widths, but not the weight values."""
    steps = [step.to_json() for step in candidate.deployment]
    for record in steps:  # neither sparsity nor clusters change the latency
        record.pop("sparsity", None), record.pop("clusters", None)
        if record["step"] == "reconstruct" and "layers" in record:
            record["layers"] = [[name, 4 if bits == 4 else 8] for name, _, _, bits, *_ in record["layers"]]
    return digest([steps, _kept(candidate)])


def stand_in(candidate: Candidate) -> bytes:
    """A file for the fake target. Its length is proportional to the work; equal structures give equal bytes."""
    work = sum(_bits(candidate)) * WEIGHTS * _kept(candidate) ** 2 / 32
    return structure_of(candidate).encode() + bytes(int(work))


def quality(candidate: Candidate) -> float:
    """The share of samples that a fake candidate gets right, in [0, 1]."""
    knobs = _knobs(candidate)
    loss = sum({32: 0.0, 16: 0.0, 8: 0.001, 4: 0.004}[bit] for bit in _bits(candidate))
    treated = _treatments(candidate)
    sparsities = [each.sparsity for each in treated] or [knobs.get("prune", {}).get("sparsity", 0.0)]
    loss += 0.08 * sum(sparsity**3 for sparsity in sparsities) / len(sparsities)
    values = [_values(each) for each in treated] or [knobs.get("cluster", {}).get("count", 0)]
    loss += sum(0.25 / count for count in values if count) / len(values)
    loss += 0.15 * (1 - _kept(candidate)) ** 2
    trained = sum(step.knobs().get("epochs", 0.0) for step in candidate.of_stage(Stage.TRAIN))
    gain = 0.3 + 0.2 * min(1.0, trained / LONG) if trained else 0.0
    gain += 0.3 if "qat" in knobs or treated else 0.0
    return max(0.0, 0.9 - loss * (1 - gain))


def _knobs(candidate: Candidate) -> dict[str, dict[str, Any]]:
    return {step.name: step.knobs() for step in candidate.steps}


def _treatments(candidate: Candidate) -> list[Treatment]:
    """The treatment of each layer by a reconstruction; empty if the candidate has none."""
    knobs = _knobs(candidate).get("reconstruct")
    if knobs is None:
        return []
    named = {name: Treatment(*rest) for name, *rest in knobs["layers"]}
    usual = Treatment(knobs["sparsity"], knobs["clusters"], knobs["bits"])
    return [named.get(f"conv{index}", usual) for index in range(LAYERS)]


def _values(treatment: Treatment) -> int:
    """The number of distinct values; 0 if the treatment does not limit it."""
    return treatment.counted or {3: 7, 2: 3}.get(treatment.bits, 0)


def layer_statistics() -> Statistics:
    """Statistics by formula: fewer values and more zeros give larger errors. The errors are equal for all layers."""
    return Statistics(tuple(_statistics(index) for index in range(LAYERS)))


def _statistics(index: int) -> LayerStatistics:
    name, change = f"conv{index}", 0.5 / (1 + index)  # the first layers change the outputs most
    errors = tuple(tuple(1 / values + sparsity**3 for sparsity in SPARSITIES) for values in (*VALUES, INT4))
    share = tuple(_deflated(values, sparsity) for values in (*VALUES, INT4) for sparsity in SPARSITIES)
    rows = tuple(share[at : at + len(SPARSITIES)] for at in range(0, len(share), len(SPARSITIES)))
    return LayerStatistics(name, "CONV_2D", (16, 3, 3, 8), name != "conv0", errors, rows, change, name)


def _deflated(values: int, sparsity: float) -> float:
    bits, few = (4, 0) if values == INT4 else (8, values % 256)
    return WEIGHTS * bits / 8 * _share(sparsity, few)


def _kept(candidate: Candidate) -> float:
    """The share of channels that are kept."""
    return 1.0 - sum(float(step.knobs()["ratio"]) for step in candidate.steps if step.changes_shapes)


def _bits(candidate: Candidate) -> list[int]:
    (convert,) = candidate.of_stage(Stage.CONVERT)
    bits = [BITS[convert.name]] * LAYERS
    for step in candidate.of_stage(Stage.REWRITE):
        if step.name == "ptq":
            recipe, layers = step.knobs()["recipe"], dict(step.knobs()["layers"])
            base = 4 if "wi4" in recipe else 32 if recipe == "none" else 8
            named = {"float32": 32, "int8": 8, "int4": 4}
            bits = [named.get(layers.get(f"conv{index}", ""), base) for index in range(LAYERS)]
        elif step.name == "reconstruct":
            bits = [4 if each.bits == 4 else 8 for each in _treatments(candidate)]
    return bits


def _compressed(candidate: Candidate) -> float:
    """The compressed size of all weights, in bytes."""
    knobs = _knobs(candidate)
    count = knobs.get("cluster", {}).get("count", 0)
    usual = _share(knobs.get("prune", {}).get("sparsity", 0.0), count)
    shares = [_share(each.sparsity, _values(each)) for each in _treatments(candidate)] or [usual] * LAYERS
    weights = WEIGHTS * _kept(candidate) ** 2
    return sum(bit / 8 * weights * share for bit, share in zip(_bits(candidate), shares, strict=True))


def _share(sparsity: float, values: int) -> float:
    """The compressed size as a share of the weights' bytes; ``values`` is 0 for any number of distinct values."""
    share = 0.9 * (1 - 0.9 * sparsity)
    return share * min(1.0, 0.4 + 0.1 * values**0.5) if values else share
