"""The range of every activation over the calibration samples, in the format of litert-quantizer."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import is_packed, unpack
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.tflite.conversion import check_finite

_LARGEST = 3e38  # the quantizer ignores larger values
_RANGE = {"min", "max", "num_samples"}  # statistics of a tensor for which the quantizer needs only the range


def activation_ranges(quantizer: Any, file: bytes, calibration: np.ndarray) -> Any:
    """The smallest and largest value of every tensor over all samples, and for GPTQ the Hessian of a layer's inputs.

    The quantizer's default is a moving average of the range of each sample. If features differ from sample to sample
    (tables), it clips most of them, and a model that is perfect at int8 becomes useless.

    The quantizer decides for each operator and each sample again what to measure: 2 s for 200 samples of ResNet8. So it
    runs with one sample only, to find out which tensors it needs, and these are then measured here.
    """
    key, samples = _samples(file, calibration)
    wanted = _calibrated(quantizer, file, key, samples[:1])
    if all(set(known) <= _RANGE for known in wanted.values()):
        measured = _extremes(file, key, samples, list(wanted))
        if measured is not None:
            return {name: _merged(wanted[name], low, high) for name, (low, high) in measured.items()}
    return _calibrated(quantizer, file, key, samples)


def _merged(known: Any, low: np.floating[Any], high: np.floating[Any]) -> dict[str, np.ndarray]:
    return {"min": np.minimum(known["min"], low), "max": np.maximum(known["max"], high)}


def _calibrated(quantizer: Any, file: bytes, key: str, samples: list[dict[str, np.ndarray]]) -> Any:
    """The statistics that the quantizer's own calibrator measures."""
    from litert_quantizer import calibrator, recipe_manager

    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(quantizer.get_quantization_recipe())
    measured = calibrator.Calibrator(file, num_threads=1, qsv_update_func=_whole_range)
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        # It warns that all tensors are kept. Its progress bar goes to stderr and cannot be turned off in another way.
        warnings.simplefilter("ignore")
        measured.calibrate({key: samples}, recipes)
    return measured.get_model_qsvs()


def _whole_range(known: Any, new: Any) -> Any:
    """The statistics of a tensor after one more sample.

    The Hessian is a mean over samples (Frantar et al., arXiv:2210.17323).
    """
    if not known:
        return new
    merged = {"min": np.minimum(known["min"], new["min"]), "max": np.maximum(known["max"], new["max"])}
    if "hessian" in new:
        counts = known["num_samples"], new["num_samples"]
        merged["num_samples"] = sum(counts)
        merged["hessian"] = (known["hessian"] * counts[0] + new["hessian"] * counts[1]) / max(sum(counts), 1)
    return merged


def _extremes(
    file: bytes, key: str, samples: list[dict[str, np.ndarray]], names: list[str]
) -> dict[str, tuple[np.floating[Any], np.floating[Any]]] | None:
    """The smallest and largest value of tensors by name; ``None`` if the quantizer's own calibration is needed.

    It is needed for values that are not finite or above its limit, and for tensors outside of the main subgraph.
    """
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that all tensors are kept
        interpreter = Interpreter(model_content=file, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner(key)
    places = {detail["name"]: int(detail["index"]) for detail in interpreter.get_tensor_details()}
    if not set(names) <= set(places):
        return None
    found = np.empty((len(samples), len(names), 2))
    for row, sample in zip(found, samples, strict=True):
        run(**sample)
        for at, name in enumerate(names):
            values = interpreter.get_tensor(places[name])
            row[at] = values.min(), values.max()
    if not (np.abs(found) < _LARGEST).all():
        return None
    lows, highs = found[..., 0].min(axis=0), found[..., 1].max(axis=0)
    return {name: (np.float32(low), np.float32(high)) for name, low, high in zip(names, lows, highs, strict=True)}


def _samples(file: bytes, calibration: np.ndarray) -> tuple[str, list[dict[str, np.ndarray]]]:
    """The file's signature key, and the calibration samples in the quantizer's format: by input name.

    Raises ``Refused`` without samples, ``BuildFailed`` if the file or its inputs do not fit.
    """
    from ai_edge_litert.interpreter import Interpreter

    if not len(calibration):
        raise Refused("a static recipe needs calibration samples, and there is no training data to take them from")
    check_finite(calibration)  # with one NaN, the quantizer writes a file that crashes every process that loads it
    interpreter = Interpreter(model_content=file)
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise BuildFailed(f"the float file has {len(signatures)} signatures; calibration needs exactly one")
    key, names = next(iter(signatures.items()))
    details = interpreter.get_signature_runner(key).get_input_details()
    rows = unpack(calibration) if is_packed(calibration) else {names["inputs"][0]: calibration}
    if set(rows) != set(details):
        raise BuildFailed(f"the file's inputs are {', '.join(details)}, and the samples have {', '.join(rows)}")
    return key, [
        {name: np.asarray(values[index], dtype=details[name]["dtype"])[None] for name, values in rows.items()}
        for index in range(len(calibration))
    ]
