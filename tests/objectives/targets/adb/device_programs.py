"""The programs of a stand-in Android device: small scripts, and what prints as ``benchmark_model`` does."""

from __future__ import annotations

SCRIPTS = {
    "getprop": """
case $1 in
ro.product.manufacturer) echo Standin;; ro.product.model) echo 'Model 7 = new';; ro.build.version.release) echo 14;;
ro.build.version.sdk) echo 34;; ro.soc.manufacturer) echo Chips;; ro.soc.model) echo C1000;;
ro.product.cpu.abilist) echo arm64-v8a,armeabi-v7a;; *) echo;;
esac""",
    "cmd": """
[ "$1 $2" = 'power set-fixed-performance-mode-enabled' ] || exit 255
if [ -e {folder}/no-fixed ]; then echo 'Failed to set FIXED_PERFORMANCE mode'; exit 255; fi
echo $3 >> {folder}/fixed""",
    "dumpsys": "echo IsStatusOverride: false; echo Thermal Status: $(cat {folder}/heat 2>/dev/null || echo 0)",
}


TOOL = '''#!{python} -ES
"""Prints what TensorFlow Lite's benchmark_model prints. What it does wrong stands in a file beside its folder."""
import json, os, random, signal, sys, time
here = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
does = json.load(open(here + "/behaviour.json"))
known = """graph num_threads warmup_runs warmup_min_secs num_runs min_secs max_secs
    use_xnnpack use_gpu use_nnapi use_hexagon""".split()
flags = dict(part[2:].split("=", 1) for part in sys.argv[1:])
open(here + "/timed", "a").write(json.dumps(flags) + chr(10))
def say(text): print(text, file=sys.stderr, flush=True)
say("INFO: STARTING!")
unknown = [f"--{{name}}={{flags[name]}}" for name in flags if name not in known or name in does.get("unknown", [])]
if unknown: say("WARN: Unconsumed cmdline flags: " + " ".join(unknown))
say(f"INFO: Graph: [{{flags['graph']}}]")
if "code" in does:
    say(does.get("says", "")); sys.exit(does["code"])
if "signal" in does: os.kill(os.getpid(), does["signal"])
content = open(flags["graph"], "rb").read()
say(f"INFO: Loaded model {{flags['graph']}}")
say("INFO: Initialized TensorFlow Lite runtime.")
kind, name = next(((k, n) for k, n in (("use_gpu", "TfLiteGpuDelegateV2"), ("use_nnapi", "TfLiteNnapiDelegate"),
    ("use_hexagon", "TfLiteHexagonDelegate")) if flags.get(k) == "true"), ("use_xnnpack", "TfLiteXNNPackDelegate"))
if "delegate" in does:
    say(does["delegate"])
elif flags.get(kind) == "true":
    say(f"VERBOSE: Replacing {{does.get('taken', 1)}} out of 2 node(s) with delegate ({{name}}) node, "
        "yielding 1 partitions for subgraph 0.")
us = does.get("us", 1000) + len(content) / 100
def stats(n):
    least = int(us * (1 + random.random() / 500))
    text = f"INFO: count={{n}} first={{least + 90}} curr={{least + 3}} min={{least}} max={{least + 90}} avg={{least + 4.5}} std=7"
    say(text + (f" p5={{least + 1}} median={{least + 4}} p95={{least + 40}}" if does.get("new", True) else "") + chr(10))
time.sleep(does.get("sleep", 0))
say("INFO: The input model file size (MB): 0.01" + chr(10) + "INFO: Initialized session in 1.234ms.")
stats(7)
stats(int(flags["num_runs"]))
say(f"INFO: Inference timings in us: Init: 1234, First inference: {{int(us) + 90}}, "
    f"Warmup (avg): {{us:.6g}}, Inference (avg): {{us:.6g}}")
say("INFO: Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.25")
'''
