"""The bytes that lossless slimming saves in int8 files, compared with required savings.

New processes verify the outputs.

python benchmarks/slimming.py [--resnet8 FILE.keras] [--out benchmarks/results/slimming.json]

The files are ResNet8 (a trained one with --resnet8, else with random weights), keras.applications MobileNet 0.25 at
96x96, and a DS-CNN like that of MLPerf Tiny, both with random weights. All are converted to full int8 by TensorFlow's
converter as a user calls it. "shared" is the size with --share-bias-scales. A new process runs each file before and
after slimming on eight samples, with XNNPACK and with the reference kernels. Outputs must be bit-identical.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.environment import environment
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.tflite.rewriting.slimming import slim

# Required results, reached before this benchmark existed: (saved bytes, saved compressed bytes, largest slimmed file
# size). MLPerf Tiny's own DS-CNN (53,936 bytes) was made by an older converter that wrote more, so only the result is
# compared.
AT_LEAST: dict[str, tuple[int, int, int]] = {
    "resnet8": (98_816 - 88_032, 79_521 - 78_454, 88_032),
    "mobilenet0.25": (296_880 - 248_880, 236_056 - 234_287, 248_880),
    "ds-cnn": (0, 0, 33_424),
}
_CHILD = """
import sys, hashlib, numpy as np
from litetuner.spaces.tflite.running import run
samples = np.load(sys.argv[2], allow_pickle=False)
outputs = run(open(sys.argv[1], "rb").read(), samples, reference=sys.argv[3] == "reference")
print(hashlib.sha256(b"".join(value.tobytes() for value in outputs.values)).hexdigest())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resnet8", type=Path, help="a trained ResNet8 (.keras)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    rows = []
    for name, make in MODELS.items():
        model = make(options.resnet8)
        shape = tuple(model.inputs[0].shape)[1:]
        scale = 255.0 if name == "resnet8" and options.resnet8 else 1.0
        samples = (scale * generator.uniform(size=(16, *shape))).astype(np.float32)
        file = _int8(model, samples)
        rows.append(_row(name, file, samples[:8]))
        print(_line(rows[-1]))
    failed = [row["file"] for row in rows if not row["ok"]]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"rows": rows, "environment": environment()}, indent=1) + "\n")
    sys.exit(f"not as it must be: {', '.join(failed)}" if failed else 0)


def _row(name: str, file: bytes, samples: np.ndarray) -> dict[str, Any]:
    slimmed = slim(file, samples)
    shared = slim(file, samples, share_bias_scales=True)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "samples.npy", samples)
        digests = {
            kernels: [_digest(Path(folder), each, kernels) for each in (file, slimmed.file, shared.file)]
            for kernels in ("xnnpack", "reference")
        }
    raw, compressed = (
        [_size(each, compress) for each in (file, slimmed.file, shared.file)] for compress in (False, True)
    )
    least_raw, least_compressed, largest = AT_LEAST[name]
    identical = {kernels: len(set(each)) == 1 and bool(each[0]) for kernels, each in digests.items()}
    if not digests["reference"][0]:  # not every file runs with the reference kernels
        identical["reference"] = not any(digests["reference"])
    saved = raw[0] - raw[1] >= least_raw and compressed[0] - compressed[1] >= least_compressed and raw[1] <= largest
    return {
        "file": name,
        "raw": raw,
        "compressed": compressed,
        "least_saved": [least_raw, least_compressed],
        "largest_allowed": largest,
        "identical": identical,
        "runs_on_reference_kernels": bool(digests["reference"][0]),
        "ok": slimmed.applied and all(identical.values()) and saved,
    }


def _int8(model: Any, samples: np.ndarray) -> bytes:
    tf = load()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with quiet_stdout():
        return bytes(converter.convert())


def _digest(folder: Path, file: bytes, kernels: str) -> str:
    path = folder / "file.tflite"
    path.write_bytes(file)
    command = [sys.executable, "-P", "-c", _CHILD, str(path), str(folder / "samples.npy"), kernels]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _size(file: bytes, compress: bool) -> int:
    return len(zlib.compress(file, 9)) if compress else len(file)


def _line(row: dict[str, Any]) -> str:
    sizes = " | ".join(
        f"{before:,} -> {after:,} (shared {shared:,})" for before, after, shared in (row["raw"], row["compressed"])
    )
    kernels = ", ".join(f"{name} {'identical' if same else 'DIFFERENT'}" for name, same in row["identical"].items())
    return f"{row['file']:14s} | {sizes} | {kernels} | {'ok' if row['ok'] else 'NOT AS IT MUST BE'}"


def _resnet8(trained: Path | None) -> Any:
    load()
    if trained is not None:
        from litetuner.spaces.models.loading.load import load_model

        return load_model(str(trained)).model
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, strides, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        side = x if strides == 1 else layers.Conv2D(filters, 1, strides, padding="same")(x)
        return layers.ReLU()(layers.Add()([side, y]))

    source = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(source)))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        x = block(x, filters, strides)
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(source, layers.Dense(10, activation="softmax")(x))


def _mobilenet(_: Path | None) -> Any:
    load()
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=2)


def _dscnn(_: Path | None) -> Any:
    load()
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    source = keras.Input((49, 10, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, (10, 4), 2, padding="same")(source)))
    for _block in range(4):
        x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 1, padding="same")(x)))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return keras.Model(source, layers.Dense(12, activation="softmax")(x))


MODELS = {"resnet8": _resnet8, "mobilenet0.25": _mobilenet, "ds-cnn": _dscnn}

if __name__ == "__main__":
    main()
