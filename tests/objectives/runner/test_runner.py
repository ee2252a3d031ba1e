"""The runner is a program: it is run as one, on small real files. No test here depends on the machine being quiet."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from litetuner.objectives.runner import intervals as runner_numbers
from litetuner.objectives.runner import runner

SCRIPT = Path(runner.__file__)
QUICK = ("--warmup-seconds", "0.02", "--block-ms", "5", "--max-seconds", "1.5", "--tolerance", "0.2")


def run(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, dict]:
    argv = [sys.executable, "-P", str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small ``.tflite`` files: a convolution, a ten times larger one, two inputs (int indices and floats), int8 in and out."""
    from litetuner.spaces import tf as lazy

    tf = lazy.load()
    import tf_keras
    from tf_keras import layers

    folder = tmp_path_factory.mktemp("files")
    tf_keras.utils.set_random_seed(0)

    def convolutions(width):
        image = layers.Input((32, 32, 3))
        x = layers.Conv2D(width, 3, activation="relu")(image)
        return tf_keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(layers.Conv2D(width, 3)(x))))

    indices, numbers = layers.Input((4,), dtype="int32"), layers.Input((8,))
    embedded = layers.Flatten()(layers.Embedding(5, 3)(indices))
    mixed = tf_keras.Model([indices, numbers], layers.Dense(2)(layers.Concatenate()([embedded, numbers])))

    def convert(model, name, int8=False):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if int8:
            rng = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([rng.random((1, 32, 32, 3), dtype="f4")] for _ in range(4))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with lazy.quiet_stdout():
            content = converter.convert()
        (folder / f"{name}.tflite").write_bytes(content)

    convert(convolutions(8), "small")
    convert(convolutions(64), "large")
    convert(convolutions(8), "int8", int8=True)
    convert(mixed, "mixed")
    (folder / "broken.tflite").write_bytes((folder / "small.tflite").read_bytes()[:700])
    (folder / "empty.tflite").write_bytes(b"")
    return folder


def test_the_document_holds_what_it_promises(files):
    code, found = run(files / "small.tflite", "--baseline", files / "large.tflite", *QUICK)
    assert code == 0
    assert found["schema_version"] == runner.SCHEMA_VERSION
    assert found["sha256"] == hashlib.sha256((files / "small.tflite").read_bytes()).hexdigest()
    assert found["baseline"]["sha256"] == hashlib.sha256((files / "large.tflite").read_bytes()).hexdigest()
    for part in (found["latency_us"], found["baseline"]["latency_us"]):
        assert len(part["blocks"]) >= 6
        assert part["value"] == pytest.approx(np.median(part["blocks"]))
        assert part["interval"][0] <= part["value"] <= part["interval"][1]
        assert part["coverage"] >= 0.95
        assert part["p50"] <= part["p90"] <= part["p99"]
        assert min(part["blocks"]) <= part["p50"]
        assert part["invokes"] >= len(part["blocks"])
        assert part["load_us"] > 0 and part["first_invoke_us"] > 0
    environment = found["environment"]
    assert environment["threads"] == 1 and environment["delegate"] == "xnnpack"
    assert environment["runtime_version"] and environment["cpu"]
    assert {"governor", "load_average_before", "load_average_after", "throttled", "others_on_core"} <= set(environment)
    for part in (found, found["baseline"]):
        assert part["delegates"]["delegated"] == part["delegates"]["operators"] > 0
        assert part["bytes"] < part["peak_rss_bytes"] < 50e6  # the file itself, its packed weights and its arena
    assert "value" in found["energy_uj"] or found["energy_uj"]["absent"]
    assert found["stable"] is (found["instability"] == [])


def test_a_file_with_sixty_times_the_work_is_told_apart_whatever_else_runs(files):
    _, found = run(files / "small.tflite", "--baseline", files / "large.tflite", *QUICK)
    assert found["ratio"]["interval"][0] <= found["ratio"]["value"] <= found["ratio"]["interval"][1]
    assert found["ratio"]["value"] > 2
    assert found["ratio"]["pairs"] == len(found["latency_us"]["blocks"])


@pytest.mark.parametrize("name", ["mixed", "int8"])
def test_inputs_of_every_type_are_fed_with_valid_values(files, name):
    code, found = run(files / f"{name}.tflite", *QUICK)
    assert code == 0, found
    assert found["baseline"] is None and found["ratio"] is None


def test_threads_delegate_and_core_are_as_asked(files):
    core = max(os.sched_getaffinity(0))
    _, found = run(files / "small.tflite", "--threads", 2, "--no-xnnpack", "--core", core, "--no-priority", *QUICK)
    environment = found["environment"]
    assert (environment["threads"], environment["delegate"], environment["pinned_cores"]) == (2, "none", [core])
    assert environment["priority"] == "not asked for"
    _, free = run(files / "small.tflite", "--core", "none", *QUICK)
    assert free["environment"]["pinned_cores"] is None


def test_time_is_kept_and_what_could_not_be_done_is_said(files):
    _, found = run(files / "large.tflite", "--block-ms", 400, "--max-seconds", 1, "--warmup-seconds", 0.01)
    assert found["seconds"] < 3
    assert not found["stable"]
    assert any(reason.startswith("blocks:") for reason in found["instability"])


@pytest.mark.parametrize(
    ("name", "arguments", "stage"),
    [
        ("broken", (), "load"),
        ("empty", (), "read"),
        ("missing", (), "read"),
        ("small", ("--blocks", "0"), "usage"),
        ("small", ("--core", "9999"), "usage"),
        ("small", ("--core", "first"), "usage"),
    ],
)
def test_failures_are_a_document_too(files, name, arguments, stage):
    code, found = run(files / f"{name}.tflite", *arguments)
    assert code == 1
    assert found["error"]["stage"] == stage
    assert found["error"]["message"]


def test_a_broken_baseline_is_named(files):
    _, found = run(files / "small.tflite", "--baseline", files / "broken.tflite")
    assert found["error"]["file"] == str(files / "broken.tflite")


def test_it_ends_when_the_process_that_started_it_is_not_its_parent(files):
    argv = [sys.executable, "-P", str(SCRIPT), str(files / "small.tflite"), "--parent", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and not done.stdout


def test_its_parts_need_nothing_but_each_other_numpy_and_the_runtime():
    parts = {f"litetuner.objectives.runner.{Path(name).stem}" for name in runner.FILES}
    for name in runner.FILES:
        for node in ast.walk(ast.parse(SCRIPT.with_name(name).read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                modules += inner if node.module == runner.__package__ else [str(node.module)]
            for module in modules:
                known = module.split(".")[0] in {*sys.stdlib_module_names, "numpy", "flatbuffers", "ai_edge_litert"}
                assert known or module in parts, f"{name} imports {module}"


def test_it_runs_from_a_folder_of_any_name_where_litetuner_is_not(files, tmp_path):
    """The parts alone, beside each other; ``-S`` and a path of its own keep the installed litetuner away."""
    for name in runner.FILES:
        shutil.copy(SCRIPT.with_name(name), tmp_path / name)
    for package in ("numpy", "numpy.libs", "ai_edge_litert", "flatbuffers"):
        if (source := Path(np.__file__).parents[1] / package).exists():
            (tmp_path / "site" / package).parent.mkdir(exist_ok=True)
            (tmp_path / "site" / package).symlink_to(source)
    metadata = next(Path(np.__file__).parents[1].glob("ai_edge_litert-*.dist-info"))
    (tmp_path / "site" / metadata.name).symlink_to(metadata)
    argv = [sys.executable, "-P", "-S", str(tmp_path / "runner.py"), str(files / "small.tflite"), *QUICK]
    env = {"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["latency_us"]["value"] > 0


@pytest.mark.parametrize(("n", "skipped"), [(6, 0), (8, 0), (9, 1), (20, 5), (50, 17)])
def test_the_interval_of_the_median_is_the_tabulated_one(n, skipped):
    """Ranks of the two-sided 95 % interval of a median from the binomial table (Conover 1999, table A3)."""
    (low, high), coverage = runner_numbers.median_interval(range(n))
    assert (low, high) == (skipped, n - 1 - skipped)
    assert coverage >= 0.95


def test_the_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for n in (6, 13):
        inside = [
            low <= 0 <= high
            for (low, high), _ in (
                runner_numbers.median_interval(rng.exponential(1, n) - np.log(2)) for _ in range(2000)
            )
        ]
        assert np.mean(inside) > 0.94  # three standard errors of 2,000 draws below 95 %: 0.936


def test_few_values_say_how_little_they_cover():
    assert runner_numbers.median_interval([1.0]) is None
    assert runner_numbers.median_interval([1, 2, 3, 4, 5]) == ((1, 5), 0.9375)


def test_the_ratio_follows_neighbors_when_the_machine_drifts():
    drift = np.linspace(1, 2, 12)
    found = runner_numbers.ratio_of(list(20 * drift), list(10 * drift))
    assert found["method"] == "pairs"
    assert found["value"] == pytest.approx(2) and found["interval"] == pytest.approx([2, 2])


def test_the_ratio_uses_the_values_when_noise_is_not_shared():
    rng = np.random.default_rng(1)
    base, this = 20 * rng.normal(1, 0.01, 40), 10 * rng.normal(1, 0.01, 40)
    found = runner_numbers.ratio_of(list(base), list(this))
    assert found["value"] == pytest.approx(2, rel=0.01)  # 40 blocks of 1 % noise: standard error of the ratio 0.3 %
    assert found["interval"][0] < 2 < found["interval"][1]
