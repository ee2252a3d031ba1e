"""The arena: plans without overlap, beside the best plan of small graphs, beside what LiteRT really allocates, and by hand."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from litetuner.objectives.files.arena import plan_arena, plan_offsets
from litetuner.objectives.files.costs import file_costs, list_work
from litetuner.objectives.files.tensor_lifetimes import Lifetime, find_lifetimes
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.schema import read_model


def lives(*spans: tuple[int, int, int]) -> list[Lifetime]:
    return [Lifetime((0, index), size, first, last) for index, (size, first, last) in enumerate(spans)]


def total(tensors: list[Lifetime], offsets: list[int]) -> int:
    return max(offset + life.size for offset, life in zip(offsets, tensors, strict=True))


def together(a: Lifetime, b: Lifetime) -> bool:
    return a.first <= b.last and b.first <= a.last


def best_total(tensors: list[Lifetime]) -> int:
    """The smallest arena of all: some order of placing each tensor at the lowest free offset gives it."""
    best = sum(life.size for life in tensors)
    for order in itertools.permutations(range(len(tensors))):
        offsets: dict[int, int] = {}
        for index in order:
            beside = sorted(
                (offsets[o], offsets[o] + tensors[o].size) for o in offsets if together(tensors[o], tensors[index])
            )
            end = 0
            for start, stop in beside:
                if start - end >= tensors[index].size:
                    break
                end = max(end, stop)
            offsets[index] = end
        best = min(best, max(offsets[i] + tensors[i].size for i in offsets))
    return best


def random_graph(rng: np.random.Generator, count: int) -> list[Lifetime]:
    firsts = rng.integers(0, 6, count)
    return lives(*[(16 * int(rng.integers(1, 9)), int(f), int(f + rng.integers(0, 4))) for f in firsts])


def test_plans_beside_the_best_of_small_random_graphs():
    """Never below the optimum, never an overlap, and mostly the optimum itself (greedy by size is no exact method)."""
    rng = np.random.default_rng(0)
    worse = []
    for _ in range(60):
        tensors = random_graph(rng, 6)
        offsets = plan_offsets(tensors)
        for (a, at), (b, other) in itertools.combinations(zip(tensors, offsets, strict=True), 2):
            assert not together(a, b) or at + a.size <= other or other + b.size <= at
        found, best = total(tensors, offsets), best_total(tensors)
        live = max(sum(t.size for t in tensors if t.first <= step <= t.last) for step in range(10))
        assert found >= best >= live
        worse.append(found / best)
    assert np.mean(np.array(worse) == 1) > 0.7
    assert max(worse) < 1.5  # the greedy plan of six tensors stays near the optimum


def test_a_plan_by_hand():
    """Sizes 32, 64, 48 in a chain: the largest at 0, its neighbors above it; the two neighbors never meet."""
    assert plan_offsets(lives((32, 0, 1), (64, 1, 2), (48, 2, 3))) == [64, 0, 64]
    assert plan_offsets(lives((32, 0, 1), (16, 5, 6))) == [0, 0]
    fixed = lives((400, 0, 9), (64, 0, 0), (300, 0, 9))
    assert plan_offsets(fixed) == [0, 700, 400]


def test_of_equal_sizes_the_last_is_placed_first():
    """The first tensors of a MobileNet at 96x96: the interpreter's head is 73,728 bytes, in the other order it were 64,512."""
    tensors = lives((27648, 0, 1), (18432, 1, 2), (18432, 2, 3), (36864, 3, 4))
    assert plan_offsets(tensors) == [0, 55296, 36864, 0] and total(tensors, plan_offsets(tensors)) == 73_728


@pytest.fixture(scope="module")
def files():
    """``plain``: operators whose kernels ask for no memory of their own. ``conv``: ResNet-like, float32 and int8."""
    from litetuner.spaces import tf as lazy

    tf = lazy.load()
    import tf_keras
    from tf_keras import layers

    image = layers.Input((12, 12, 4), batch_size=1)
    x = layers.ReLU()(image)
    a = layers.MaxPooling2D(2)(x)
    b = layers.AveragePooling2D(2)(x)
    x = layers.Concatenate()([layers.Add()([a, b]), layers.Multiply()([a, b])])
    x = layers.Concatenate()([x, layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x))])
    plain = tf_keras.Model(image, layers.MaxPooling2D(3)(x))

    image = layers.Input((8, 8, 4), batch_size=1)
    x = layers.Conv2D(16, 3, padding="same")(image)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    conv = tf_keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))

    def convert(net, int8=False):
        converter = tf.lite.TFLiteConverter.from_keras_model(net)
        if int8:
            rng = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([rng.random((1, 8, 8, 4), dtype="f4")] for _ in range(3))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with lazy.quiet_stdout():
            return converter.convert()

    return {"plain": convert(plain), "conv": convert(conv), "int8": convert(conv, int8=True)}


def litert_offsets(tensors: list[Lifetime]) -> dict[tuple[int, int], int]:
    """LiteRT's planner: what lives throughout first, then by size, each into the tightest gap; addresses of 64 bytes."""
    last = max(life.last for life in tensors)
    placed: dict[Lifetime, int] = {}
    for life in sorted(
        tensors, key=lambda t: (0, t.tensor) if t.first == 0 and t.last == last else (1, -t.size, t.first)
    ):
        size, end, gaps = -(-life.size // 64) * 64, 0, []
        for start, other in sorted(
            ((at, other) for other, at in placed.items() if together(life, other)), key=lambda pair: pair[0]
        ):
            gaps += [(start - end, end)] if start - end >= size else []
            end = max(end, start + -(-other.size // 64) * 64)
        placed[life] = min(gaps)[1] if gaps else end
    return {life.tensor: at for life, at in placed.items()}


def test_the_lifetimes_are_those_of_litert(files):
    """Addresses of all tensors in LiteRT's own interpreter, without delegates, against a plan by its rules."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=files["plain"], num_threads=1, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    lifetimes = find_lifetimes(read_model(files["plain"]))
    (entry,) = interpreter.get_input_details()
    tensors = [  # LiteRT keeps inputs to the end
        dataclasses.replace(life, last=lifetimes.steps) if life.tensor[1] == entry["index"] else life
        for life in lifetimes.tensors
    ]
    offsets = litert_offsets(tensors)
    addresses = {index: interpreter.tensor(index)().ctypes.data for _, index in offsets}
    base = min(addresses.values())
    assert len(addresses) >= 8
    assert {index: address - base for index, address in addresses.items()} == {
        index: offset for (_, index), offset in offsets.items()
    }


def test_a_small_net_by_hand(files):
    """Convolution 8x8x4 -> 8x8x16, depthwise on that, addition: at the addition three tensors of 1024 values live."""
    found = plan_arena(files["conv"])
    assert found.total_bytes == found.live_bytes == 3 * 8 * 8 * 16 * 4
    assert found.peak_operator == "ADD"
    small = plan_arena(files["int8"])
    assert small.total_bytes == 3 * 8 * 8 * 16
    # Biases (16 + 16 + 3) may be left out where they are 0; converters add a few constants for shapes.
    weights = 4 * 9 * 16 + 9 * 16 + 1024 * 3
    assert 4 * weights <= found.constant_bytes < 4 * (weights + 35) + 100
    assert weights <= small.constant_bytes < weights + 4 * 35 + 100


def test_costs_of_a_file(files):
    macs = 64 * 16 * 36 + 64 * 16 * 9 + 1024 * 3
    for name, kind, byte in (("conv", "float32*float32", 4), ("int8", "int8*int8", 1)):
        costs = file_costs(files[name])
        assert set(costs) == {"arena_bytes", "memory_bytes", "macs", "energy_estimate_uj"}
        assert costs["macs"].value == macs and costs["macs"].extra["by_precision"] == {kind: macs}
        assert costs["arena_bytes"].value == 3 * 1024 * byte
        assert costs["memory_bytes"].value == costs["arena_bytes"].value + plan_arena(files[name]).constant_bytes
        assert "estimate" in costs["energy_estimate_uj"].environment["method"]
        assert "Horowitz" in costs["energy_estimate_uj"].environment["method"]
    # Multiplying and adding: 4.6 pJ in float32, .3 pJ in int8 (Horowitz 2014), and a fourth of the bytes.
    for name, picojoules in (("conv", 4.6), ("int8", 0.3)):
        (first,) = [work for work in list_work(files[name]) if work.operator == "CONV_2D"]
        assert first.energy_pj == pytest.approx(first.macs * picojoules + first.bytes_moved * 12.5)
    ratio = (
        file_costs(files["conv"])["energy_estimate_uj"].value / file_costs(files["int8"])["energy_estimate_uj"].value
    )
    assert 4 < ratio < 16


@pytest.mark.parametrize("broken", [b"", b"0000TFL3", b"not a model at all"])
def test_what_is_no_model_has_no_costs(broken):
    with pytest.raises(BuildFailed):
        file_costs(broken)
