"""The way back from a max pool: MaxUnpool puts each value where the maximum was, and 0 elsewhere.

In: arguments and the types of the values and of the indices that the pool gave. Out: shapes, or a refusal's reason.
Guarantees: the sizes and the refusals of torch on the CPU; the input always has its batch axis.
Leaves to others: indices that point outside of the result, which only the run can find.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Param, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, less, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs


def _shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    if len(inputs) != 2:
        reason = f"I take the values and the indices of a max pool, and {parts.plural(len(inputs), 'tensor')} arrive"
        return Reject(None, "2 inputs", str(len(inputs)), reason)
    x, indices = inputs
    problem = parts.spatial(x, n) or _indices_fit(x, indices)
    if n == 3:
        problem = problem or parts.at_least(args, 1, "kernel_size" if args["stride"] is None else "stride")
    sizes = problem or _sizes(n, args, x)
    if isinstance(sizes, Reject):
        return sizes
    return parts.dtype_in(x, parts.FLOATS) or x._replace(shape=(*x.shape[:2], *sizes))


def _indices_fit(x: TensorType, indices: TensorType) -> Reject | None:
    pairs = zip(x.shape, indices.shape, strict=False)
    if len(x.shape) != len(indices.shape) or any(same(a, b) is False for a, b in pairs) or indices.dtype != "int64":
        expected = x._replace(dtype="int64")
        return Reject(None, str(expected), str(indices), f"the indices must be {expected}, and are {indices}")
    return None


def _sizes(n: int, args: Args, x: TensorType) -> tuple[Dim, ...] | Reject:
    stride = "kernel_size" if args["stride"] is None else "stride"
    options = [parts.spread(args[name], n) for name in ("kernel_size", stride, "padding")]
    usual = [(a.size - 1) * s + k - 2 * p for a, k, s, p in zip(parts.axes(x, n), *options, strict=True)]
    given = args["output_size"]
    wanted = usual if given is None else list(parts.dims(given))
    if len(wanted) == n + 2:  # a whole shape, of which the batch and the channels aren't looked at
        wanted = wanted[2:]
    if len(wanted) != n:
        reason = f"`output_size` has {parts.plural(len(wanted), 'size')} for {n} axes"
        return Reject("output_size", parts.plural(n, "size"), str(len(wanted)), reason)
    for axis, size, middle, s in zip(parts.axes(x, n), wanted, usual, options[1], strict=True):
        if given is not None and (not _may_exceed(size, middle - s) or not _may_exceed(middle + s, size)):
            reason = f"`output_size` is {size} in {axis.name}, and must be between {middle - s} and {middle + s}"
            return Reject("output_size", f"between {middle - s} and {middle + s}", str(size), reason)
        if less(size, 1):
            return Reject("padding", "less", str(args["padding"]), f"nothing is left of the result in {axis.name}")
    return tuple(wanted)


def _may_exceed(a: Dim, b: Dim) -> bool:
    return less(b, a) is not False


def _rule(n: int) -> Rule:
    forward = (Param("output_size", "ints|None", None),)
    return Rule(partial(_shape, n), function=Function(f"F.max_unpool{n}d"), forward=forward)


LAYERS = {f"MaxUnpool{n}d": _rule(n) for n in (1, 2, 3)}
FUNCTIONS = {f"max_unpool{n}d": LAYERS[f"MaxUnpool{n}d"]._replace(forward=()) for n in (1, 2, 3)}
