"""What makes a tensor of numbers alone: arange, zeros, full, eye, linspace, rand, tensor …

In: sizes, values and a dtype's name. Out: the type of the tensor, or the reason of a refusal.
Guarantees: torch's lengths, computed in doubles where numbers aren't whole, and its dtypes; sizes may be symbolic.
Leaves to others: `zeros_like` and its kin (`elementwise`), and the device, which generated code names.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, Size, TensorType, at_most, less, same, scaled

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

REALS = parts.FLOATS | parts.COMPLEX  # what random numbers can be drawn as


def _wanted(args: Args, otherwise: str) -> str:
    return otherwise if args["dtype"] is None else str(args["dtype"])


def _number_dtype(*values: object) -> str:
    """The dtype that torch gives to numbers of Python."""
    if any(isinstance(v, float) for v in values):
        return "float32"
    return "bool" if all(isinstance(v, bool) for v in values) else "int64"


def _sized(allowed: frozenset[str] | None, args: Args, inputs: Inputs) -> TensorType | Reject:
    """zeros, ones, empty, rand, randn: the sizes are the arguments."""
    result = TensorType(parts.dims(args["size"]), _wanted(args, "float32"))
    problem = parts.at_least(args, 0, "size")
    if problem or allowed is None or result.dtype in allowed:
        return problem or result
    return Reject("dtype", "float32", result.dtype, f"random numbers can't be drawn as {result.dtype}")


def _full(args: Args, inputs: Inputs) -> TensorType | Reject:
    dtype = _wanted(args, _number_dtype(args["fill_value"]))
    return parts.at_least(args, 0, "size") or TensorType(parts.dims(args["size"]), dtype)


def _eye(args: Args, inputs: Inputs) -> TensorType | Reject:
    n, m = parts.size(args, "n"), args["m"]
    problem = parts.at_least(args, 0, "n") or (None if m is None else parts.at_least(args, 0, "m"))
    columns = n if m is None else parts.size(args, "m")
    return problem or TensorType((n, columns), _wanted(args, "float32"))


def _linspace(args: Args, inputs: Inputs) -> TensorType | Reject:
    result = TensorType((parts.size(args, "steps"),), _wanted(args, "float32"))
    if result.dtype == "bool":
        return Reject("dtype", "float32", "bool", "numbers in equal steps can't be bool")
    return parts.at_least(args, 0, "steps") or result


def _permutation(args: Args, inputs: Inputs) -> TensorType | Reject:
    return parts.at_least(args, 0, "n") or TensorType((parts.size(args, "n"),), "int64")


def _arange(args: Args, inputs: Inputs) -> TensorType | Reject:
    if args["end"] is None and args["step"] != 1:
        return Reject("end", "a number", "None", "a `step` needs both `start` and `end`")
    start, end, step = (0, args["start"], 1) if args["end"] is None else (args["start"], args["end"], args["step"])
    dtype = _wanted(args, _number_dtype(start, end, step, 0))
    if dtype == "bool" or dtype in parts.COMPLEX:
        return Reject("dtype", "int64", dtype, f"numbers in steps can't be {dtype}")
    values = (start, end, step)
    if dtype not in parts.FLOATS and not all(isinstance(v, Size) or v == int(v) for v in values):  # type: ignore[call-overload]
        return Reject("dtype", "float32", dtype, f"steps from {start} to {end} by {step} are no whole numbers")
    length = _steps(*values)
    return length if isinstance(length, Reject) else TensorType((length,), dtype)


def _steps(start: object, end: object, step: object) -> Dim | Reject:
    """How many numbers lie from start to end, the end left out."""
    if all(isinstance(v, int | Size) for v in (start, end, step)):
        return _whole_steps(start, end, step)  # type: ignore[arg-type]
    if not any(isinstance(v, Size) for v in (start, end, step)):
        a, b, by = float(start), float(end), float(step)  # type: ignore[arg-type]
        return _wrong_way(start, end, step, by == 0 or (b - a) * by < 0) or ceil((b - a) / by)
    if isinstance(start, int | Size) and isinstance(end, int | Size) and isinstance(step, float) and step > 0:
        per_step = 1 / step
        if per_step == int(per_step):
            return scaled(end - start, per_step)
    return Reject(
        "end", "whole numbers", str(end), f"how many steps of {step} lie from {start} to {end} isn't known yet"
    )


def _whole_steps(start: Dim, end: Dim, step: Dim) -> Dim | Reject:
    distance = end - start
    backwards = less(step, 0) if less(step, 0) or less(0, step) else None
    zero = same(step, 0) is True
    wrong = zero or (backwards is True and less(0, distance)) or (backwards is False and less(distance, 0))
    return _wrong_way(start, end, step, bool(wrong)) or _up(distance, step)


def _up(distance: Dim, step: Dim) -> Dim:
    """The distance divided by the step, rounded up."""
    if at_most(1, step):
        return (distance + step - 1) // step
    return -((-distance) // step)


def _wrong_way(start: object, end: object, step: object, wrong: bool) -> Reject | None:
    reason = f"steps of {step} don't lead from {start} to {end}"
    return Reject("step", "a step that leads to the end", str(step), reason) if wrong else None


def _tensor(args: Args, inputs: Inputs) -> TensorType | Reject:
    shape = _nested(args["data"])
    if isinstance(shape, Reject):
        return shape
    numbers = list(_flat(args["data"]))
    return TensorType(shape, _wanted(args, _number_dtype(*numbers) if numbers else "float32"))


def _nested(data: object) -> tuple[Dim, ...] | Reject:
    """The shape of lists in lists of numbers."""
    if isinstance(data, int | float | Size):
        return ()
    if not isinstance(data, list | tuple) or isinstance(data, TensorType):
        return Reject("data", "numbers, or lists of numbers", str(data), f"a tensor is made of numbers, not of {data}")
    rows = [_nested(row) for row in data]
    for row in rows:
        if isinstance(row, Reject):
            return row
        if row != rows[0]:
            return Reject("data", "rows of one length", str(data), f"the rows of {data} differ in length")
    first = rows[0] if rows else ()
    assert not isinstance(first, Reject)
    return (len(rows), *first)


def _flat(data: object) -> list[object]:
    return [x for row in data for x in _flat(row)] if isinstance(data, list | tuple) else [data]


def _rule(name: str, allowed: frozenset[str] | None = None) -> Rule:
    return Rule(partial(_sized, allowed), function=Function(f"torch.{name}"))


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    **{name: _rule(name) for name in ("zeros", "ones", "empty")},
    "rand": _rule("rand", REALS),
    "randn": _rule("randn", REALS),
    "full": Rule(_full, function=Function("torch.full")),
    "eye": Rule(_eye, function=Function("torch.eye")),
    "arange": Rule(_arange, function=Function("torch.arange")),
    "linspace": Rule(_linspace, function=Function("torch.linspace")),
    "randperm": Rule(_permutation, function=Function("torch.randperm")),
    "tensor": Rule(_tensor, function=Function("torch.tensor")),
}
