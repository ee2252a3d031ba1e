"""The builder: jobs that need the model. Real tfmot, real converter, real quantizer; it lives in a worker process."""

from __future__ import annotations

import dataclasses
import functools
import io
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.candidate import Candidate
from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, ModelError
from litetuner.spaces.info import DataInfo, ModelInfo
from litetuner.spaces.step import Stage, Step
from litetuner.spaces.store import Store, write_atomic

BRIDGE_SAMPLES = 32
TIMED_STEPS = (
    1,
    6,
    60,
)  # trainings of so many steps tell how long a step takes; the last one only where steps are short
SHORT_SECONDS = 1.0
SHORTEST_STEP = 0.001  # seconds; less cannot be told from the noise of tracing


@dataclasses.dataclass
class Builder:
    """Does inspect, train and convert jobs. ``inputs`` and outputs are JSON; blobs go through the stores by sha256.

    ``blobs`` keeps checkpoints and raw conversions, ``artifacts`` the finished files. The last models are kept in memory.
    """

    blobs: Store
    artifacts: Store

    def inspect(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Load model and data, bridge the model to tf_keras, classify its layers, and time a few training steps."""
        from litetuner.spaces.data.preparation import open_split, prepare_data
        from litetuner.spaces.models.checkpoint import write_model
        from litetuner.spaces.models.input_shapes import sample_shapes
        from litetuner.spaces.models.inspection import model_info
        from litetuner.spaces.models.loading import sized
        from litetuner.spaces.models.outputs import chosen_output, original_outputs
        from litetuner.spaces.models.signature import input_ports, output_ports

        loaded = self._original(inputs)
        ports, outputs = input_ports(loaded.model), output_ports(loaded.model)
        scored = chosen_output(outputs, inputs.get("output"), inputs.get("takes_all", False))
        data = prepare_data(
            inputs["data"],
            Path(inputs["data_folder"]),
            seed=inputs["seed"],
            preprocess=inputs["preprocess"],
            input_shape=ports[0].shape,
            input_dtype=ports[0].dtype,
            output_shape=(scored or outputs[0]).shape,
            task=inputs["task"],
            inputs=ports,
            outputs=outputs,
            output=scored.name if scored is not None else None,
        )
        split = "train" if data.counts["train"] else "search"
        sample = np.asarray(open_split(data.folder, split)[0][:BRIDGE_SAMPLES])
        loaded = sized(loaded, sample_shapes(ports, sample), inputs["model"])
        outputs = output_ports(loaded.model)
        scored = chosen_output(outputs, inputs.get("output"), inputs.get("takes_all", False))
        trainable, refusal, difference = rebuild(loaded.model, sample)
        base = None if trainable is None else self.blobs.put(write_model(trainable), ".npz")
        facts = model_info(loaded, trainable, refusal, difference)
        found = original_outputs(loaded.model, open_split(data.folder, "search")[0], outputs, scored)
        loss = {
            "metric_loss": inputs["metric_loss"],
            "user_loss": inputs["loss"],
            "activation": facts.output_activation,
        }
        settings = loss | {"output_shape": list(facts.output_shape)}
        seconds, started = None, time.perf_counter()
        if trainable is not None and refusal is None and data.counts["train"]:
            seconds = self._seconds_per_epoch(trainable, data, inputs | {"loss": settings})
        return {
            "model": facts.to_json(),
            "data": data.to_json(),
            "base": base,
            "loss": settings,
            "original": self._keep(found),
            "seconds_per_epoch": seconds,
            "training_seconds": time.perf_counter() - started,
        }

    def _keep(self, values: np.ndarray) -> str:
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        return self.blobs.put(buffer.getvalue(), ".npy")

    def _original(self, inputs: dict[str, Any]) -> Any:
        """The user's model, kept in memory while its jobs come."""
        shapes = (inputs.get("facts") or {}).get("inputs") or {}
        return _cached_original(
            inputs["model"],
            inputs["trust"],
            inputs.get("custom_objects"),
            inputs.get("model_sha256", ""),
            tuple((name, tuple(shape)) for name, shape in shapes.items()),
        )

    def _seconds_per_epoch(self, model: Any, data: DataInfo, inputs: dict[str, Any]) -> float:
        from litetuner.spaces.models.keras_bridge.bridge import clone
        from litetuner.spaces.training.fit import fit

        context = self._context(data.to_json(), inputs)
        steps = max(1.0, data.counts["train"] / context.batch_size)
        copy = clone(model)
        before, a_step = 0.0, SHORTEST_STEP
        for last, count in zip((0, *TIMED_STEPS), TIMED_STEPS, strict=False):
            started = time.perf_counter()
            fit(copy, context, epochs=count / steps, learning_rate=0.0)
            seconds = time.perf_counter() - started
            if last:  # each traces the graph anew, so the difference of two does not hold that
                a_step = max((seconds - before) / (count - last), SHORTEST_STEP)
                if seconds - before > SHORT_SECONDS:
                    break
            before = seconds
        return a_step * steps

    def train(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Do the last step of a prefix on its parent's checkpoint; gives the ``checkpoint`` blob."""
        from litetuner.spaces.models.checkpoint import write_model, write_weights

        _know(inputs)
        prefix = Candidate.from_json(inputs["prefix"])
        step = prefix.steps[-1]
        context = self._context(inputs["data"], inputs)
        if step.knobs().get("distill"):
            context = dataclasses.replace(context, teacher=self._teacher(inputs["base"], inputs, context))
        parent = self._restore(inputs["base"], inputs["parents"], prefix.steps[:-1], context)
        started = time.perf_counter()
        trained = step.apply(parent, context)
        seconds = time.perf_counter() - started
        write = write_weights if step.restored_by_wrapping else write_model
        checkpoint = self.blobs.put(write(trained), ".npz")
        return {"checkpoint": checkpoint, "fit_seconds": seconds, "notes": step.notes(parent)}

    def _teacher(self, base: str, inputs: dict[str, Any], context: Context) -> np.ndarray | None:
        """The original's outputs on the training data, computed once a run and memory-mapped from then on."""
        from litetuner.spaces.training.distillation import LARGEST_BYTES, teacher_targets

        loss = inputs["loss"]
        outputs = int(np.prod([size for size in loss["output_shape"] if size is not None]))
        if not len(context.x_train) or len(context.x_train) * outputs * 4 > LARGEST_BYTES:
            return None
        path = Path(inputs["data"]["folder"]) / f"teacher-{base[:16]}.npy"
        if not path.exists():
            buffer = io.BytesIO()
            classifies = loss["user_loss"] is None and loss["metric_loss"] == "classification"
            np.save(
                buffer,
                teacher_targets(self._model(base), context.x_train, loss["activation"], classifies),
                allow_pickle=False,
            )
            write_atomic(path, buffer.getvalue(), durable=False)
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return found

    def convert(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Convert a checkpoint (or, ``untrained``, a one-shot probe of a prefix) to a raw ``file`` blob."""
        _know(inputs)
        candidate = Candidate.from_json(inputs["steps"])
        (step,) = candidate.of_stage(Stage.CONVERT)
        context = self._context(inputs["data"], inputs)
        if inputs["base"] is None:
            model = self._original(inputs).model
        elif context.untrained:
            model = self._restore(inputs["base"], [], (), context)
            for training in candidate.prefix.steps:
                model = training.apply(model, context)
        else:
            model = self._restore(inputs["base"], inputs["checkpoints"], candidate.prefix.steps, context)
        return {"file": self.blobs.put(step.apply(model, context), ".tflite")}

    def finish(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Rewrite a raw file, prove what the label promises in the finished flatbuffer, and keep it as the artifact."""
        from litetuner.spaces.tflite.artifact import read_artifact
        from litetuner.spaces.tflite.invariants import verify_invariants
        from litetuner.spaces.tflite.weights import weights_at, weights_by_layer

        candidate = Candidate.from_json(inputs["steps"])
        facts = ModelInfo.from_json(inputs["facts"])
        context = self._context(inputs["data"], inputs)
        file = self.blobs.get(inputs["file"])
        kernels = {layer.name: layer.kernel_shape for layer in facts.layers if layer.has_kernel}
        cut = self._cut(inputs)
        shapes: dict[str, tuple[int, ...]] | None = kernels
        if candidate.of_stage(Stage.RESHAPE):  # of a probe no cut is known, and nothing is proved
            shapes = {name: kernel.shape for name, kernel in cut.items()} or None
        notes: list[str] = []
        mapped = weights_by_layer(file, list(kernels), shapes)
        for step in candidate.of_stage(Stage.REWRITE):
            file, said = step.apply_with_notes(file, context)
            notes += said
            if not step.removes_names:
                mapped = weights_by_layer(file, list(kernels), shapes)
        artifact = read_artifact(file)
        findings = []
        if not inputs["untrained"]:
            weights = weights_at(file, {layer: weight.tensor_index for layer, weight in mapped.items()})
            invariants = self._invariants(candidate, facts, weights, cut)
            findings = [dataclasses.asdict(item) for item in verify_invariants(invariants, weights)]
            broken = [item for item in findings if not item["ok"]]
            if broken:
                raise BuildFailed("the finished file breaks its label: " + "; ".join(_say(item) for item in broken[:3]))
        name = self.artifacts.put(file, ".tflite")
        return {"artifact": name, "invariants": findings, "notes": notes} | dataclasses.asdict(artifact)

    def _cut(self, inputs: dict[str, Any]) -> Any:
        """The kernels that the last step which reshapes the model left in its checkpoint, by layer; none without one."""
        from litetuner.spaces.channels.kernel_shapes import kernels_of_checkpoint

        _know(inputs)
        return kernels_of_checkpoint(self.blobs, inputs["cut"]) if inputs.get("cut") else {}

    def _invariants(self, candidate: Candidate, facts: ModelInfo, weights: Any, cut: Any) -> list[Any]:
        from litetuner.spaces.channels.kernel_shapes import shape_invariants
        from litetuner.spaces.quantization.weight_types import weight_type_invariants
        from litetuner.spaces.tflite.invariants import Invariant

        found = []
        for step in candidate.steps:
            able = facts.layers_for(step.name) if step.selects_layers else facts.layers
            left = step.leaves([(layer.name, layer.type, layer.has_kernel) for layer in facts.layers])
            layers = [layer.name for layer in able if layer.has_kernel and layer.name not in left]
            found += [Invariant(*each) for each in step.invariants(layers)]
        found += [Invariant(*each) for each in shape_invariants(cut)]
        known = {(each.layer, each.property) for each in found}
        found += [Invariant(*each) for each in weight_type_invariants(candidate, weights) if each[:2] not in known]
        return found

    def _restore(self, base: str, checkpoints: list[str], steps: tuple[Step, ...], context: Context) -> Any:
        """The trained model of a prefix from its checkpoints (one a step): QAT is wrapped again, then given its weights."""
        from litetuner.spaces.models.checkpoint import read_model, set_weights
        from litetuner.spaces.models.keras_bridge.bridge import clone

        if not steps:
            return clone(self._model(base))
        step = steps[-1]
        if not step.restored_by_wrapping:
            return read_model(self.blobs.get(checkpoints[-1]))
        parent = self._restore(base, checkpoints[:-1], steps[:-1], context)
        model = step.wrap(parent, context)
        set_weights(model, self.blobs.get(checkpoints[-1]))
        return model

    def _model(self, blob: str) -> Any:
        return _cached_model(self.blobs, blob)

    def _calibration(self, facts: DataInfo, inputs: dict[str, Any]) -> np.ndarray:
        """The calibration samples that the job's last calibrating step asks for; the usual ones where none asks."""
        from litetuner.spaces.data.calibration import select_samples

        steps = Candidate.from_json(inputs.get("steps", [])).steps
        asked = [step.knobs() for step in steps if "selection" in step.knobs()][-1:] or [{}]
        count, selection = asked[0].get("calibration") or inputs["calibration"], asked[0].get("selection", "balanced")

        def outputs(samples: np.ndarray) -> np.ndarray:
            from litetuner.spaces.models.signature import predict
            from litetuner.spaces.named_arrays import parts

            model = self._model(inputs["base"]) if inputs["base"] else self._original(inputs).model
            return np.concatenate([out.reshape(len(samples), -1) for out in predict(model, parts(samples))], axis=1)

        return select_samples(facts.folder, count, selection, inputs["seed"], outputs)

    def _context(self, data: dict[str, Any], inputs: dict[str, Any]) -> Context:
        from litetuner.spaces.data.preparation import open_split
        from litetuner.spaces.training.fit import resolve_loss

        facts = DataInfo.from_json(data)
        x, y = open_split(facts.folder, "train")
        loss = inputs["loss"]
        shape = tuple(loss["output_shape"])
        samples = self._calibration(facts, inputs) if facts.counts["train"] else x[:0]
        return Context(
            x_train=x,
            y_train=y,
            calibration=samples,
            loss=resolve_loss(loss["metric_loss"], loss["activation"], shape, loss["user_loss"]),
            batch_size=inputs["batch_size"],
            seed=inputs["seed"],
            untrained=inputs.get("untrained", False),
        )


@functools.lru_cache(maxsize=1)
def _cached_model(blobs: Store, blob: str) -> Any:
    from litetuner.spaces.models.checkpoint import read_model

    return read_model(blobs.get(blob))


@functools.lru_cache(maxsize=1)
def _cached_original(
    source: str, trust: bool, custom_objects: str | None, sha256: str, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> Any:
    from litetuner.spaces.models.loading import load_model, sized

    loaded = load_model(source, trust=trust, custom_objects=custom_objects)
    return sized(loaded, dict(shapes), source) if shapes else loaded


def _know(inputs: dict[str, Any]) -> None:
    """Make the tf_keras twins of the user's layers known before a checkpoint is read."""
    from litetuner.spaces.models.custom_objects import load_custom_objects

    load_custom_objects(inputs.get("custom_objects"))


def rebuild(model: Any, sample: np.ndarray) -> tuple[Any | None, str | None, float | None]:
    """The tf_keras copy of a model, why it cannot be trained, and the largest difference of outputs on ``sample``.

    A copy that is not trained (several inputs or outputs) is still converted where its inputs and outputs keep their names.
    """
    from litetuner.spaces.models.keras_bridge.bridge import bridge, clone
    from litetuner.spaces.models.outputs import why_untrained
    from litetuner.spaces.models.signature import input_ports, output_ports

    ports, outputs = input_ports(model), output_ports(model)
    try:
        copy, difference = bridge(model, sample)
        clone(copy)  # every step begins with it, and only then it is known that a layer's settings are complete
    except ModelError as error:
        return None, str(error), None
    except Exception as error:  # a user's own layer raises what it likes
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return None, f"the model's copy in tf_keras cannot be made from its settings: {first[:200]}", None
    refusal = why_untrained(ports, outputs)
    if refusal is not None and (
        [port.name for port in (*input_ports(copy), *output_ports(copy))] != [port.name for port in (*ports, *outputs)]
    ):
        return None, refusal, difference
    return copy, refusal, difference


def _say(finding: dict[str, Any]) -> str:
    return f"{finding['layer']}: {finding['property']} requested {finding['requested']}, found {finding['verified']}"
