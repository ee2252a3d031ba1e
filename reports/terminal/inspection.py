"""The output of ``litetuner inspect``: techniques that are not possible and why, then every layer with its costs."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from litetuner.reports.text.formatting import clean
from litetuner.spaces.info import DataInfo, LayerInfo, ModelInfo
from litetuner.spaces.steps import layer_techniques

NUMBERS = ("params", "MACs", "share")
FEW = 4  # at most so many layers are named with a reason


def inspection(model: ModelInfo, data: DataInfo | None) -> RenderableType:
    """The whole output, for a terminal with 100 columns."""
    macs = [layer.macs for layer in model.layers]
    counted = sum(count for count in macs if count is not None)
    more = " and some not counted" if None in macs else ""
    cost = f"{short(counted)} MACs{more}" if macs else "layers unknown"
    sides = [("input", model.inputs or {"": model.input_shape}), ("output", model.outputs or {"": model.output_shape})]
    ends = [f"{what} {name} {shape[1:]}" for what, side in sides for name, shape in side.items()]
    lines: list[RenderableType] = [
        Text(f"{clean(model.name, 60)}: {model.parameters:,} parameters, {cost}"),
        Text(f"{', '.join(ends)}, {model.input_dtype}"),
    ]
    if data is not None:
        lines.append(Text("data: " + ", ".join(f"{count:,} {split}" for split, count in data.counts.items())))
        lines += [Text(f"task: {data.decision.words}")] if data.decision else []
        lines += [Text(f"note: {note}", style="yellow") for note in data.notes]
    if model.bridge_refusal is not None:
        lines += [Text(""), Text(f"Post-training techniques only: {model.bridge_refusal}", style="yellow")]
    reasons = list(blockers(model))
    if reasons:
        lines += [Text(""), Text("Not possible for these layers, and why:")]
        lines += [Text(f"  {line}", style="yellow") for line in reasons]
    if not macs:
        return Group(*lines)
    lines.append(layers_table(model))
    lines.append(
        Text(
            "\nshare: of the parameters. bits: possible weight precisions. channels: the layers of one group are pruned "
            "together.",
            style="dim",
        )
    )
    if model.zeros_in_latency:
        lines.append(Text(model.zeros_in_latency))
    return Group(*lines)


def blockers(model: ModelInfo) -> Iterator[str]:
    """A line for each technique and reason why it is not possible, with the affected layers."""
    kernels = [layer for layer in model.layers if layer.has_kernel]
    for technique in (*layer_techniques(), "int4", "channels"):
        found: dict[str, list[str]] = {}
        for layer in kernels:
            reason = layer.group_refusal if technique == "channels" else layer.refusals.get(technique)
            if reason is not None and not (model.bridge_refusal is not None and technique != "int4"):
                found.setdefault(reason, []).append(layer.name)
        for reason, names in found.items():
            named = ", ".join(clean(name, 40) for name in names[:FEW])
            rest = f" and {len(names) - FEW} more" if len(names) > FEW else ""
            alone = len(names) == 1 and reason.startswith(f"{names[0]} is ")  # the reason names the layer
            yield f"no {technique}: {reason}" if alone else f"no {technique} for {named}{rest}: {reason}"


def layers_table(model: ModelInfo) -> Table:
    """A row for each layer that has parameters or MACs."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", title=" ")
    for title in ("layer", "type", "params", "MACs", "share", *layer_techniques(), "bits", "channels"):
        numeric = title in NUMBERS
        table.add_column(title, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for layer in model.layers:
        if layer.parameters or layer.macs:
            table.add_row(*(Text(cell) for cell in _row(layer, max(1, model.parameters))))
    others = [layer.type for layer in model.layers if not (layer.parameters or layer.macs)]
    if others:
        table.caption = f"and {len(others)} without weights ({', '.join(sorted(set(others))[:6])}...)"
        table.caption_justify = "left"
    return table


def _row(layer: LayerInfo, parameters: int) -> list[str]:
    able = ["yes" if layer.has_kernel and layer.can(technique) else "-" for technique in layer_techniques()]
    bits = ("16 8 4" if layer.can("int4") else "16 8") if layer.has_kernel else "16" if layer.parameters else "-"
    macs = "?" if layer.macs is None else short(layer.macs)
    share = f"{layer.parameters / parameters:.1%}"
    group = f"group {layer.group}" if layer.group else "-"
    return [clean(layer.name, 36), layer.type, short(layer.parameters), macs, share, *able, bits, group]


def short(count: int) -> str:
    """A count with three digits: 999, 12.3k, 4.56M, 7.89G."""
    value = float(count)
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            return f"{value:.0f}" if unit == "" else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}T"
