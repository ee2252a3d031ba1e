"""``litetuner measure``: measure latency and memory of any ``.tflite`` on a target, as in a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from litetuner.cli.options import option, with_keys

RUNTIME_OPTIONS = (
    option("delegate", Path | None, "A delegate's shared library.", "LIBRARY"),
    option("accelerator", str | None, "An accelerator of LiteRT: gpu, npu or cpu.", "NAME"),
    option("no_xnnpack", bool, "Use the runtime's own kernels, without XNNPACK.", default=False),
)
MOST_REASONS = 5  # printed reasons why operators are not delegated; the JSON has all of them


@with_keys("threads", more=RUNTIME_OPTIONS)
def measure(
    file: Annotated[Path, Argument(help="The file to time.", metavar="FILE.tflite")],
    baseline: Annotated[
        Path | None,
        Option("--baseline", help="Another file, measured in alternation; gives a ratio.", metavar="FILE.tflite"),
    ] = None,
    target: Annotated[
        str, Option("--target", help="Where to measure: host, ssh://user@host[:port], adb[:serial].", metavar="TARGET")
    ] = "host",
    as_json: Annotated[bool, Option("--json", help="Print all measurements as JSON.")] = False,
    **keys: Any,
) -> None:
    """Measure a file in a fresh process on one core; print latency with interval, memory and delegates."""
    from litetuner.files import measure as time_file

    named = {name: keys[name] for name in ("delegate", "accelerator")}
    threads = 1 if keys["threads"] is None else keys["threads"]
    found = time_file(file, baseline=baseline, target=target, threads=threads, xnnpack=not keys["no_xnnpack"], **named)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo("\n".join(_lines(found, baseline)))
    for reason in found["instability"]:
        typer.echo(f"unstable: {reason}", err=True)


def _lines(found: dict[str, Any], baseline: Path | None) -> list[str]:
    from litetuner.search.config.units import format_bytes, format_us

    others = [_other(name, each) for name, each in found.get("others", {}).items()]
    latency, costs, machine = found["latency_us"], found["costs"], found.get("environment", {})
    if latency is None:
        return [f"no latency: {found['misfit'] or 'this target does not tell it'}", *others]
    interval = latency["interval"]
    spread = f"  (95 % interval {format_us(interval[0])} to {format_us(interval[1])})" if interval else ""
    lines = [f"{format_us(latency['value'])}{spread}{_estimate(machine)}", *others]
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
    lines.append(f"{costs['macs']['value']:,} MACs; {_energy(found['energy_uj'], costs)}")
    conditions = [
        machine.get("cpu"),
        f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}" if machine.get("threads") else None,
    ]
    cores = " and ".join(str(core) for core in machine.get("pinned_cores") or ())
    conditions += [f"core {cores}" if cores else None]
    conditions += [f"{machine['runtime']} {machine['runtime_version']}" if machine.get("runtime_version") else None]
    said = ", ".join(str(part) for part in conditions if part)
    return [*lines, said] if said else lines


def _other(name: str, each: dict[str, Any]) -> str:
    """Another measurement of a target as text: ``sram: 51.9 kB  (an estimate of Vela 5.2.0)``."""
    from litetuner.reports.text.formatting import plain

    title = name.removesuffix("_bytes").replace("_", " ")
    return f"{title}: {plain(each['value'], name, each['unit'])}{_estimate(each['environment'])}"


def _estimate(environment: dict[str, Any]) -> str:
    return f"  (an estimate of {environment['estimate']})" if "estimate" in environment else ""


def _delegates(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    names = ", ".join(found["requested"])
    if not names:
        return [f"operators: {found['operators']}, no delegate"]
    if found["delegated"] is None:
        return [f"operators: {found['operators']}, some of them on {names}; LiteRT does not report which"]
    count = found["partitions"]
    parts = "" if count is None else f" in {count} partition{'s' * (count != 1)}"
    lines = [f"operators: {found['delegated']} of {found['operators']} on {names}{parts}"]
    lines[0] += f"; {found['quantize']} quantize, {found['dequantize']} dequantize"
    left = found["fallback"] or []
    lines += [f"  {part['count']} {part['operator']} not delegated: {part['why']}" for part in left[:MOST_REASONS]]
    return lines + ([f"  and {len(left) - MOST_REASONS} more kinds (--json)"] if len(left) > MOST_REASONS else [])


def _energy(measured: dict[str, Any] | None, costs: dict[str, Any]) -> str:
    estimate = f"estimate {costs['energy_estimate_uj']['value']:.3g} uJ (arithmetic and memory, 45 nm)"
    if not measured or "absent" in measured:
        why = measured["absent"] if measured else "the target does not measure it"
        return f"energy: {estimate}; not measured: {why}"
    return f"energy: {measured['value']:.3g} uJ above idle ({', '.join(measured['zones'])}); {estimate}"
