"""``litetuner measure``: what any ``.tflite`` costs on a target, by the protocol that a search uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from litetuner.objectives.targets.target import Target

LITTLE = 5  # reasons for operators that stayed behind that are printed; all of them stand in the JSON


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("measure")(measure)


def measure(
    file: Annotated[Path, typer.Argument(help="The file to time.", metavar="FILE.tflite")],
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Another file, timed in turns with it; gives a ratio.", metavar="FILE.tflite"),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Threads of the runtime.", metavar="N", min=1)] = 1,
    target: Annotated[
        str, typer.Option("--target", help="Where: host, ssh://user@host[:port], adb[:serial].", metavar="TARGET")
    ] = "host",
    delegate: Annotated[
        Path | None, typer.Option("--delegate", help="A delegate's shared library.", metavar="LIBRARY")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="One of LiteRT's own: gpu, npu or cpu.", metavar="NAME")
    ] = None,
    no_xnnpack: Annotated[bool, typer.Option("--no-xnnpack", help="The runtime's plain kernels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
) -> None:
    """Time a file in a fresh process on one core; print its latency with its interval, its memory and its delegates."""
    from litetuner.objectives.files.costs import file_costs
    from litetuner.objectives.targets.choice import find_target
    from litetuner.spaces.errors import ConfigError

    for path in (file, baseline):
        if path is not None and not path.is_file():
            raise ConfigError(f"measure: {path} does not exist.")
        if path is not None and path.read_bytes()[4:8] != b"TFL3":
            raise ConfigError(f"measure: {path} is no .tflite file. Give one, such as `litetuner export` writes.")
    options = [f"delegate={quote(str(delegate.absolute()))}"] if delegate else []
    options += [f"accelerator={accelerator}"] if accelerator else []
    options += ["xnnpack=off"] if no_xnnpack else []
    text = target + ("&" if "?" in target else "?") * bool(options) + "&".join(options)
    costs = {name: each.to_json() for name, each in file_costs(file.read_bytes()).items()}
    found = _measure(find_target(text).target, file, baseline, threads) | {"costs": costs}
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for line in _lines(found, baseline):
        typer.echo(line)
    for reason in found["instability"]:
        typer.echo(f"unsteady: {reason}", err=True)


def _measure(target: Target, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
    """The runner's document, or one like it from a target that has no runner (``None``: not measured there)."""
    from litetuner.objectives.targets.python_target import PythonTarget

    if isinstance(target, PythonTarget):
        return target.measure(file, baseline, threads)
    timing = target.time(file, baseline or file, threads)
    latency = timing.latency_us
    extra = {"p50": None, "p90": None, "p99": None, "instability": [], "ratio": None} | latency.extra
    ratio = (extra["ratio"] or {"value": timing.ratio, "interval": None}) if baseline else None
    about = {name: extra.get(name) for name in ("delegates", "peak_rss_bytes", "energy_uj", "instability")}
    found = {
        "schema_version": 1,
        "file": str(file),
        "baseline": None,
        "environment": latency.environment,
        "ratio": ratio,
    }
    part = {"value": latency.value, "interval": latency.interval, "blocks": latency.samples}
    return found | about | {"latency_us": part | {name: extra[name] for name in ("p50", "p90", "p99")}}


def _lines(found: dict[str, Any], baseline: Path | None) -> list[str]:
    """What was measured, as a person reads it."""
    from litetuner.search.config.units import format_bytes, format_us

    latency, costs, machine = found["latency_us"], found["costs"], found["environment"]
    interval = latency["interval"]
    spread = f"  (95 % interval {format_us(interval[0])} to {format_us(interval[1])})" if interval else ""
    lines = [f"{format_us(latency['value'])}{spread}"]
    if latency["p50"] is not None:
        lines.append(", ".join(f"{name} {format_us(latency[name])}" for name in ("p50", "p90", "p99")))
    if "load_us" in latency:
        lines.append(f"load {format_us(latency['load_us'])}, first invoke {format_us(latency['first_invoke_us'])}")
    if found["ratio"]:
        lines.append(f"{found['ratio']['value']:.3f} times as fast as {baseline}")
    memory = [f"arena {format_bytes(costs['arena_bytes']['value'])}"]
    memory.append(f"constants {format_bytes(costs['memory_bytes']['extra']['constant_bytes'])}")
    if found["peak_rss_bytes"] is not None:
        memory.append(f"peak of the process above the bare runtime {format_bytes(found['peak_rss_bytes'])}")
    lines.append("memory: " + ", ".join(memory))
    lines += _delegates(found["delegates"])
    lines.append(f"{costs['macs']['value']:,} multiply-accumulates; {_energy(found['energy_uj'], costs)}")
    conditions = [
        machine.get("cpu"),
        f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}" if machine.get("threads") else None,
    ]
    cores = " and ".join(str(core) for core in machine.get("pinned_cores") or ())
    conditions += [f"core {cores}" if cores else None]
    conditions += [f"{machine['runtime']} {machine['runtime_version']}" if machine.get("runtime_version") else None]
    return [*lines, ", ".join(str(part) for part in conditions if part)]


def _delegates(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    names = ", ".join(found["requested"])
    if not names:
        return [f"operators: {found['operators']}, no delegate"]
    if found["delegated"] is None:
        return [f"operators: {found['operators']}, some of them on {names}; LiteRT does not say which"]
    parts = (
        "" if found["partitions"] is None else f" in {found['partitions']} partition{'s' * (found['partitions'] != 1)}"
    )
    lines = [f"operators: {found['delegated']} of {found['operators']} by {names}{parts}"]
    lines[0] += f"; {found['quantize']} quantize, {found['dequantize']} dequantize"
    left = found["fallback"] or []
    lines += [f"  {part['count']} {part['operator']} left: {part['why']}" for part in left[:LITTLE]]
    return lines + ([f"  and {len(left) - LITTLE} kinds more (--json)"] if len(left) > LITTLE else [])


def _energy(measured: dict[str, Any] | None, costs: dict[str, Any]) -> str:
    estimate = f"estimate {costs['energy_estimate_uj']['value']:.3g} uJ (arithmetic and memory, 45 nm)"
    if not measured or "absent" in measured:
        return (
            f"energy: {estimate}; not measured: {measured['absent'] if measured else 'the target does not measure it'}"
        )
    return f"energy: {measured['value']:.3g} uJ above idle ({', '.join(measured['zones'])}); {estimate}"
