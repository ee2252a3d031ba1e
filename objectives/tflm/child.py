"""The child process that runs TensorFlow Lite Micro: ``child.py run FILE INPUTS OUTPUTS``.

``child.py compress FILE SPEC OUT`` compresses clustered weights by look-up tables.

``child.py reference FILE INPUTS OUTPUTS`` is the same as ``run`` with LiteRT's reference kernels, which abort the
process for some valid files.

``INPUTS`` is an ``.npz`` file with raw inputs by position. For ``run`` it can be ``-``, one sample of zeros. The
interpreter prints its allocations and errors to standard error. Standard output gets one line of JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ARENAS = (1 << 23, 1 << 26, 1 << 29)  # arena sizes to try, in bytes; the number of used bytes does not depend on them
STATEFUL = ("VAR_HANDLE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF")


def main(arguments: list[str]) -> None:
    verb, file, given, out = arguments
    answer = VERBS[verb](Path(file).read_bytes(), given, Path(out))
    sys.stdout.write(json.dumps(answer) + "\n")


def run(file: bytes, given: str, out: Path) -> dict[str, Any]:
    """Run all samples one by one, and write the outputs by position to ``out``."""
    from tflite_micro.python.tflite_micro import runtime

    model = runtime.convert_bytearray_to_object(bytearray(file))
    interpreter = load(file, runtime)
    main_graph = model.subgraphs[0]
    if given == "-":
        details = [interpreter.get_input_details(at) for at in range(len(main_graph.inputs))]
        inputs = [np.zeros(detail["shape"], detail["dtype"]) for detail in details]
    else:
        with np.load(given, allow_pickle=False) as stored:
            inputs = [stored[str(at)] for at in range(len(main_graph.inputs))]
    remembers = {runtime.get_builtin_code_from_operator_code(code) for code in model.operatorCodes} & _codes(runtime)
    outputs: list[list[np.ndarray]] = [[] for _ in main_graph.outputs]
    for sample in range(len(inputs[0])):
        if remembers and sample:
            interpreter.reset()
        for at, values in enumerate(inputs):
            interpreter.set_input(values[sample : sample + 1], at)
        interpreter.invoke()
        for at, kept in enumerate(outputs):
            kept.append(np.array(interpreter.get_output(at)))
    interpreter.print_allocations()
    named: dict[str, Any] = {str(at): np.concatenate(kept) for at, kept in enumerate(outputs)}
    np.savez(out, **named)
    return {"samples": len(inputs[0])}


def load(file: bytes, runtime: Any) -> Any:
    """An interpreter with a sufficiently large arena. Raises ``RuntimeError`` if none of the arena sizes works."""
    for arena in ARENAS:
        try:
            return runtime.Interpreter.from_bytes(file, arena_size=arena + 10 * len(file))
        except RuntimeError:
            if arena == ARENAS[-1]:
                raise
    raise AssertionError("there is an arena")


def _codes(runtime: Any) -> set[int]:
    return {getattr(runtime.schema_fb.BuiltinOperator, name) for name in STATEFUL}


def reference(file: bytes, given: str, out: Path) -> dict[str, Any]:
    """Run all samples with LiteRT's reference kernels, and write the outputs by position to ``out``."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=file, experimental_op_resolver_type=kernels, num_threads=1)
    interpreter.allocate_tensors()
    details, ends = interpreter.get_input_details(), interpreter.get_output_details()
    outputs: list[list[np.ndarray]] = [[] for _ in ends]
    with np.load(given, allow_pickle=False) as stored:
        inputs = [stored[str(at)] for at in range(len(details))]
    for sample in range(len(inputs[0])):
        interpreter.reset_all_variables()
        for values, detail in zip(inputs, details, strict=True):
            interpreter.set_tensor(detail["index"], values[sample : sample + 1])
        interpreter.invoke()
        for kept, detail in zip(outputs, ends, strict=True):
            kept.append(np.array(interpreter.get_tensor(detail["index"])))
    named: dict[str, Any] = {str(at): np.concatenate(kept) for at, kept in enumerate(outputs)}
    np.savez(out, **named)
    return {"samples": len(inputs[0])}


def compress(file: bytes, given: str, out: Path) -> dict[str, Any]:
    """Replace tensors by indices into look-up tables; ``given`` is a JSON file with (tensor, bits, axis or null)."""
    from tflite_micro.tensorflow.lite.micro.compression import compress as compressed
    from tflite_micro.tensorflow.lite.micro.compression import spec

    specs = []
    for tensor, bits, axis in json.loads(Path(given).read_text()):
        mode = spec.PerTensor() if axis is None else spec.PerChannel(axis=axis)
        method = spec.LookUpTableCompression(index_bitwidth=bits, mode=mode)
        specs.append(spec.Tensor(subgraph=0, tensor=tensor, compression=[method]))
    out.write_bytes(bytes(compressed(file, specs)))
    return {"tensors": len(specs)}


VERBS = {"run": run, "reference": reference, "compress": compress}

if __name__ == "__main__":
    main(sys.argv[1:])
