"""Max, average, power-average, adaptive and fractional pools in one to three dimensions, as layers and as functions.

In: arguments and the type of the input. Out: shapes, with that of the maxima's indices where `return_indices` asks for
them, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU, `ceil_mode` included.
Leaves to others: the way back (`unpooling`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, at_most, less, scaled

if TYPE_CHECKING:
    from typing import Any

    from netc.catalog.entry import Args, Inputs, Result

_AVERAGED = parts.FLOATS | {"int64"}
DTYPES = {
    "MaxPool1d": parts.FLOATS, "MaxPool2d": parts.NUMBERS, "MaxPool3d": parts.NUMBERS,
    "AvgPool1d": _AVERAGED, "AvgPool2d": _AVERAGED, "AvgPool3d": _AVERAGED - parts.HALVES,
    "LPPool1d": parts.ALL, "LPPool2d": parts.ALL, "LPPool3d": parts.ALL - parts.HALVES,
}  # fmt: skip


def _shape(n: int, family: str, args: Args, inputs: Inputs) -> Result:
    x = inputs[0]
    stride = "kernel_size" if args["stride"] is None else "stride"
    problem = (
        parts.spatial(x, n)
        or parts.dtype_in(x, parts.NUMBERS if args.get("return_indices") else DTYPES[f"{family}{n}d"])
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
    return _with_indices(args, TensorType((*x.shape[:2], *sizes), dtype))


def _with_indices(args: Args, result: TensorType) -> Result:
    """The result of a max pool, and where in the input the maxima were, if that is asked for."""
    return (result, result._replace(dtype="int64")) if args.get("return_indices") else result


def _options(args: Args) -> Reject | None:
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
    steps = _rounded_up(room, s, axis.size + p - 1) if ceil_mode else room // s
    if less(steps, 0):
        return _too_large(axis, reach, axis.size + 2 * p, k)
    return steps + 1


def _rounded_up(room: Dim, stride: Dim, last: Dim) -> Dim:
    """One more step for a rest, unless its window would begin behind `last`: min((room + s - 1) // s, last // s).

    Where symbols leave open which is less, one formula says both: with a = room // s <= b = last // s, the quotient
    (2b - a) // (b + 1) is 0 for a == b and 1 otherwise.
    """
    fits = at_most(room + stride - 1, last)
    up, most = (room + stride - 1) // stride, last // stride
    if fits is not None:
        return up if fits else most
    down = room // stride
    return down + (up - down) * ((2 * most - down) // (most + 1))


def _too_large(axis: parts.Axis, reach: Dim, room: Dim, kernel: Dim) -> Reject:
    padded = "padded input" if room != axis.size else "input"
    reason = f"the kernel ({reach}) is larger than the {padded} ({room}) in {axis.name}"
    return Reject("kernel_size", f"at most {room}", str(kernel), reason)


def _adaptive_shape(n: int, args: Args, inputs: Inputs) -> Result:
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
    return _with_indices(args, TensorType((*x.shape[:2], *sizes), x.dtype))


def _fractional_shape(n: int, args: Args, inputs: Inputs) -> Result:
    x = inputs[0]
    sizes = parts.spatial(x, n) or parts.dtype_in(x, parts.FLOATS) or _wanted(n, args, x)
    if isinstance(sizes, Reject):
        return sizes
    problem = parts.at_least(args, 1, "kernel_size")
    for axis, k, size in zip(parts.axes(x, n), parts.spread(args["kernel_size"], n), sizes, strict=True):
        room = axis.size - size + (1 if n == 2 else 0)  # in 3-d torch wants one place more than there are windows
        if problem is None and less(room, k):
            reason = f"{size} windows of {k} don't fit into the input ({axis.size}) in {axis.name}"
            problem = Reject("kernel_size", f"at most {room}", str(k), reason)
    return problem or _with_indices(args, TensorType((*x.shape[:2], *sizes), x.dtype))


def _wanted(n: int, args: Args, x: TensorType) -> tuple[Dim, ...] | Reject:
    """The spatial sizes of the result, by one of the two arguments that tell them."""
    ratio = args["output_ratio"]
    if (args["output_size"] is None) == (ratio is None):
        got = "neither" if ratio is None else "both"
        return Reject("output_size", "`output_size` or `output_ratio`", got, f"I need one of the two, and have {got}")
    if ratio is None:
        return parts.at_least(args, 0, "output_size") or parts.spread(args["output_size"], n)
    factors: tuple[Any, ...] = tuple(ratio) if isinstance(ratio, tuple | list) else (ratio,) * n
    if len(factors) != n:
        expected = parts.plural(n, "number")
        reason = f"`output_ratio` has {parts.plural(len(factors), 'number')} for {n} axes"
        return Reject("output_ratio", expected, str(len(factors)), reason)
    for factor in factors:
        if not 0 < factor < 1:
            reason = f"`output_ratio` is {factor}, and must be between 0 and 1"
            return Reject("output_ratio", "between 0 and 1", str(factor), reason)
    return tuple(scaled(size, factor) for size, factor in zip(x.shape[2:], factors, strict=True))


def _fractional(n: int) -> Rule:
    """The function needs a ratio for each axis."""
    function = Function(f"F.fractional_max_pool{n}d", spread={"output_ratio": n})
    return Rule(partial(_fractional_shape, n), function=function)


def _rules(n: int) -> dict[str, Rule]:
    windows = {f: partial(_shape, n, f) for f in ("MaxPool", "AvgPool", "LPPool")}
    adaptive = {f: partial(_adaptive_shape, n) for f in ("AdaptiveAvgPool", "AdaptiveMaxPool")}
    names = {"MaxPool": "max_pool", "AvgPool": "avg_pool", "LPPool": "lp_pool"}
    names |= {"AdaptiveAvgPool": "adaptive_avg_pool", "AdaptiveMaxPool": "adaptive_max_pool"}
    shapes = windows | adaptive
    # In oneDNN's layout, the gradients of these two ask for a stride
    like = {f: {"stride": "kernel_size"} for f in ("MaxPool", "AvgPool") if n == 2}
    return {f: Rule(shapes[f], function=Function(f"F.{names[f]}{n}d", like=like.get(f, {}))) for f in shapes}


LAYERS = {f"{family}{n}d": rule for n in (1, 2, 3) for family, rule in _rules(n).items()}
FUNCTIONS = {rule.function.callee[2:]: rule for rule in LAYERS.values() if rule.function}
LAYERS |= {f"FractionalMaxPool{n}d": _fractional(n) for n in (2, 3)}


def _fractional_function(n: int, args: Args, inputs: Inputs) -> Result:
    ratio = args["output_ratio"]
    if isinstance(ratio, int | float):
        reason = f"`output_ratio` holds a number for each axis, such as [{', '.join([str(ratio)] * n)}]"
        return Reject("output_ratio", parts.plural(n, "number"), str(ratio), reason)
    return _fractional_shape(n, args, inputs)


FUNCTIONS |= {
    f"fractional_max_pool{n}d": Rule(partial(_fractional_function, n), function=Function(f"F.fractional_max_pool{n}d"))
    for n in (2, 3)
}


def _power_function(n: int, args: Args, inputs: Inputs) -> Result:
    """The function keeps whole numbers with a whole `norm_type`, which then meet the average's dtypes; bools count."""
    problem = None
    if isinstance(args["norm_type"], int):
        problem = parts.spatial(inputs[0], n) or parts.dtype_in(inputs[0], DTYPES[f"AvgPool{n}d"] | {"bool"})
    return problem or _shape(n, "LPPool", args, inputs)


for _n in (1, 2, 3):
    FUNCTIONS[f"lp_pool{_n}d"] = LAYERS[f"LPPool{_n}d"]._replace(shape=partial(_power_function, _n))
