"""The part of a network that computes in oneDNN's own layout on the CPU.

In: a network as checked. Out: between which two of its layers. torch lets oneDNN compute each convolution, which brings
what it takes into blocks of channels, and what it gives back into rows; ReLU and pooling know the blocks too.
Guarantees: only what gives the same numbers in both layouts to the bit, gradients too, as long as all are finite:
convolutions, ReLU, and pooling whose windows don't overlap. (One thread alone does without oneDNN where fewer than 16
small images meet a small kernel; there the last bits differ.) Leaves the code to `training_main`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc import ir

    Args = Mapping[str, Any]


class Stretch(NamedTuple):
    """From the layer whose input is brought into blocks to the one whose input is brought back, by their paths."""

    first: str
    behind: str


def stretch(network: ir.Network) -> Stretch | None:
    """Where a network is such a chain, from its picture to the first layer behind `Flatten`; None where it isn't."""
    layers = {path: layer for path, layer in network.layers.items() if layer.call.entry.home == "torch.nn"}
    for i, row in enumerate(network.rows):
        layer = layers.get(row.path)
        if i and network.rows[i - 1].name in ("Flatten", "flatten"):
            whole = layer is not None and _is_chain(network, i)
            return Stretch(network.rows[0].path, row.path) if whole else None
        if row.path and layer is None:
            return None
        arguments = row.values if layer is None else _arguments(layer.call)
        same = row.name == "AdaptiveAvgPool2d" and i and row.output == network.rows[i - 1].output
        if (i == 0 and row.name != "Conv2d") or not (same or _allows(row, arguments)):
            return None
    return None


def _arguments(call: ir.Call) -> Args:
    return {p.name: call.get(p.name) for p in call.entry.params}


def _is_chain(network: ir.Network, end: int) -> bool:
    """Whether each row up to this one takes what the one before gives, nothing else takes it, no layer acts again."""
    if len(network.inputs) != 1 or network.inputs[0].type.dtype != "float32":
        return False
    paths = [row.path for row in network.rows]
    for i, row in enumerate(network.rows):
        taken = [source for sources in row.sources.values() for source in sources]
        if i > end and any(_is_before(source, end) for source in taken):
            return False
        again = row.path != "" and paths.count(row.path) > 1
        if i <= end and (again or taken != [(i - 1, ())]):  # the input is -1
            return False
    return not any(_is_before(output.source, end) for output in network.outputs)


def _is_before(source: ir.Source, end: int) -> bool:
    """Whether something comes from a row before this one, or it isn't known from where."""
    return source is None or (isinstance(source[0], int) and 0 <= source[0] < end)


# --- what gives the same numbers --------------------------------------------------------------------------------------


def _allows(row: ir.Row, arguments: Args) -> bool:
    check = _ALLOWED.get(row.name)
    return check is not None and check(arguments)


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, (list, tuple)) else (value, value)


def _convolution(arguments: Args) -> bool:
    """Zeros around the picture, as many on each side."""
    if arguments["padding_mode"] != "zeros":
        return False
    around = [d * (k - 1) for k, d in zip(_pair(arguments["kernel_size"]), _pair(arguments["dilation"]), strict=True)]
    return arguments["padding"] != "same" or all(n % 2 == 0 for n in around)


def _pooling(arguments: Args) -> bool:
    """Windows that don't overlap: where a pixel is in two of them, the order matters in which gradients are added."""
    stride = arguments["stride"] or arguments["kernel_size"]
    apart = all(s >= k for s, k in zip(_pair(stride), _pair(arguments["kernel_size"]), strict=True))
    plain = not arguments.get("return_indices") and _pair(arguments.get("dilation", 1)) == (1, 1)
    return apart and plain


def _average(arguments: Args) -> bool:
    return _pooling(arguments) and not arguments["ceil_mode"] and arguments["divisor_override"] is None


_ALLOWED: dict[str, Callable[[Args], bool]] = {
    "Conv2d": _convolution,
    "ReLU": lambda _: True,
    "relu": lambda _: True,
    "MaxPool2d": _pooling,
    "AvgPool2d": _average,
    "Flatten": lambda a: a["start_dim"] == 1 and a["end_dim"] in (-1, 3),
    "flatten": lambda a: a["start_dim"] == 1 and a["end_dim"] in (-1, 3),
}
