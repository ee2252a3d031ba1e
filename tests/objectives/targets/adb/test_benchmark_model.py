"""The parser against what the real tool prints: its documentation, and logs that its users published."""

from __future__ import annotations

import pytest

from litetuner.objectives.targets.adb.benchmark_model import (
    FLAGS,
    check_delegate,
    delegates_of,
    explain_failure,
    read_report,
    summary_of,
)
from litetuner.spaces.errors import BuildFailed, HostError, Lost

pytestmark = pytest.mark.service

# 2024 and later: levels before lines, percentiles behind the statistics.
NEW = """
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [5]
INFO: Graph: [./models/a.tflite]
INFO: Signature to run: []
INFO: Loaded model ./models/a.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 2136 out of 2168 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 65 partitions for subgraph 0.
INFO: The input model file size (MB): 8.45746
INFO: Initialized session in 207.799ms.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=11 first=90710 curr=42743 min=42209 max=90710 avg=48230.2 std=13845 p5=42209 median=42611 p95=90710

INFO: Running benchmark for at least 5 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=24 first=42468 curr=41938 min=41938 max=42840 avg=42394.8 std=188 p5=42133 median=42419 p95=42671

INFO: Inference timings in us: Init: 207799, First inference: 90710, Warmup (avg): 48230.2, Inference (avg): 42394.8
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE.
INFO: Memory footprint delta from the start of the tool (MB): init=23.5938 overall=26.6797
"""
# 2021: no levels; a single warm-up invoke; numbers above a million with an exponent.
MIDDLE = """
STARTING!
Use xnnpack: [1]
Loaded model /data/local/tmp/a.tflite
INFO: Initialized TensorFlow Lite runtime.
Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 22 delegate kernels.
Initialized session in 20.283ms.
count=1 curr=1330043
count=2 first=1339304 curr=1266325 min=1266325 max=1339304 avg=1.30281e+06 std=36489

Inference timings in us: Init: 20283, First inference: 1330043, Warmup (avg): 1.33004e+06, Inference (avg): 1.30281e+06
Peak memory footprint (MB): init=6.44141 overall=64.8633
"""
# 2019: the README's own.
OLD = """
Initialized session in 0.896ms
count=215 first=12231 curr=2106 min=2065 max=12231 avg=2331.42 std=746
count=459 first=2143 curr=2101 min=2056 max=2656 avg=2177.1 std=124

Average inference timings in us: Warmup: 2331.42, Init: 896, no stats: 2177.1
"""
GPU = """
INFO: Created TensorFlow Lite delegate for GPU.
VERBOSE: Replacing 58 out of 60 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions for the whole graph.
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 1 delegate kernels.
VERBOSE: Replacing 2 out of 3 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions for the whole graph.
"""
END = NEW[NEW.index("INFO: The input") :]


def test_the_newest_form():
    report = read_report(NEW)
    assert (report.init_us, report.first_us, report.average_us) == (207799, 90710, 42394.8)
    assert (report.least_us, report.most_us, report.count) == (41938, 42840, 24)
    assert report.percentiles_us == {"p5": 42133, "median": 42419, "p95": 42671}
    assert report.peak_bytes == round(26.6797 * 2**20)
    assert delegates_of(report, "xnnpack", ["CONV_2D"] * 2167 + ["QUANTIZE"]) == {
        "requested": ["xnnpack"],
        "operators": 2168,
        "delegated": 2136,
        "partitions": 65,
        "quantize": 1,
        "dequantize": 0,
        "fallback": [
            {
                "operator": "OPERATORS",
                "count": 32,
                "indices": [],
                "why": "benchmark_model does not say which operators these are, nor why",
            }
        ],
        "lines": list(report.says),
    }
    assert report.says[1] == "Created TensorFlow Lite XNNPACK delegate for CPU."


def test_lines_ends_of_old_adb():
    assert read_report(NEW.replace("\n", "\r\n")) == read_report(NEW)


def test_older_forms():
    report = read_report(MIDDLE)
    assert (report.init_us, report.first_us, report.average_us) == (20283, 1330043, 1302810)
    assert (report.least_us, report.count, report.percentiles_us, report.peak_bytes) == (1266325, 2, {}, None)
    found = delegates_of(report, "xnnpack", ["ADD"] * 30)
    assert (found["operators"], found["delegated"], found["partitions"]) == (30, None, 22)
    report = read_report(OLD)
    assert (report.init_us, report.first_us, report.average_us) == (896, 12231, 2177.1)
    assert (report.least_us, report.most_us, report.count) == (2056, 2656, 459)
    readme = "count=50 first=79449 curr=81350 min=77385 max=88213 avg=79732 std=1929\n"
    readme += "Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9"
    assert read_report(readme).average_us == 79760.9
    single = read_report(
        "count=1 curr=9\ncount=1 curr=7\n"
        "Inference timings in us: Init: 1, First inference: 9, Warmup (avg): 9, Inference (avg): 7"
    )
    assert (single.least_us, single.most_us, single.count) == (7, 7, 1)


def test_a_summary_over_runs():
    found = summary_of([read_report(NEW), read_report(NEW.replace("overall=26.6797", "overall=30"))])
    assert found["load_us"] == 207799 and found["invokes"] == 48 and found["processes"] == 2
    assert found["peak_rss_bytes"] == 30 * 2**20 and found["median_us"] == 42419
    assert summary_of([read_report(OLD)])["peak_rss_bytes"] is None


@pytest.mark.parametrize(
    "text",
    ["", "Inference timings in us: Init: 3", "count=5 first=1", OLD.replace("min=2056", "min=0"), "count=1 curr=nan\n"],
)
def test_what_is_not_of_a_known_form_is_an_error(text):
    with pytest.raises(HostError, match="timings"):
        read_report(text)


def test_an_accelerator_that_took_nothing_is_not_timed():
    full = "INFO: Explicitly applied NNAPI delegate, and the model graph will be completely executed by the delegate.\n"
    check_delegate(read_report(GPU + END), "gpu", "a")
    check_delegate(read_report(full + END), "nnapi", "a")
    check_delegate(read_report(END), "xnnpack", "a")  # the CPU in either case
    check_delegate(read_report(END), "none", "a")
    with pytest.raises(HostError, match="does not say that the gpu delegate was applied"):
        check_delegate(read_report(NEW), "gpu", "a")  # XNNPACK took them instead
    for line in (
        "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.",
        "VERBOSE: Replacing 0 out of 60 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 0 partitions.",
    ):
        with pytest.raises(BuildFailed, match="took none"):
            check_delegate(read_report(line + "\n" + NEW), "gpu", "a")
    found = delegates_of(read_report(GPU + END), "gpu", ["ADD"] * 60)
    assert (found["delegated"], found["partitions"], found["fallback"][0]["count"]) == (58, 1, 2)
    found = delegates_of(read_report(full + END), "nnapi", ["ADD"] * 60)
    assert (found["delegated"], found["partitions"], found["fallback"]) == (60, 1, [])
    assert delegates_of(read_report(END), "none", ["DEQUANTIZE"])["requested"] == []
    old = "INFO: Replacing 31 node(s) with delegate (TfLiteHexagonDelegate) node, yielding 1 partitions.\n"
    assert delegates_of(read_report(old + END), "hexagon", ["ADD"] * 31)["delegated"] == 31


ALLOCATE = """INFO: Loaded model a.tflite
ERROR: tensorflow/lite/kernels/batch_matmul.cc:353 lhs_data->type == rhs_data->type was not true.
ERROR: Node number 57 (BATCH_MATMUL) failed to prepare.
ERROR: Failed to allocate tensors!
ERROR: Benchmarking failed."""


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        (1, ALLOCATE, BuildFailed, "Node number 57"),
        (1, "ERROR: Failed to apply GPU delegate.\nERROR: Benchmarking failed.", BuildFailed, "apply GPU"),
        (1, "ERROR: Failed to mmap model /a.tflite", BuildFailed, "mmap model"),
        (139, "Segmentation fault", BuildFailed, "crashed with SIGSEGV"),
        (134, "terminating", BuildFailed, "SIGABRT"),
        (137, "Killed", Lost, "memory ran out"),
        (126, "sh: /b: not executable: 64-bit ELF file", HostError, "64-bit ELF.*runs armeabi-v7a"),
        (127, "sh: /b: inaccessible or not found", HostError, "not found.*runs armeabi-v7a"),
        (1, 'CANNOT LINK EXECUTABLE "/b": library "libc++_shared.so" not found', HostError, "libc"),
        (0, "WARN: GPU acceleration is unsupported on this platform.\n" + NEW, HostError, "no such delegate"),
        (
            0,
            "WARN: Could not create Hexagon delegate: platform may not support delegate or required libraries are missing",
            HostError,
            "Could not create Hexagon",
        ),
        (0, "WARN: Unconsumed cmdline flags: --use_hexagon=true\n" + NEW, HostError, "does not know --use_hexagon"),
        (3, "odd", HostError, "code 3: odd"),
        (3, "", HostError, "said nothing"),
    ],
)
def test_ends(code, text, kind, words):
    error = explain_failure(code, text, "device: file", "armeabi-v7a")
    assert type(error) is kind and str(error).startswith("device: file")
    with pytest.raises(kind, match=words):
        raise error


def test_a_good_end():
    assert explain_failure(0, NEW, "a", "b") is None
    assert set(FLAGS) == {"xnnpack", "gpu", "nnapi", "hexagon", "none"}
