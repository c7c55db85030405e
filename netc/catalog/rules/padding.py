"""Padding layers and `pad`.

In: arguments and the type of the input. Out: shapes, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU.
Leaves to others: the zeros that convolutions and pools pad with themselves.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, at_most, less

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs
    from netc.catalog.rules.parts import Axis

MODES = {
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
    "Constant": "constant",
    "Zero": "constant",
}
DTYPES = {"reflect": parts.NUMBERS, "replicate": parts.NUMBERS, "circular": parts.ALL, "constant": parts.ALL}
HELD = {
    "uint8": (0, 2**8 - 1),
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    "float16": (-65504, 65504),
    "float32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "bfloat16": (-3.3895313892515355e38, 3.3895313892515355e38),
}


def _beyond(mode: str, axis: Axis, pad: tuple[Dim, Dim], argument: str = "padding") -> Reject | None:
    """Refuses padding that asks for more of the input than it has: reflecting or going round."""
    for amount in pad:
        if mode == "reflect" and at_most(axis.size, amount):
            reason = f"reflecting {amount} needs more than {amount} in {axis.name}, and the input has {axis.size}"
            return Reject(argument, f"less than {axis.size}", str(amount), reason)
        if mode == "circular" and less(axis.size, amount):
            reason = f"going round by {amount} needs {amount} in {axis.name}, and the input has {axis.size}"
            return Reject(argument, f"at most {axis.size}", str(amount), reason)
    return None


def padded(mode: str, x: TensorType, pads: tuple[Dim, ...], argument: str) -> TensorType | Reject:
    """The result of padding, `pads` being pairs from the last axis backwards."""
    count = len(pads) // 2
    sizes = list(x.shape)
    for i in range(count):
        before, after = pads[2 * i], pads[2 * i + 1]
        axis = parts.Axis(_axis_name(i, count), sizes[-1 - i])
        if (refused := _beyond(mode, axis, (before, after), argument)) is not None:
            return refused
        sizes[-1 - i] = axis.size + before + after
        if less(_least(mode, axis.size, before, after), 0):
            shown = f"({before}, {after})"
            return Reject(argument, "more", shown, f"a padding of {shown} leaves nothing of {axis.size} in {axis.name}")
    return TensorType(tuple(sizes), x.dtype)


def _least(mode: str, size: Dim, before: Dim, after: Dim) -> Dim:
    """What must not be negative: constants are put to what is cut out first, other modes may be empty or not."""
    if mode == "constant":
        return size + sum(p for p in (before, after) if less(p, 0))
    return size + before + after - (mode != "circular")


def _axis_name(from_end: int, count: int) -> str:
    return parts.AXES[count][-1 - from_end] if count in parts.AXES else f"axis {-1 - from_end}"


def _layer_shape(n: int, mode: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    dims = parts.number_of_axes(x, range(n, 20), parts.LAYOUTS[n]) if mode == "constant" else parts.spatial(x, n)
    pads = parts.spread(args["padding"], 2 * n)
    problem = dims or parts.dtype_in(x, DTYPES[mode]) or unheld(args.get("value"), x)
    return problem or padded(mode, x, pads, "padding")


def _pad_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, mode, pads = inputs[0], str(args["mode"]), parts.dims(args["pad"])
    if len(pads) % 2 or len(pads) > 2 * len(x.shape):
        expected = f"an even number of them, {2 * len(x.shape)} at most"
        reason = f"`pad` holds two numbers for each axis, from the last backwards, and here are {len(pads)}"
        return Reject("pad", expected, str(len(pads)), reason)
    if mode != "constant" and len(pads) // 2 == len(x.shape) - 1:
        layout = parts.LAYOUTS[min(len(pads) // 2, 3)]
        return Reject(None, layout, str(x), f"the batch axis is missing: I take {layout}, the batch first")
    if mode != "constant" and not (len(pads) // 2 == len(x.shape) - 2 and len(pads) in (2, 4, 6)):
        n = min(max(len(pads) // 2, 1), 3)
        reason = f'"{mode}" pads all axes behind the channels: {parts.LAYOUTS[n]} takes {2 * n} numbers'
        return Reject("pad", f"{2 * max(len(x.shape) - 2, 1)} numbers", str(len(pads)), reason)
    if mode != "constant" and args["value"]:
        reason = f'`value` is what the mode "constant" pads with, and the mode is "{mode}"'
        return Reject("value", "left out", str(args["value"]), reason)
    return parts.dtype_in(x, DTYPES[mode]) or unheld(args["value"], x) or padded(mode, x, pads, "pad")


def unheld(value: object, x: TensorType) -> Reject | None:
    """Refuses a constant outside of what the input's dtype holds."""
    low, high = HELD.get(x.dtype, (-inf, inf))
    special = isinstance(value, float) and value - value != 0  # infinite or NaN, which floating-point numbers can be
    if not isinstance(value, int | float) or (special and "float" in x.dtype):
        return None
    if not special and low <= value and int(value) <= high:  # torch cuts off what is behind the point
        return None
    reason = f"the input is {x.dtype}, which can't hold the value {value}"
    return Reject("value", f"{low} to {high}", str(value), reason)


def _function(n: int, family: str) -> Function:
    mode = MODES[family]
    extra = () if mode == "constant" else (f'mode="{mode}"',)
    return Function("F.pad", extra=extra, keywords={"value": "value"}, spread={"padding": 2 * n})


LAYERS = {
    f"{family}Pad{n}d": Rule(partial(_layer_shape, n, mode), function=_function(n, family))
    for family, mode in MODES.items()
    for n in (1, 2, 3)
}
FUNCTIONS = {"pad": Rule(_pad_shape)}
