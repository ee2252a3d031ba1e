"""What delegates took: on real files with XNNPACK, on a delegate made here with a C compiler, and on lists of nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from litetuner.objectives.runner import runner
from litetuner.objectives.runner.delegates import members, summarise_nodes

QUICK = (
    "--warmup-seconds",
    "0.01",
    "--block-ms",
    "2",
    "--blocks",
    "1",
    "--max-seconds",
    "1",
    "--no-energy",
    "--no-priority",
)

# A delegate that takes every ADD and computes nothing. Its structures are the first fields of tflite/c/common.h.
ADDITIONS = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef struct { int size; int data[]; } IntArray;
typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct {
  void* (*init)(Context*, const char*, size_t); void (*free)(Context*, void*);
  int (*prepare)(Context*, void*); int (*invoke)(Context*, void*);
  const char* (*profiling_string)(const Context*, const void*);
  int32_t builtin_code; const char* custom_name; int version;
  void* external; void* async_kernel; uint64_t inplace; uint64_t spare[8];
} Registration;
struct Context {
  size_t tensors_size; int (*GetExecutionPlan)(Context*, IntArray**); void* tensors; void* impl;
  void* resize; void* report; void* add;
  int (*GetNode)(Context*, int, void**, Registration**);
  int (*Replace)(Context*, Registration, const IntArray*, Delegate*);
};
struct Delegate {
  void* data; int (*Prepare)(Context*, Delegate*);
  void* from; void* to; void* free; int64_t flags; void* builder; void* spare[4];
};
static int nothing(Context* context, void* node) { return 0; }
static int prepare(Context* context, Delegate* self) {
  IntArray* plan;
  if (context->GetExecutionPlan(context, &plan)) return 1;
  IntArray* mine = malloc(sizeof(int) * (plan->size + 1));
  mine->size = 0;
  for (int i = 0; i < plan->size; i++) {
    void* node; Registration* registration;
    if (context->GetNode(context, plan->data[i], &node, &registration)) return 1;
    if (registration->builtin_code == 0) mine->data[mine->size++] = plan->data[i];
  }
  Registration kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.prepare = nothing; kernel.invoke = nothing;
  kernel.builtin_code = 51; kernel.custom_name = "Additions"; kernel.version = 1;
  int status = context->Replace(context, kernel, mine, self);
  free(mine);
  return status;
}
Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(keys[i], "device") && strcmp(values[i], "here")) { report("there is no such device"); return 0; }
  Delegate* made = calloc(1, sizeof *made);
  made->Prepare = prepare;
  return made;
}
void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
"""


def run(*arguments: object) -> dict:
    argv = [sys.executable, "-P", runner.__file__, *map(str, arguments), *QUICK]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A net with two additions apart from each other and a softmax, in float32 and int8."""
    from litetuner.spaces import tf as lazy

    tf = lazy.load()
    import tf_keras
    from tf_keras import layers

    image = layers.Input((8, 8, 4), batch_size=1)
    x = layers.Add()([layers.Conv2D(4, 3, padding="same")(image), image])
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Add()([layers.Conv2D(4, 3, padding="same")(x), x])
    net = tf_keras.Model(image, layers.Softmax()(layers.Dense(3)(layers.Flatten()(x))))
    folder = tmp_path_factory.mktemp("files")
    for name in ("float", "int8"):
        converter = tf.lite.TFLiteConverter.from_keras_model(net)
        if name == "int8":
            rng = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda rng=rng: (
                [rng.random((1, 8, 8, 4), dtype="f4")] for _ in range(3)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        with lazy.quiet_stdout():
            (folder / f"{name}.tflite").write_bytes(converter.convert())
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """The delegate of additions as a shared library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a delegate with")
    folder = tmp_path_factory.mktemp("library")
    (folder / "additions.c").write_text(ADDITIONS)
    argv = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "additions.so"), str(folder / "additions.c")]
    subprocess.run(argv, check=True, timeout=60)
    return folder / "additions.so"


def test_xnnpack_takes_all_of_a_float_file(files):
    found = run(files / "float.tflite")["delegates"]
    assert found["requested"] == ["xnnpack"] and found["partitions"] == 1 and found["fallback"] == []
    assert found["operators"] == found["delegated"] > 6


def test_what_falls_back_is_named_with_the_reason(files):
    found = run(files / "int8.tflite")["delegates"]
    left = {part["operator"]: part for part in found["fallback"]}
    assert set(left) == {"SOFTMAX"} and left["SOFTMAX"]["count"] == 1
    assert left["SOFTMAX"]["why"] == "XNNPACK has no 8-bit kernel for it"
    assert found["delegated"] == found["operators"] - 1
    assert (found["quantize"], found["dequantize"]) == (1, 1)
    assert found["partitions"] == 2  # before the softmax, and the dequantize behind it


def test_without_any_delegate_nothing_is_taken_and_nothing_fell_back(files):
    document = run(files / "float.tflite", "--no-xnnpack")
    assert document["environment"]["delegate"] == "none"
    found = document["delegates"]
    assert (found["delegated"], found["partitions"], found["fallback"]) == (0, 0, [])


def test_a_library_chooses_before_xnnpack(files, library):
    alone = run(files / "float.tflite", "--delegate", library, "--no-xnnpack")
    found = alone["delegates"]
    assert alone["environment"]["delegate"] == str(library)
    assert (found["delegated"], found["partitions"]) == (2, 2)  # two additions with convolutions between them
    assert "ADD" not in {part["operator"] for part in found["fallback"]}
    assert all(str(library) in part["why"] for part in found["fallback"])
    both = run(files / "float.tflite", "--delegate", library, "--delegate-option", "device=here")["delegates"]
    assert both["requested"] == [str(library), "xnnpack"]
    assert both["delegated"] == both["operators"] and both["partitions"] > 2


def test_a_library_that_finds_no_device_says_so(files, library):
    error = run(files / "float.tflite", "--delegate", library, "--delegate-option", "device=elsewhere")["error"]
    assert error["stage"] == "delegate" and "there is no such device" in error["message"]


@pytest.mark.parametrize("name", ["missing.so", "text.so"])
def test_what_is_no_delegate_is_refused(files, tmp_path, name):
    (tmp_path / "text.so").write_text("not a library")
    error = run(files / "float.tflite", "--delegate", tmp_path / name)["error"]
    assert (
        error["stage"] == "delegate"
        and name in error["message"]
        and "tflite_plugin_create_delegate" in error["message"]
    )


@pytest.mark.parametrize("name", ["gpu", "npu"])
def test_an_accelerator_is_used_or_said_to_be_absent_and_never_replaced(files, name):
    found = run(files / "float.tflite", "--accelerator", name)
    if "error" in found:
        assert found["error"]["stage"] == "delegate"
        assert f"no {name.upper()} that LiteRT can use" in found["error"]["message"]
    else:
        assert found["environment"]["delegate"] == name


def test_a_compiled_model_on_the_processor_is_timed_and_says_what_is_not_known(files):
    found = run(files / "float.tflite", "--accelerator", "cpu")
    assert found["latency_us"]["value"] > 0 and found["environment"]["delegate"] == "cpu"
    assert found["delegates"]["partitions"] is None and found["delegates"]["fallback"] is None
    assert run(files / "float.tflite", "--accelerator", "cpu", "--no-xnnpack")["error"]["stage"] == "usage"


def node(index: int, name: str, inputs: list[int], outputs: list[int], kind: type = np.float32) -> dict:
    types = {"operand_types": [kind] * len(inputs), "result_types": [kind] * len(outputs)}
    return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs} | types


def test_a_partition_is_found_behind_branches_and_ends_at_its_entries():
    own = [
        node(0, "CONV_2D", [0, 9], [1]),
        node(1, "ABS", [1], [2]),
        node(2, "NEG", [1], [3]),
        node(3, "ADD", [2, 3], [4]),
    ]
    assert members(own, {"inputs": [1], "outputs": [4]}) == {1, 2, 3}
    assert members(own, {"inputs": [0, 9], "outputs": [1]}) == {0}
    assert members(own, {"inputs": [0, 9], "outputs": [4, 1]}) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (node(1, "PACK", [1], [2]), "no kernel for it"),
        (node(1, "ADD", [1, 1], [2], np.int16), "no int16 kernel"),
        (node(1, "SOFTMAX", [1], [2], np.int8), "no 8-bit kernel"),
        (node(1, "RESHAPE", [7, 1], [2]), "shape is computed while the file runs"),
        (node(1, "CONV_2D", [7, 1], [2]), "weights are unpacked while the file runs"),
        (node(1, "AVERAGE_POOL_2D", [7], [2]), "does not say why"),
    ],
)
def test_reasons(left, why):
    own = [node(0, "ABS", [0], [1]), left]
    found = summarise_nodes(own, [{"inputs": [0], "outputs": [1]}], ["xnnpack"])
    assert found["delegated"] == 1 and len(found["fallback"]) == 1
    assert why in found["fallback"][0]["why"] and found["fallback"][0]["indices"] == [1]
