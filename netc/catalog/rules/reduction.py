"""Functions that reduce axes, or work along one of them: mean, sum, argmax, cumsum, topk …

In: arguments and the type of the input. Out: shapes and dtypes, or the reason of a refusal.
Guarantees: the sizes, dtypes and refusals of torch on the CPU.
Leaves to others: losses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.reshaping import axes
from netc.shapes import Reject, TensorType, less

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Args, Inputs, Result

# Each function: the dtypes it takes, and what becomes of a whole number: kept, "int64", "float32" or "bool".
_REDUCTIONS: dict[str, tuple[frozenset[str], str]] = {
    "mean": (parts.FLOATS, ""),
    "sum": (parts.ALL, "int64"),
    "prod": (parts.ALL, "int64"),
    "amax": (parts.ALL, ""),
    "amin": (parts.ALL, ""),
    "std": (parts.FLOATS, ""),
    "var": (parts.FLOATS, ""),
    "norm": (parts.FLOATS, ""),
    "nansum": (parts.ALL, "int64"),
    "nanmean": (parts.FLOATS, ""),
    "count_nonzero": (parts.ALL, "index"),
    "logsumexp": (parts.ALL, "float32"),
    "all": (parts.ALL, "bool"),
    "any": (parts.ALL, "bool"),
    "argmax": (parts.NUMBERS, "index"),
    "argmin": (parts.NUMBERS, "index"),
}
# Those that give values and indices where they are told an axis.
_PAIRS = {"max": parts.ALL, "min": parts.ALL, "median": parts.NUMBERS}


def _dtype(x: TensorType, change: str, wanted: object) -> str:
    if wanted is not None:
        return str(wanted)
    if change == "index":
        return "int64"
    if change == "bool":
        return "uint8" if x.dtype == "uint8" else "bool"
    return x.dtype if x.dtype in parts.FLOATS or not change else change


def _reduced(x: TensorType, found: list[int], keepdim: bool) -> TensorType:
    if keepdim:
        return x._replace(shape=tuple(1 if i in found else s for i, s in enumerate(x.shape)))
    return x._replace(shape=tuple(s for i, s in enumerate(x.shape) if i not in found))


def _reduce(allowed: frozenset[str], change: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    x, wanted = inputs[0], args.get("dtype")
    problem = parts.dtype_in(x if wanted is None else x._replace(dtype=str(wanted)), allowed)
    dim = args["dim"]
    found = list(range(len(x.shape))) if dim is None or dim == () else axes(x, dim, "dim")
    if problem or isinstance(found, Reject):
        return problem or found  # type: ignore[return-value]
    return _reduced(x, found, bool(args.get("keepdim")))._replace(dtype=_dtype(x, change, wanted))


def _pair(allowed: frozenset[str], args: Args, inputs: Inputs) -> Result:
    x, dim = inputs[0], args["dim"]
    problem = parts.dtype_in(x, allowed)
    if dim is None and args["keepdim"]:
        return Reject("keepdim", "left out", "True", "without `dim` there is no axis to keep")
    if dim is None:
        return problem or x._replace(shape=())
    found = axes(x, dim, "dim")
    if problem or isinstance(found, Reject):
        return problem or found  # type: ignore[return-value]
    values = _reduced(x, found, bool(args["keepdim"]))
    return values, values._replace(dtype="int64")


def _along(args: Args, inputs: Inputs) -> TensorType | Reject:
    """cumsum, cumprod: the shape stays."""
    x, wanted = inputs[0], args["dtype"]
    found = axes(x, args["dim"], "dim")
    return found if isinstance(found, Reject) else x._replace(dtype=_dtype(x, "int64", wanted))


def _sort(args: Args, inputs: Inputs) -> Result:
    x = inputs[0]
    found = axes(x, args["dim"], "dim")
    return found if isinstance(found, Reject) else (x, x._replace(dtype="int64"))


def _argsort(args: Args, inputs: Inputs) -> Result:
    result = _sort(args, inputs)
    return result if isinstance(result, Reject) else result[1]  # type: ignore[return-value]


def _topk(args: Args, inputs: Inputs) -> Result:
    x, k = inputs[0], parts.size(args, "k")
    axis = parts.wrapped(parts.size(args, "dim"), max(len(x.shape), 1))
    problem = parts.dtype_in(x, parts.NUMBERS) or parts.at_least(args, 0, "k")
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    whole = x.shape[axis] if x.shape else 1
    if less(whole, k):
        return Reject("k", f"at most {whole}", str(k), f"`k` is {k}, and axis {axis} has only {whole}")
    values = x._replace(shape=(*x.shape[:axis], k, *x.shape[axis + 1 :])) if x.shape else x
    return values, values._replace(dtype="int64")


def _statistics(args: Args, inputs: Inputs) -> Result:
    """std_mean, var_mean: two results of one shape."""
    result = _reduce(parts.FLOATS, "", args, inputs)
    return result if isinstance(result, Reject) else (result, result)


def _extreme(allowed: frozenset[str], change: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    """amax, argmax …: nothing has no greatest element."""
    x, result = inputs[0], _reduce(allowed, change, args, inputs)
    if isinstance(result, Reject) or 0 not in x.shape:
        return result
    found = range(len(x.shape)) if args["dim"] in (None, ()) else axes(x, args["dim"], "dim")
    assert not isinstance(found, Reject)
    if any(x.shape[i] == 0 for i in found) and 0 not in result.shape:
        return Reject("dim", "an axis with elements", "0", "there is no extreme of no elements")
    return result


def _extremes(args: Args, inputs: Inputs) -> Result:
    result = _extreme(parts.ALL, "", args, inputs)
    return result if isinstance(result, Reject) else (result, result)


def _picked(args: Args, inputs: Inputs) -> Result:
    """kthvalue, mode: the values and where they stand."""
    x = inputs[0]
    found = axes(x, args["dim"], "dim")
    problem = parts.dtype_in(x, parts.ALL if "k" not in args else parts.NUMBERS)
    if problem or isinstance(found, Reject):
        return problem or found  # type: ignore[return-value]
    whole = x.shape[found[0]] if x.shape else 1
    if "k" in args and (less(parts.size(args, "k"), 1) or less(whole, parts.size(args, "k"))):
        return Reject("k", f"1 to {whole}", str(args["k"]), f"`k` is {args['k']}, and axis {found[0]} has {whole}")
    values = _reduced(x, found, bool(args["keepdim"]))
    return values, values._replace(dtype="int64")


def _running(args: Args, inputs: Inputs) -> Result:
    """cummax, cummin: the values and where they stand."""
    x = inputs[0]
    found = axes(x, args["dim"], "dim")
    return found if isinstance(found, Reject) else (x, x._replace(dtype="int64"))


def _running_sum(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    found = axes(x, args["dim"], "dim")
    return found if isinstance(found, Reject) else parts.dtype_in(x, parts.FLOATS) or x


_METHODS = {"mean", "sum", "prod", "amax", "amin", "std", "var", "argmax", "argmin", "max", "min"}


def _rules(name: str) -> Callable[[frozenset[str], str, Args, Inputs], TensorType | Reject]:
    return _extreme if name in ("amax", "amin", "argmax", "argmin") else _reduce


def _callee(name: str) -> Function:
    return Function(f".{name}" if name in _METHODS else f"torch.{name}")


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    **{n: Rule(partial(_rules(n), dtypes, change), function=_callee(n)) for n, (dtypes, change) in _REDUCTIONS.items()},
    **{n: Rule(partial(_pair, dtypes), function=_callee(n)) for n, dtypes in _PAIRS.items()},
    "cumsum": Rule(_along, function=Function(".cumsum")),
    "cumprod": Rule(_along, function=Function(".cumprod")),
    "logcumsumexp": Rule(_running_sum, function=Function("torch.logcumsumexp")),
    "cummax": Rule(_running, function=Function("torch.cummax")),
    "cummin": Rule(_running, function=Function("torch.cummin")),
    "std_mean": Rule(_statistics, function=Function("torch.std_mean")),
    "var_mean": Rule(_statistics, function=Function("torch.var_mean")),
    "aminmax": Rule(_extremes, function=Function("torch.aminmax")),
    "kthvalue": Rule(_picked, function=Function("torch.kthvalue")),
    "mode": Rule(_picked, function=Function("torch.mode")),
    "sort": Rule(_sort, function=Function(".sort")),
    "argsort": Rule(_argsort, function=Function(".argsort")),
    "topk": Rule(_topk, function=Function(".topk")),
}
