"""Convolutions and transposed convolutions in one to three dimensions.

In: arguments and the type of the input. Out: shapes, parameters, multiply-adds, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU; the input always has its batch axis.
Leaves to others: pooling, whose windows count differently.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Rule
from netc.catalog.rules import parts
from netc.catalog.rules.padding import padded
from netc.shapes import Dim, Reject, TensorType, less, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

MODES = ("zeros", "reflect", "replicate", "circular")


def _checked(n: int, args: Args, x: TensorType) -> Reject | None:
    mode = args["padding_mode"]
    if mode not in MODES:
        return Reject("padding_mode", ", ".join(MODES), str(mode), f"there is no padding mode {mode!r}")
    return (
        parts.spatial(x, n)
        or parts.dtype_in(x, parts.WEIGHTS)
        or parts.at_least(args, 1, "out_channels", "kernel_size", "stride", "dilation", "groups")
        or parts.divides(args, "groups", parts.size(args, "in_channels"), "input channels")
        or parts.divides(args, "groups", parts.size(args, "out_channels"), "output channels")
    )


def _pads(n: int, args: Args) -> list[tuple[Dim, Dim]] | Reject:
    """The padding before and after, for each axis."""
    padding = args["padding"]
    if not isinstance(padding, str):
        return [(p, p) for p in parts.spread(padding, n)]
    if padding == "valid":
        return [(0, 0)] * n
    if padding != "same":
        expected = 'a number, "same" or "valid"'
        return Reject("padding", expected, repr(padding), f"`padding` must be {expected}, not {padding!r}")
    strides = parts.spread(args["stride"], n)
    if any(same(s, 1) is False for s in strides):
        return Reject(
            "padding", "a number", "'same'", f'"same" padding needs a stride of 1, and `stride` is {strides[0]}'
        )
    kernels, dilations = parts.spread(args["kernel_size"], n), parts.spread(args["dilation"], n)
    totals = [d * (k - 1) for k, d in zip(kernels, dilations, strict=True)]
    return [(t // 2, t - t // 2) for t in totals]


def _room(args: Args, x: TensorType, pads: list[tuple[Dim, Dim]]) -> tuple[Dim, ...] | Reject:
    """The spatial sizes of the padded input. Modes other than zeros are a layer of their own, which may also crop."""
    mode = str(args["padding_mode"])
    if mode == "zeros":
        negative = None if isinstance(args["padding"], str) else parts.at_least(args, 0, "padding")
        return negative or tuple(size + a + b for size, (a, b) in zip(x.shape[2:], pads, strict=True))
    result = padded(mode, x, tuple(p for pair in reversed(pads) for p in pair), "padding")
    return result if isinstance(result, Reject) else result.shape[2:]


def _shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = _checked(n, args, x)
    pads = problem or _pads(n, args)
    rooms = pads if isinstance(pads, Reject) else _room(args, x, pads)
    if isinstance(rooms, Reject):
        return rooms
    sizes: list[Dim] = []
    options = (parts.spread(args[name], n) for name in ("kernel_size", "stride", "dilation"))
    for axis, room, k, s, d in zip(parts.axes(x, n), rooms, *options, strict=True):
        reach = d * (k - 1) + 1
        if less(room, reach):
            return _too_large(axis, room, k, d)
        sizes.append((room - reach) // s + 1)
    return TensorType((x.shape[0], parts.size(args, "out_channels"), *sizes), x.dtype)


def _too_large(axis: parts.Axis, room: Dim, kernel: Dim, dilation: Dim) -> Reject:
    padded = "padded input" if room != axis.size else "input"
    reach = f"({kernel})" if dilation == 1 else f"({kernel}, reaching over {dilation * (kernel - 1) + 1} when dilated)"
    reason = f"the kernel {reach} is larger than the {padded} ({room}) in {axis.name}"
    return Reject("kernel_size", f"at most {room}", str(kernel), reason)


def _transposed_shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = _checked(n, args, x) or parts.at_least(args, 0, "padding", "output_padding") or _only_zeros(args)
    if problem:
        return problem
    sizes: list[Dim] = []
    names = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    for axis, k, s, p, extra, d in zip(parts.axes(x, n), *(parts.spread(args[m], n) for m in names), strict=True):
        if less(extra, s) is False and less(extra, d) is False:
            return Reject(
                "output_padding", f"less than {s}", str(extra), f"`output_padding` ({extra}) must be smaller than "
                f"the stride ({s}) or the dilation ({d})",
            )  # fmt: skip
        size = (axis.size - 1) * s - 2 * p + d * (k - 1) + extra + 1
        if less(size, 1):  # some of torch's backends take an empty result, others don't
            return Reject("padding", "less", str(p), f"a padding of {p} leaves nothing of the result in {axis.name}")
        sizes.append(size)
    return TensorType((x.shape[0], parts.size(args, "out_channels"), *sizes), x.dtype)


def _only_zeros(args: Args) -> Reject | None:
    mode = args["padding_mode"]
    if mode == "zeros":
        return None
    return Reject(
        "padding_mode", "'zeros'", repr(mode), f'a transposed convolution pads with "zeros" only, not {mode!r}'
    )


def _state(n: int, transposed: bool, args: Args) -> dict[str, tuple[Dim, ...]]:
    before, after = parts.size(args, "in_channels"), parts.size(args, "out_channels")
    groups = parts.size(args, "groups")
    channels = (before, after // groups) if transposed else (after, before // groups)
    state = {"weight": (*channels, *parts.spread(args["kernel_size"], n))}
    return {**state, "bias": (after,)} if args["bias"] else state


def _macs(n: int, transposed: bool, args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """Each element of the result, or of the input where transposed, meets one filter of its group."""
    weight = _state(n, transposed, args)["weight"]
    return product(inputs[0].shape if transposed else result.shape) * product(weight[1:])


def _rule(n: int, transposed: bool) -> Rule:
    return Rule(
        shape=partial(_transposed_shape if transposed else _shape, n),
        infers={"in_channels": parts.channels("in_channels", n)},
        state=partial(_state, n, transposed),
        macs=partial(_macs, n, transposed),
    )


LAYERS = {f"Conv{n}d": _rule(n, False) for n in (1, 2, 3)} | {f"ConvTranspose{n}d": _rule(n, True) for n in (1, 2, 3)}
FUNCTIONS: dict[str, Rule] = {}
