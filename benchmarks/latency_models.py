"""Makes the files for the latency benchmarks in a folder.

python benchmarks/latency_models.py FOLDER [--resnet8 resnet8_cifar10.keras]

Without a given file, weights are random: latency does not depend on them. For A/B benchmarks, ``*_slower.tflite`` have
one more convolution that takes about 3 % more time. Existing files are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces import tf as lazy


def convert(model: Any, path: Path, int8: bool) -> None:
    """Write a ``.tflite``. Int8 is calibrated with four random samples, which is enough for latency benchmarks."""
    tf = lazy.load()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        rng = np.random.default_rng(0)
        shape = (1, *model.input_shape[1:])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.random(shape, dtype=np.float32)] for _ in range(4))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with lazy.quiet_stdout():
        path.write_bytes(converter.convert())


def one_more(model: Any, behind: int | str, kernel: int) -> Any:
    """The model with one more convolution after the layer ``behind``.

    ``behind`` is the name of a layer, or an index into the activations and additions.
    """
    import tf_keras
    from tf_keras import layers

    places = [layer.name for layer in model.layers if isinstance(layer, layers.ReLU | layers.Activation | layers.Add)]

    def copy(layer: Any) -> Any:
        twin = layer.__class__.from_config(layer.get_config())
        if layer.name != (behind if isinstance(behind, str) else places[behind]):
            return twin
        more = layers.Conv2D(layer.output_shape[-1], kernel, padding="same")
        return tf_keras.Sequential([twin, more], name=layer.name)

    return tf_keras.models.clone_model(model, clone_function=copy)


def build(folder: Path, resnet8: Path | None) -> list[Path]:
    """Make the missing files; returns the paths of all files."""
    lazy.load()
    import tf_keras

    from litetuner.spaces.models.keras_bridge.bridge import bridge
    from litetuner.spaces.models.loading.load import load_model

    folder.mkdir(parents=True, exist_ok=True)

    def mobile_v1() -> Any:
        return tf_keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None, classes=2)

    def mobile_v2() -> Any:
        return tf_keras.applications.MobileNetV2((224, 224, 3), weights=None)

    def resnet() -> Any:
        if resnet8 is None:
            raise SystemExit("give the ResNet8 with --resnet8 resnet8_cifar10.keras")
        return bridge(
            load_model(str(resnet8)).model, np.random.default_rng(0).random((4, 32, 32, 3), dtype=np.float32)
        )[0]

    kinds: dict[str, tuple[Any, bool]] = {
        "mobilenetv1_float32": (mobile_v1, False),
        "mobilenetv1_int8": (mobile_v1, True),
        "mobilenetv2_float32": (mobile_v2, False),
        "mobilenetv2_float32_slower": (lambda: one_more(mobile_v2(), *SLOWER["mobilenetv2"]), False),
        "resnet8_float32": (resnet, False),
        "resnet8_int8": (resnet, True),
        "resnet8_int8_slower": (lambda: one_more(resnet(), *SLOWER["resnet8"]), True),
    }
    for name, (make, int8) in kinds.items():
        path = folder / f"{name}.tflite"
        if not path.exists():
            convert(make(), path, int8)
    return [folder / f"{name}.tflite" for name in kinds]


# (layer before the additional convolution, its kernel size), chosen to be about 3 % slower on the machine of results/.
SLOWER: dict[str, tuple[int | str, int]] = {"mobilenetv2": ("block_7_add", 3), "resnet8": (-1, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resnet8", type=Path)
    options = parser.parse_args()
    for path in build(options.folder, options.resnet8):
        print(path)


if __name__ == "__main__":
    main()
