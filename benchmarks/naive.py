"""A search as a capable user would write it by hand: tfmot, the converter and Optuna in a loop.

python benchmarks/naive.py --model M.keras --data D.npz --minutes 15 --sampler tpe --seed 0 --out naive-0.json

This file is frozen, and it imports nothing of litetuner's search. Every trial starts from the trained model. It applies
pruning, clustering and QAT in tfmot's order, each trained with Adam on the labels, then a conversion. The choices are
those of litetuner 0.1 that tfmot or the converter offer. Channel pruning, distillation and precision by layer are left
out, because they were litetuner's own. The objectives are those of a search: metric, compressed size, latency. The only
part of litetuner that it uses is the bridge from Keras 3 to tf_keras.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import optuna

MOST_DROP = 0.02
SPARSITY = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CLUSTERS = (8, 16, 32, 64, 128, 256)
PLAIN = ("int8", "float16", "dynamic", "float32", "int16x8")
BATCH = 32


class Task:
    """One model and its data, with methods that build, score and time files."""

    def __init__(self, model: Path, data: Path, most_epochs: float) -> None:
        import keras

        from litetuner.spaces.models.keras_bridge.bridge import bridge

        with np.load(data) as arrays:
            self.x, self.y = arrays["x_train"], arrays["y_train"]
            self.x_search, self.y_search = arrays["x_search"], arrays["y_search"]
        self.model, _ = bridge(keras.saving.load_model(model, compile=False), self.x[:64])
        self.most_epochs = most_epochs
        self.calibration = self.x[:: max(1, len(self.x) // 200)][:200]
        self.baseline = self.convert(self.model, "float32", "float32")

    def train(self, model: Any, epochs: float, rate: float, callbacks: tuple[Any, ...] = ()) -> None:
        import tf_keras

        last = model.layers[-1]
        logits = getattr(last, "activation", None) is None or last.activation.__name__ != "softmax"
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        model.compile(tf_keras.optimizers.Adam(rate), loss)
        steps = max(1, round(epochs * len(self.x) / BATCH))
        order = np.random.default_rng(0).permutation(np.resize(np.arange(len(self.x)), steps * BATCH))
        model.fit(self.x[order], self.y[order], batch_size=BATCH, epochs=1, verbose=0, callbacks=list(callbacks))

    def build(self, choices: dict[str, Any]) -> bytes:
        """Build the file for the choices of one trial."""
        import tensorflow_model_optimization as tfmot
        import tf_keras

        model = tf_keras.models.clone_model(self.model)
        model.set_weights(self.model.get_weights())
        if not choices["train"]:
            return self.convert(model, choices["deploy"], choices["io"])
        epochs, rate = choices["epochs"] * self.most_epochs, choices["rate"]
        if choices["sparsity"]:
            model = tfmot.sparsity.keras.prune_low_magnitude(model, **self.schedule(choices, epochs))
            self.train(model, epochs, rate, (tfmot.sparsity.keras.UpdatePruningStep(),))
            model = tfmot.sparsity.keras.strip_pruning(model)
        if choices["clusters"]:
            from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster

            start = tfmot.clustering.keras.CentroidInitialization[choices["start"]]
            given = {"number_of_clusters": choices["clusters"], "cluster_centroids_init": start}
            model = cluster.cluster_weights(model, **given, preserve_sparsity=bool(choices["sparsity"]))
            self.train(model, epochs, rate)
            model = tfmot.clustering.keras.strip_clustering(model)
        if choices["qat"]:
            model = self.quantized(model, choices)
            self.train(model, epochs, rate)
        if not (choices["sparsity"] or choices["clusters"] or choices["qat"]):
            self.train(model, epochs, rate)
        return self.convert(model, "int8" if choices["qat"] else choices["deploy"], choices["io"], choices["qat"])

    def schedule(self, choices: dict[str, Any], epochs: float) -> dict[str, Any]:
        import tensorflow_model_optimization as tfmot

        steps = max(1, round(epochs * len(self.x) / BATCH))
        if choices["schedule"] == "constant":
            plan = tfmot.sparsity.keras.ConstantSparsity(choices["sparsity"], 0, frequency=10)
        else:
            plan = tfmot.sparsity.keras.PolynomialDecay(0.0, choices["sparsity"], 0, max(1, steps // 2), frequency=10)
        return {"pruning_schedule": plan}

    def quantized(self, model: Any, choices: dict[str, Any]) -> Any:
        """Apply QAT with the scheme that preserves earlier steps: plain, PQAT, CQAT or PCQAT."""
        import tensorflow_model_optimization as tfmot
        from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import (
            default_8bit_cluster_preserve_quantize_scheme as clusters,
        )
        from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
            default_8bit_prune_preserve_quantize_scheme as zeros,
        )

        keras = tfmot.quantization.keras
        if choices["clusters"]:
            scheme = clusters.Default8BitClusterPreserveQuantizeScheme(bool(choices["sparsity"]))
        elif choices["sparsity"]:
            scheme = zeros.Default8BitPrunePreserveQuantizeScheme()
        else:
            return keras.quantize_model(model)
        return keras.quantize_apply(keras.quantize_annotate_model(model), scheme)

    def convert(self, model: Any, deploy: str, io: str, trained_ranges: bool = False) -> bytes:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if deploy != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if deploy == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if deploy in ("int8", "int16x8") and not trained_ranges:
            wide = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [wide if deploy == "int16x8" else tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ([one[None].astype(np.float32)] for one in self.calibration)
        if deploy == "int8" and io == "int8":
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())

    def score(self, file: bytes) -> float:
        """Accuracy on the search split."""
        interpreter = _interpreter(file, len(os.sched_getaffinity(0)))
        right, size = 0, 100
        given, told = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        for start in range(0, len(self.x_search), size):
            batch = _stored(self.x_search[start : start + size], given)
            if tuple(interpreter.get_input_details()[0]["shape"]) != batch.shape:
                interpreter.resize_tensor_input(given["index"], batch.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(given["index"], batch)
            interpreter.invoke()
            outputs = interpreter.get_tensor(told["index"])
            right += int((outputs.argmax(axis=-1) == self.y_search[start : start + size]).sum())
        return right / len(self.x_search)

    def ratio(self, file: bytes) -> float:
        """The latency of the float32 file divided by that of ``file``: medians of interleaved blocks on one thread."""
        runs = [self._runner(content) for content in (self.baseline, file)]
        times: list[list[float]] = [[], []]
        for run in runs:
            for _ in range(20):
                run()
        for _ in range(20):
            for place, run in enumerate(runs):
                for _ in range(10):
                    started = time.perf_counter()
                    run()
                    times[place].append(time.perf_counter() - started)
        return float(np.median(times[0]) / np.median(times[1]))

    def _runner(self, file: bytes) -> Any:
        interpreter = _interpreter(file, 1)
        given = interpreter.get_input_details()[0]
        interpreter.set_tensor(given["index"], _stored(self.x_search[:1], given))
        return interpreter.invoke


def _interpreter(file: bytes, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=file, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _stored(values: np.ndarray, given: Any) -> np.ndarray:
    scale, zero = given["quantization"]
    if not scale:
        return values.astype(given["dtype"])
    limits = np.iinfo(given["dtype"])
    return np.clip(np.round(values / scale + zero), limits.min, limits.max).astype(given["dtype"])


def choose(trial: optuna.Trial) -> dict[str, Any]:
    """Suggest the choices of one trial from a conditional search space, as a user would write it."""
    found: dict[str, Any] = dict.fromkeys(("sparsity", "clusters", "qat"), 0)
    found["train"] = trial.suggest_categorical("train", [False, True])
    if found["train"]:
        found["epochs"] = trial.suggest_categorical("epochs", [0.25, 0.5, 1.0])
        found["rate"] = trial.suggest_categorical("rate", [1e-4, 3e-4, 1e-3, 3e-3])
        schedule = trial.suggest_categorical("prune", ["no", "constant", "polynomial"])
        if schedule != "no":
            found |= {"schedule": schedule, "sparsity": trial.suggest_categorical("sparsity", SPARSITY)}
        start = trial.suggest_categorical("cluster", ["no", "KMEANS_PLUS_PLUS", "LINEAR", "DENSITY_BASED"])
        if start != "no":
            found |= {"start": start, "clusters": trial.suggest_categorical("clusters", CLUSTERS)}
        found["qat"] = trial.suggest_categorical("qat", [False, True])
    found["deploy"] = "int8" if found["qat"] else trial.suggest_categorical("deploy", PLAIN)
    found["io"] = trial.suggest_categorical("io", ["float32", "int8"]) if found["deploy"] == "int8" else "float32"
    return found


def search(task: Task, sampler: str, seed: int, seconds: float, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Run trials until the time is used. Returns a point for each trial; the first is the float32 file."""
    accuracy = task.score(task.baseline)
    size = len(zlib.compress(task.baseline, 9))
    points = [{"seconds": clock(), "drop": 0.0, "compressed": size, "ratio": 1.0, "label": "float32"}]

    def objective(trial: optuna.Trial) -> tuple[float, float, float]:
        choices = choose(trial)
        try:
            file = task.build(choices)
        except Exception as error:  # if a library rejects a combination, only the trial ends, not the loop
            print(f"{trial.number}: {choices}: {type(error).__name__}", flush=True)
            raise optuna.TrialPruned() from error
        point = {
            "drop": accuracy - task.score(file),
            "compressed": len(zlib.compress(file, 9)),
            "ratio": task.ratio(file),
            "seconds": clock(),
            "label": str({name: value for name, value in choices.items() if value}),
        }
        points.append(point)
        trial.set_user_attr("over", point["drop"] - MOST_DROP)
        return point["drop"], point["compressed"], point["ratio"]

    kinds = {
        "tpe": lambda: optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            constraints_func=lambda trial: (trial.user_attrs.get("over", 1.0),),
        ),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize"] * 3, sampler=kinds[sampler]())
    while clock() < seconds:
        study.optimize(objective, n_trials=1)
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--most-epochs", type=float, default=4.0, help="epochs of the longest training of one step")
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a busy machine, pinned to one core"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    now = time.process_time if options.clock == "cpu" else time.monotonic
    started = 0.0 if options.clock == "cpu" else now()
    task = Task(options.model, options.data, options.most_epochs)
    points = search(task, options.sampler, options.seed, 60 * options.minutes, lambda: now() - started)
    written = {
        "sampler": options.sampler,
        "seed": options.seed,
        "minutes": options.minutes,
        "clock": options.clock,
        "points": points,
    }
    options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"{len(points)} files in {now() - started:.0f} s")


if __name__ == "__main__":
    main()
