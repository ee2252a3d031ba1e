"""Models and weights as bytes: bit-exact, deterministic, and without pickle."""

import io
import json
import zipfile
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tf import load

FORMAT_VERSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # earliest date of a zip entry; a fixed date gives equal models equal bytes


def write_model(model: Any) -> bytes:
    """Configuration and weights of a tf_keras model. Raises ``BuildFailed`` for layers that are not standard."""
    load()
    import tf_keras

    twins = tuple(tf_keras.utils.get_custom_objects().values())  # from --custom-objects, registered in every process
    for layer in model.layers:
        known = type(layer).__module__.startswith("tf_keras.") or type(layer) in twins
        if isinstance(layer, tf_keras.layers.Lambda) or not known:
            raise BuildFailed(
                f"layer {layer.name!r} ({type(layer).__name__}) is not a standard layer; its checkpoint could not be read back"
            )
    return _pack(model.get_weights(), {"format_version": FORMAT_VERSION, "model": json.loads(model.to_json())})


def read_model(blob: bytes) -> Any:
    """The tf_keras model from ``write_model``. Raises ``BuildFailed`` for any other content."""
    load()
    import tf_keras

    weights, record = _unpack(blob)
    if "model" not in record:
        raise BuildFailed("this checkpoint holds weights only, no model")
    model = tf_keras.models.model_from_json(json.dumps(record["model"]))
    _fill(model, weights)
    return model


def write_weights(model: Any) -> bytes:
    """The weights of any model in its own order, for a model of equal structure (``set_weights``)."""
    return _pack(model.get_weights(), {"format_version": FORMAT_VERSION})


def set_weights(model: Any, blob: bytes) -> None:
    """Set the weights of ``model`` from ``write_weights`` or ``write_model``.

    Raises ``BuildFailed`` if the shapes differ.
    """
    _fill(model, _unpack(blob)[0])


def _fill(model: Any, weights: list[np.ndarray]) -> None:
    ours, theirs = ([tuple(value.shape) for value in side] for side in (model.weights, weights))
    if ours != theirs:
        different = next(
            (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
        )
        raise BuildFailed(
            f"the checkpoint does not fit model {model.name!r}: {len(theirs)} weights for {len(ours)}, "
            f"the first difference at number {different}"
        )
    model.set_weights(weights)


def _pack(weights: list[np.ndarray], record: dict[str, Any]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("config.json", _EPOCH), json.dumps(record, sort_keys=True))
        for number, value in enumerate(weights):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.asarray(value, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{number:05d}.npy", _EPOCH), array.getvalue())
    return memory.getvalue()


def _unpack(blob: bytes) -> tuple[list[np.ndarray], dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            record = json.loads(archive.read("config.json"))
            names = sorted(name for name in archive.namelist() if name.endswith(".npy"))
            weights = [np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names]
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BuildFailed(f"this is not a litetuner checkpoint: {error}") from error
    if record.get("format_version") != FORMAT_VERSION:
        raise BuildFailed(
            f"the checkpoint has format {record.get('format_version')}, this litetuner reads {FORMAT_VERSION}"
        )
    return weights, record
