"""How the loss of a whole set follows from the losses of its batches.

In: a loss as an expression of outputs, inputs and labels. Out: "mean" (that of the set is the mean of those of the
batches, weighted by samples), "sum" (it is their sum), "whole" (it has to be computed of all samples at once) or
"mixed" (it hangs on the size of the batch). Guarantees: "mean" and "sum" are exact.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc.catalog.loss_facts import scale

if TYPE_CHECKING:
    from collections.abc import Mapping

# Functions that act on each sample by itself.
_EACH = frozenset(
    "exp log log1p expm1 sqrt rsqrt square pow abs neg sigmoid tanh relu softplus clamp reciprocal sign sin cos erf "
    "logsigmoid flatten mul add sub div where detach softmax log_softmax logsumexp norm cosine_similarity "
    "pairwise_distance normalize one_hot".split()
)
_OVER_AXIS = frozenset("softmax log_softmax logsumexp norm normalize".split())  # of `dim`, which may be the batch
_OVER = {"mean": "mean", "sum": "sum"}


def scale_of(expr: ir.Expr, losses: Mapping[str, ir.Call]) -> str:
    """The scale of a loss that is one number."""
    found = _kind(expr, losses)
    return found if found in ("mean", "sum", "mixed") else "whole"


def _kind(expr: ir.Expr, losses: Mapping[str, ir.Call]) -> str:
    """What an expression is: "constant", "count" (of samples), "sample" (a value or more for each), or a scale."""
    if isinstance(expr, ir.Var):
        return "sample"
    if isinstance(expr, ir.Value):
        return "count" if re.fullmatch(r"ꞏ\w+ꞏ\.shape\[0\]", expr.code) else "constant"
    if isinstance(expr, ir.Operation):
        left = "constant" if expr.left is None else _kind(expr.left, losses)
        right = _kind(expr.right, losses)
        return right if expr.left is None else _operation(expr.op, left, right)
    if isinstance(expr, ir.Item):
        first = expr.subscripts[0]
        every = isinstance(first, ir.Value) and first.code in (":", "...")
        return "sample" if every and _kind(expr.value, losses) == "sample" else "whole"
    return _function(expr, losses) if isinstance(expr, ir.Function) else "whole"


def _operation(op: str, left: str, right: str) -> str:
    kinds = {left, right}
    if "mixed" in kinds:
        return "mixed"
    if kinds <= {"constant"}:
        return "constant"
    if op in ("+", "-"):
        return _added(kinds)
    if op in ("*", "/") and right in ("constant", "count"):
        if right == "count":
            return "mean" if left == "sum" and op == "/" else "whole"
        return left
    if op == "*" and left == "constant":
        return right
    return "sample" if kinds <= {"sample", "constant"} else "whole"


def _added(kinds: set[str]) -> str:
    if kinds == {"mean", "sum"}:
        return "mixed"
    kinds = kinds - {"constant"} if kinds != {"sum", "constant"} else kinds
    return next(iter(kinds)) if len(kinds) == 1 else "whole"


def _function(expr: ir.Function, losses: Mapping[str, ir.Call]) -> str:
    name = expr.callee.rpartition(".")[2]
    arguments = [(n, _kind(a, losses), a) for n, a in expr.arguments]
    if expr.callee in losses:
        call = losses[expr.callee]
        if call.entry.home.startswith("python:"):
            return "whole"
        own = scale(call.name, {p.name: call.get(p.name) for p in call.entry.params})
        if own == "none":
            own = "sample"
        return own if own != "weighted" and all(kind == "sample" for _, kind, _ in arguments) else "whole"
    if not arguments or any(kind not in ("sample", "constant") for _, kind, _ in arguments):
        return arguments[0][1] if name in _OVER and len(arguments) == 1 else "whole"
    if name in _OVER or name in _OVER_AXIS:
        axes = _axes(arguments[1:])
        if axes is None:
            return _OVER.get(name, "whole")
        return "sample" if 0 not in axes and -_rank(arguments[0][2]) not in axes else "whole"
    return "sample" if name in _EACH else "whole"


def _axes(arguments: list[tuple[str | None, str, ir.Expr]]) -> list[int] | None:
    """The axes that a function goes over; None where it goes over all."""
    for name, _, value in arguments:
        if name in (None, "dim") and isinstance(value, ir.Value):
            return [int(n) for n in re.findall(r"-?\d+", value.code)] or None
    return None


def _rank(expr: ir.Expr) -> int:
    type_: Any = getattr(expr, "type", None)
    return len(type_.shape) if type_ is not None else 0
