"""Max, average, power-average and adaptive pools in one to three dimensions, as layers and as functions.

In: arguments and the type of the input. Out: shapes, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU, `ceil_mode` included.
Leaves to others: indices of maxima, which no rule passes on yet, and fractional pools, which have no rule.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, at_most, less

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

_AVERAGED = parts.FLOATS | {"int64"}
DTYPES = {
    "MaxPool1d": parts.FLOATS, "MaxPool2d": parts.NUMBERS, "MaxPool3d": parts.NUMBERS,
    "AvgPool1d": _AVERAGED, "AvgPool2d": _AVERAGED, "AvgPool3d": _AVERAGED - parts.HALVES,
    "LPPool1d": parts.ALL, "LPPool2d": parts.ALL, "LPPool3d": parts.ALL - parts.HALVES,
}  # fmt: skip


def _shape(n: int, family: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    stride = "kernel_size" if args["stride"] is None else "stride"
    problem = (
        parts.spatial(x, n)
        or parts.dtype_in(x, DTYPES[f"{family}{n}d"])
        or parts.at_least(args, 1, "kernel_size", stride, *(("dilation",) if "dilation" in args else ()))
        or _options(args)
    )
    if problem:
        return problem
    nothing = (0,) * n
    paddings = parts.spread(args["padding"], n) if "padding" in args else nothing
    dilations = parts.spread(args["dilation"], n) if "dilation" in args else (1,) * n
    sizes: list[Dim] = []
    options = (parts.spread(args["kernel_size"], n), parts.spread(args[stride], n), paddings, dilations)
    for axis, k, s, p, d in zip(parts.axes(x, n), *options, strict=True):
        if family != "MaxPool" and n == 3 and less(axis.size, k):  # torch measures averages in 3-d without the padding
            return _too_large(axis, k, axis.size, k)
        size = _window(axis, k, s, p, d, bool(args["ceil_mode"]))
        if isinstance(size, Reject):
            return size
        sizes.append(size)
    dtype = "float32" if family == "LPPool" and x.dtype not in parts.FLOATS else x.dtype
    return TensorType((*x.shape[:2], *sizes), dtype)


def _options(args: Args) -> Reject | None:
    if args.get("return_indices"):
        return Reject("return_indices", "False", "True", "I can't pass on the indices of the maxima yet")
    if args.get("divisor_override") == 0:
        return Reject("divisor_override", "a number other than 0", "0", "`divisor_override` is 0, which I'd divide by")
    if args.get("norm_type") == 0:
        return Reject("norm_type", "a number other than 0", "0", "`norm_type` is 0, and I take the root of that degree")
    return None


def _window(axis: parts.Axis, k: Dim, s: Dim, p: Dim, d: Dim, ceil_mode: bool) -> Dim | Reject:
    reach = d * (k - 1) + 1
    if less(p, 0) or less(k // 2, p):
        reason = f"the padding ({p}) must be between 0 and half of the kernel ({k // 2})"
        return Reject("padding", f"at most {k // 2}", str(p), reason)
    room = axis.size + 2 * p - reach
    steps = room // s
    if ceil_mode:  # one more window for a rest, unless it would begin behind the input: floor is monotonous
        behind = axis.size + p - 1
        steps = (room + s - 1 if at_most(room + s - 1, behind) else behind) // s
    if less(steps, 0):
        return _too_large(axis, reach, axis.size + 2 * p, k)
    return steps + 1


def _too_large(axis: parts.Axis, reach: Dim, room: Dim, kernel: Dim) -> Reject:
    padded = "padded input" if room != axis.size else "input"
    reason = f"the kernel ({reach}) is larger than the {padded} ({room}) in {axis.name}"
    return Reject("kernel_size", f"at most {room}", str(kernel), reason)


def _adaptive_shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.spatial(x, n) or parts.dtype_in(x, parts.FLOATS) or _options(args)
    if problem:
        return problem
    wanted = args["output_size"]
    if wanted is None:
        reason = "`output_size` is None, which may stand for one axis only, as in (None, 1)"
        return Reject("output_size", "a size", "None", reason)
    given: tuple[Dim | None, ...] = tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,) * n  # type: ignore[assignment]
    if any(g is not None and less(g, 0) for g in given):
        return Reject(
            "output_size", "0 or more", str(wanted), f"`output_size` is {wanted}, and a size can't be negative"
        )
    sizes = (old if new is None else new for old, new in zip(x.shape[2:], given, strict=True))
    return TensorType((*x.shape[:2], *sizes), x.dtype)


def _rules(n: int) -> dict[str, Rule]:
    windows = {f: partial(_shape, n, f) for f in ("MaxPool", "AvgPool", "LPPool")}
    adaptive = {f: partial(_adaptive_shape, n) for f in ("AdaptiveAvgPool", "AdaptiveMaxPool")}
    names = {"MaxPool": "max_pool", "AvgPool": "avg_pool", "LPPool": "lp_pool"}
    names |= {"AdaptiveAvgPool": "adaptive_avg_pool", "AdaptiveMaxPool": "adaptive_max_pool"}
    shapes = windows | adaptive
    return {f: Rule(shapes[f], function=Function(f"F.{names[f]}{n}d")) for f in shapes}


LAYERS = {f"{family}{n}d": rule for n in (1, 2, 3) for family, rule in _rules(n).items()}
FUNCTIONS = {rule.function.callee[2:]: rule for rule in LAYERS.values() if rule.function}


def _power_function(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    """The function keeps whole numbers with a whole `norm_type`, which then meet the average's dtypes; bools count."""
    problem = None
    if isinstance(args["norm_type"], int):
        problem = parts.spatial(inputs[0], n) or parts.dtype_in(inputs[0], DTYPES[f"AvgPool{n}d"] | {"bool"})
    return problem or _shape(n, "LPPool", args, inputs)


for _n in (1, 2, 3):
    FUNCTIONS[f"lp_pool{_n}d"] = LAYERS[f"LPPool{_n}d"]._replace(shape=partial(_power_function, _n))
