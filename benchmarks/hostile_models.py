# ruff: noqa: E501 - a table: one file a line
"""Hostile model files. Each function of ``MODELS`` writes a file into a folder and returns its path.

No model may read the file ``secret``. The file ``canary`` appears if code of a model has run.
"""

import io
import json
import marshal
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from strange_files import Maker, Pickled, code_that_shows, links, pipe, plain, sparse

DEEP, LONG = 100_000, 1_000_000


def _lambda(folder: Path) -> list[Any]:
    import codecs

    compiled = compile(f"lambda x: ({code_that_shows(folder)}, x)[1]", "x", "eval").co_consts[0]
    return [codecs.encode(marshal.dumps(compiled), "base64").decode(), None, None]


def layer(
    kind: str, config: dict[str, Any], module: str = "keras.layers", registered: str | None = None
) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered}


def sequential(*layers: dict[str, Any], shape: Any = (None, 4), **more: Any) -> dict[str, Any]:
    first = layer("InputLayer", {"batch_shape": shape, "dtype": "float32", "name": "input"})
    config = {"name": "m", "layers": [first, *layers], "build_input_shape": shape}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None} | more


def archive(folder: Path, members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def weights(fill: Callable[[Any], None] = lambda file: None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


METADATA = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-26@00:00:00"})


def of_config(config: Any, metadata: str = METADATA, content: bytes | None = None) -> Maker:
    """A ``.keras`` with this ``config.json``, in which ``CODE`` and ``SECRET`` are replaced by code and a path."""

    def make(folder: Path) -> Path:
        text = config if isinstance(config, str) else json.dumps(config)
        text = text.replace("CODE", code_that_shows(folder).replace('"', '\\"')).replace(
            "SECRET", str(folder / "secret")
        )
        members: dict[str, bytes | str] = {"metadata.json": metadata, "config.json": text}
        return archive(folder, members | {"model.weights.h5": weights() if content is None else content})

    return make


def dense(units: Any = 3, **more: Any) -> dict[str, Any]:
    return layer("Dense", {"name": "d", "units": units, "activation": "softmax"} | more)


def lambda_layer(folder: Path) -> Path:
    function = {"class_name": "__lambda__", "config": {"code": _lambda(folder)[0], "defaults": None, "closure": None}}
    return of_config(sequential(layer("Lambda", {"name": "l", "function": function})))(folder)


def hidden_lambda(folder: Path) -> Path:
    function = {"class_name": "__lambda__", "config": {"code": _lambda(folder)[0], "defaults": None, "closure": None}}
    return of_config(sequential(dense(activation=function, kernel_initializer=function)))(folder)


def lambda_2(folder: Path) -> Path:
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "i", "dtype": "float32"}},
        {"class_name": "Lambda", "config": {"name": "l", "function": _lambda(folder), "function_type": "lambda",
         "module": "os", "output_shape": None, "arguments": {}}}]}}  # fmt: skip
    return h5_model(folder, json.dumps(config), "2.15.0")


def h5_model(
    folder: Path, config: Any, version: str = "3.15.1", fill: Callable[[Any], None] = lambda file: None
) -> Path:
    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        fill(file)
    return path


def h5_with(fill: Callable[[Any, Path], None]) -> Maker:
    """An ``.h5`` of one dense layer with four inputs; ``fill`` writes its kernel."""

    def make(folder: Path) -> Path:
        def groups(file: Any) -> None:
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [b"d"]
            group.attrs["keras_version"] = "3.15.1"
            own = group.create_group("d")
            own.attrs["weight_names"] = [b"d/kernel", b"d/bias"]
            own["d/bias"] = np.zeros(3, np.float32)
            fill(own, folder)

        return h5_model(folder, json.dumps(sequential(dense())), fill=groups)

    return make


def keras_with(fill: Callable[[Any, Path], None]) -> Maker:
    def make(folder: Path) -> Path:
        def groups(file: Any) -> None:
            own = file.create_group("layers/dense/vars")
            own["1"] = np.zeros(3, np.float32)
            fill(own, folder)

        (folder / "w.h5").write_bytes(weights(groups))
        return of_config(sequential(dense()), content=(folder / "w.h5").read_bytes())(folder)

    return make


def _put(name: str, value: Any) -> Callable[[Any, Path], None]:
    return lambda group, folder: group.__setitem__(name, value(folder) if callable(value) else value)


def _huge(name: str, shape: tuple[int, ...]) -> Callable[[Any, Path], None]:
    chunks = tuple(min(size, 1024) for size in shape)
    return lambda group, folder: group.create_dataset(name, shape, "f4", chunks=chunks, compression="gzip")


def _external(name: str) -> Callable[[Any, Path], None]:
    return lambda group, folder: group.create_dataset(name, (4, 3), "f4", external=[(str(folder / "secret"), 0, 48)])


def _virtual(name: str) -> Callable[[Any, Path], None]:
    def fill(group: Any, folder: Path) -> None:
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", shape=(4, 3))
        group.create_virtual_dataset(name, layout)

    return fill


def functional(inbound: Any, names: tuple[str, str] = ("a", "b")) -> dict[str, Any]:
    layers = [
        layer("InputLayer", {"batch_shape": [None, 4], "dtype": "float32", "name": "i"})
        | {"name": "i", "inbound_nodes": []}
    ]
    layers += [dense(name=name) | {"name": name, "inbound_nodes": inbound} for name in names]
    config = {
        "name": "f",
        "trainable": True,
        "layers": layers,
        "input_layers": [["i", 0, 0]],
        "output_layers": [[names[-1], 0, 0]],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def _tensor(name: str, node: Any = 0, index: Any = 0) -> dict[str, Any]:
    history = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, node, index]}
    return {"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": {}}


def traversal(folder: Path) -> Path:
    content = {"metadata.json": METADATA, "config.json": json.dumps(sequential(dense())), "model.weights.h5": weights()}
    return archive(folder, content | {"../canary": "x", str(folder / "canary"): "x", "assets/../../canary": "x"})


def bomb(where: str) -> Maker:
    """A ``.keras`` in which the member ``where`` ends with a gigabyte of spaces, compressed to about a megabyte."""

    def make(folder: Path) -> Path:
        content = {"metadata.json": METADATA, "config.json": json.dumps(sequential(dense())), "model.weights.h5": "x"}
        path = folder / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, text in content.items():
                with file.open(name, "w", force_zip64=True) as member:
                    member.write(text.encode())
                    for _ in range(1000 if name == where else 0):
                        member.write(b" " * 1_000_000)
        return path

    return make


def saved_model(folder: Path) -> Path:
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01" * 100)
    return folder / "saved"


def pickled(name: str) -> Maker:
    return lambda folder: plain(name, pickle.dumps(Pickled(code_that_shows(folder))))(folder)


EVIL = {"class_name": "function", "module": "builtins", "config": "exec", "registered_name": "exec"}
MODELS: dict[str, Maker] = {
    "lambda in keras": lambda_layer,
    "lambda as activation": hidden_lambda,
    "lambda in h5 of Keras 2": lambda_2,
    "exec as activation": of_config(sequential(dense(activation=EVIL))),
    "os.system as activation": of_config(sequential(dense(activation=EVIL | {"module": "os", "config": "system"}))),
    "Popen as layer": of_config(sequential(layer("Popen", {"args": ["touch", "SECRET"]}, "subprocess"))),
    "Popen as model": of_config({"module": "subprocess", "class_name": "Popen", "config": {"args": "touch SECRET"}}),
    "module beside the model": of_config(sequential(layer("Layer", {}, "hostile_module", "x>Layer"))),
    "keras.utils function": of_config(sequential(dense(activation={"class_name": "function", "module": "keras.utils", "config": "get_file"}))),
    "load_model as layer": of_config(sequential(layer("load_model", {"filepath": "SECRET"}, "keras.saving"))),
    "TorchModuleWrapper": of_config(sequential(layer("TorchModuleWrapper", {"name": "t", "module": "CODE"}))),
    "TFSMLayer": of_config(sequential(layer("TFSMLayer", {"name": "t", "filepath": "SECRET", "call_endpoint": "serve"}))),
    "JaxLayer": of_config(sequential(layer("JaxLayer", {"name": "t", "call_fn": EVIL}))),
    "vocabulary file": of_config(sequential(layer("StringLookup", {"name": "t", "vocabulary": "SECRET"}))),
    "vocabulary of integers": of_config(sequential(layer("IntegerLookup", {"name": "t", "vocabulary": "SECRET"}))),
    "text vectorization": of_config(sequential(layer("TextVectorization", {"name": "t", "vocabulary": "SECRET", "standardize": EVIL}))),
    "traversal in the archive": traversal,
    "bomb in config.json": bomb("config.json"),
    "bomb in metadata.json": bomb("metadata.json"),
    "bomb of weights that are no weights": bomb("model.weights.h5"),
    "bomb in the weights": keras_with(_huge("0", (40_000, 40_000))),
    "nested lists": of_config("[" * DEEP + "]" * DEEP),
    "nested layers": of_config('{"class_name":"Sequential","config":' * 5000 + "{}" + "}" * 5000),
    "no object": of_config("[]"),
    "a number": of_config("1e999"),
    "null layers": of_config(sequential() | {"config": {"layers": None}}),
    "layer without config": of_config({"module": "keras", "class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}}),
    "bad utf-8": lambda folder: archive(folder, {"metadata.json": METADATA, "config.json": b"\xff\xfe{"}),
    "metadata is a list": of_config(sequential(dense()), metadata="[1]"),
    "version is huge": of_config(sequential(dense()), metadata='{"keras_version": "2' + "9" * 5000 + '"}'),
    "a billion units": of_config(sequential(dense(10**9))),
    "2**63 units": of_config(sequential(dense(2**63))),
    "negative units": of_config(sequential(dense(-1))),
    "NaN units": of_config(sequential(dense(float("nan")))),
    "huge input": of_config(sequential(layer("Conv2D", {"name": "c", "filters": 8, "kernel_size": [3, 3]}), shape=(None, 10**6, 10**6, 3))),
    "huge flat input": of_config(sequential(dense(), shape=(None, 10**9))),
    "huge padding": of_config(sequential(layer("ZeroPadding1D", {"name": "z", "padding": [10**9, 10**9]}), shape=(None, 4, 4))),
    "huge up-sampling": of_config(sequential(layer("UpSampling1D", {"name": "z", "size": 10**9}), shape=(None, 4, 4))),
    "huge repetition": of_config(sequential(layer("RepeatVector", {"name": "z", "n": 10**9}))),
    "a layer that is its own input": of_config(functional([_tensor("a")])),
    "two layers in a circle": of_config(functional([_tensor("b")])),
    "unknown input": of_config(functional([_tensor("nothing", -5, 10**9)])),
    "10,000 layers": of_config(sequential(*(layer("Activation", {"name": f"a{n}", "activation": "relu"}) for n in range(10_000)))),
    "escape sequences in names": of_config(sequential(dense(name="\x1b[2J\x1b]0;x\x07\u202e\n" + "n" * 300))),
    "a path as name": of_config(sequential(dense(name="../../canary"))),
    "a name of a megabyte": of_config(sequential(dense(name="n" * LONG))),
    "external link": h5_with(_put("d/kernel", lambda folder: h5py.ExternalLink(str(folder / "secret.h5"), "/x"))),
    "link in a circle": h5_with(_put("d/kernel", h5py.SoftLink("/model_weights/d/d/kernel"))),
    "external data": h5_with(_external("d/kernel")),
    "virtual data": h5_with(_virtual("d/kernel")),
    "external data in keras": keras_with(_external("0")),
    "virtual data in keras": keras_with(_virtual("0")),
    "external link in keras": keras_with(_put("0", lambda folder: h5py.ExternalLink(str(folder / "secret.h5"), "/x"))),
    "bomb in h5": h5_with(_huge("d/kernel", (40_000, 40_000))),
    "a shape of 2**60": h5_with(_huge("d/kernel", (1 << 30, 1 << 30))),
    "text as weights": h5_with(_put("d/kernel", b"text")),
    "NaN weights": h5_with(_put("d/kernel", np.full((4, 3), np.nan, np.float32))),
    "config is no text in h5": lambda folder: h5_model(folder, np.arange(5)),
    "pickle as h5": pickled("model.h5"),
    "pickle as keras": pickled("model.keras"),
    "untrusted SavedModel": saved_model,
    "empty": plain("model.keras", b""),
    "empty tflite": plain("model.tflite", b""),
    "head of a tflite": plain("model.tflite", b"\x1c\0\0\0TFL3" + b"\xff" * 200),
    "zeros as tflite": plain("model.tflite", b"\x08\0\0\0TFL3" + b"\0" * 10_000),
    "a device": links("model.keras", "/dev/zero"),
    "a device as tflite": links("model.tflite", "/dev/zero"),
    "a link in a circle": links("model.h5", "model.h5"),
    "a terabyte": sparse("model.keras"),
    "a terabyte of h5": sparse("model.h5"),
    "a terabyte of tflite": sparse("model.tflite"),
    "a pipe": pipe,
}  # fmt: skip
