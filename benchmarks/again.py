"""Checks whether the latency of a run's picks is the same when it is measured again.

    python benchmarks/again.py make FOLDER --data cifar10.npz
    litetuner search FOLDER/model.tflite --data FOLDER/data.npz --max-drop 2% --time-budget 3m --out FOLDER/run
    python benchmarks/again.py measure FOLDER/run

`make` trains MobileNet 0.25 of keras.applications for some minutes on images of 48x48 pixels, and converts it to a
float .tflite. `measure` times every pick in alternation with the baseline, as the search did, and prints the recorded
value with its interval and the new value. It exits with 1 if a value differs by more than 3 % and the two intervals do
not overlap.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

NEAR = 0.03
SIDE, COUNTS = 48, {"train": 10_000, "search": 2_000, "test": 2_000}


def make(folder: Path, source: Path, given: Path | None, seconds: float) -> None:
    """Write the data and the float .tflite of a Keras model: ``given``, or one trained for ``seconds`` of CPU time."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    data = {}
    with np.load(source) as archive:
        for split, count in COUNTS.items():
            images = tf.image.resize(archive[f"x_{split}"][:count], (SIDE, SIDE)).numpy()
            data |= {
                f"x_{split}": images.astype(np.uint8),
                f"y_{split}": archive[f"y_{split}"][:count].astype(np.int64),
            }
    np.savez(folder / "data.npz", **data)
    model = keras.models.load_model(given, compile=False) if given else trained(data, seconds)
    found = model.predict(data["x_search"], verbose=0).argmax(axis=1)
    print("accuracy, search split:", (found == data["y_search"].ravel()).mean())
    with tempfile.TemporaryDirectory() as place:
        model.export(place, verbose=False)
        (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(place).convert())


def trained(data: dict[str, np.ndarray], seconds: float) -> Any:
    """MobileNet 0.25 of keras.applications, trained on ``data``."""
    import keras

    body = keras.applications.MobileNet((SIDE, SIDE, 3), alpha=0.25, weights=None, classes=10, dropout=0.0)
    for layer in body.layers:  # a lower momentum fits this training with few steps
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, body(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop, rng = time.process_time() + seconds, np.random.default_rng(0)
    while time.process_time() < stop:
        flipped = np.where(rng.random((COUNTS["train"], 1, 1, 1)) < 0.5, data["x_train"], data["x_train"][:, :, ::-1])
        model.fit(flipped, data["y_train"], batch_size=64, epochs=1, verbose=0)
    model.optimizer.learning_rate = 3e-4
    model.fit(data["x_train"], data["y_train"], batch_size=64, epochs=1, verbose=0)
    return model


def measure(path: Path) -> list[dict[str, Any]]:
    """A row for each trial that is a pick, with its new latency."""
    import litetuner

    run = litetuner.Run(path)
    record, rows = run.record(), {}
    summary = run.summary()
    trials = {trial.number: trial for trial in record.trials}
    baseline = next(trial for trial in record.trials if trial.is_baseline)
    target = next(name for name in baseline.measurements if name.startswith("latency_us:"))
    for pick, row in summary["picks"].items():
        number = row["trial"] if isinstance(row, dict) else row
        if number in rows:
            rows[number]["picks"] += f", {pick}"
            continue
        trial = trials[number]
        told = trial.measurements[target]
        found = litetuner.measure(run.path / trial.artifact, baseline=run.path / baseline.artifact)
        new, recorded = found["latency_us"], told.interval
        overlap = new["interval"][0] <= recorded[1] and recorded[0] <= new["interval"][1]
        near = abs(new["value"] / told.value - 1) <= NEAR
        rows[number] = {
            "trial": number,
            "picks": pick,
            "label": trial.candidate.label,
            "recorded_us": told.value,
            "interval_us": list(recorded),
            "again_us": new["value"],
            "again_interval_us": list(new["interval"]),
            "verdict": "within 3 %" if near else "intervals overlap" if overlap else "DIFFERS",
            "ratio": [trial.measurements[f"latency_ratio:{target.partition(':')[2]}"].value, found["ratio"]["value"]],
            "load": round(os.getloadavg()[0], 1),
        }
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("make", "measure"))
    parser.add_argument("folder", type=Path, help="of the model and data; of the run")
    parser.add_argument("--data", type=Path, default=Path("cifar10.npz"))
    parser.add_argument("--model", type=Path, help="a trained Keras model for such images; without it one is trained")
    parser.add_argument("--seconds", type=float, default=180.0, help="of CPU time, for the training")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.command == "make":
        make(options.folder, options.data, options.model, options.seconds)
        return
    rows = measure(options.folder)
    for row in rows:
        low, high = row["interval_us"]
        change = 100 * (row["again_us"] / row["recorded_us"] - 1)
        record = f"{row['recorded_us']:8.1f} us ({low:.1f} to {high:.1f})"
        again = f"again {row['again_us']:8.1f} us ({change:+.1f} %)"
        print(f"trial {row['trial']:>3} {row['label'][:44]:<44} {record}  {again}  {row['verdict']}  [{row['picks']}]")
    if options.out is not None:
        options.out.write_text(json.dumps({"date": time.strftime("%Y-%m-%d"), "picks": rows}, indent=1) + "\n")
    raise SystemExit(any(row["verdict"] == "DIFFERS" for row in rows))


if __name__ == "__main__":
    main()
