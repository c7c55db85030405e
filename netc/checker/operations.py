"""Arithmetic with tensors, comparison of tensors, and indexing.

In: the checker of a network and an expression, with the values of its parts. Out: the tensor that it gives, or `ERROR`
with the reason in the report. Guarantees: torch's shapes and rejections. Leaves numbers alone to `arithmetic`, and
functions that are called to `functions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import sources
from netc.checker.expressions import ERROR, kind_of
from netc.checker.functions import as_expr
from netc.checker.values import LayerRef, Made, Tensor, TensorTuple
from netc.diagnostics import Label, suggestion
from netc.limits import ROW, spend
from netc.shapes import Reject, Size

if TYPE_CHECKING:
    from netc.checker.body import Body


def binary(c: Body, expr: s.Binary, left: Any, right: Any) -> Any:
    """Arithmetic of two tensors, or of a tensor and a number."""
    from netc.catalog.rules.arithmetic import binary as rule

    return _operation(c, expr, expr.op, (expr.left, left), (expr.right, right), rule)


def compare(c: Body, expr: s.Compare, values: list[Any]) -> Any:
    """A comparison of two tensors, or of a tensor and a number: a tensor of truth values."""
    from netc.catalog.rules.arithmetic import compare as rule

    if any(value is ERROR for value in values):
        return ERROR
    if len(values) != 2 or expr.ops[0] not in ("<", "<=", ">", ">=", "==", "!="):
        return c.fail(expr.span, "tensors are compared two at a time, with `<`, `<=`, `>`, `>=`, `==` or `!=`")
    return _operation(c, expr, expr.ops[0], (expr.operands[0], values[0]), (expr.operands[1], values[1]), rule)


def _operation(
    c: Body, expr: s.Binary | s.Compare, op: str, left: tuple[s.Expr, Any], right: tuple[s.Expr, Any], rule: Any
) -> Any:
    sides = (left, right)
    if any(value is ERROR for _, value in sides):
        return ERROR
    for e, side in sides:
        if not isinstance(side, (Tensor, int, float, Size)) or isinstance(side, bool):
            if isinstance(side, LayerRef):
                return c.no_value(e, side)
            return c.fail(e.span, f"`{op}` can't be done with a tensor and {kind_of(side)}")
    from netc.checker.general_shapes import shape

    operands = tuple(side.type if isinstance(side, Tensor) else side for _, side in sides)
    result = shape(c, lambda args, _: rule(op, *args["operands"]), {"operands": operands}, ())
    if isinstance(result, Reject):
        labels = []
        for e, side in sides:
            if isinstance(side, Tensor):
                labels.append(Label(e.span, str(side.type).replace("$", "")))
        from netc.checker import trail

        reason = result.reason.replace("$", "")
        labels += trail.of_both(c, [(e, side) for e, side in sides if isinstance(side, Tensor)], labels, expr.span)
        c.report.add("E0406", f"`{op}`: {reason}", expr.span, secondary=labels)
        return ERROR
    spend(ROW)
    constant = all(t.constant for _, t in sides if isinstance(t, Tensor))
    if c.rec is None and not constant:
        came = {"": tuple(t.source for _, t in sides if isinstance(t, Tensor))}
        c.rows.append(ir.Row("", op, result, 0, expr.span, {"operands": operands}, came))
    (le, lv), (re_, rv) = sides
    made = ir.Operation(op, _operand(c, lv, le), _operand(c, rv, re_), result, expr.span)
    return Tensor(made, result, Made(op, expr.span), constant, None if constant else sources.last(c))


def _operand(c: Body, value: Any, expr: s.Expr) -> ir.Expr:
    return value.expr if isinstance(value, Tensor) else ir.Value(c.forward_code(expr, value))


def index(c: Body, expr: s.Index, value: Any) -> Any:
    """`x[:, 0]`: a part of a tensor, with torch's indexing; `parts[0]`: one of several values."""
    from netc.catalog.rules.indexing import index as rule
    from netc.checker.general_shapes import shape

    if isinstance(value, TensorTuple):
        return _one_of(c, expr, value)
    found = [_subscript(c, item) for item in expr.subscripts]
    if any(part is ERROR for part in found):
        return ERROR
    subscripts = tuple(part[0] for part in found)
    picked = [part[2] for part in found if part[2] is not None]
    result = shape(c, lambda args, types: rule(types[0], args["subscripts"]), {"subscripts": subscripts},
                   (value.type,))  # fmt: skip
    if isinstance(result, Reject):
        c.report.add(
            "E0404", f"indexing: {result.reason}".replace("$", ""), expr.span,
            secondary=[Label(value.made.span, f"gives {value.type}".replace("$", ""))] if value.made else (),
        )  # fmt: skip
        return ERROR
    spend(ROW)
    constant = value.constant and all(t.constant for t in picked)
    if c.rec is None and not constant:
        came = {"": (value.source, *(t.source for t in picked))}
        c.rows.append(ir.Row("", "index", result, 0, expr.span, {"subscripts": subscripts}, came))
    source = None if constant else sources.last(c)
    item = ir.Item(value.expr, tuple(part[1] for part in found), result)
    return Tensor(item, result, Made("index", expr.span), constant, source)


def _one_of(c: Body, expr: s.Index, value: TensorTuple) -> Any:
    """One of several values, by its position or its name."""
    (subscript, *more) = expr.subscripts
    at = None if isinstance(subscript, (s.Slice, s.Dots)) else c.evaluate(subscript)
    if at is ERROR:
        return ERROR
    if value.names:
        if at in value.names and not more:
            return value.items[value.names.index(at)]
        keys = ", ".join(f'"{n}"' for n in value.names)
        return c.fail(expr.span, f"this is a dictionary with the keys {keys}", suggestion(str(at), value.names))
    position = at if c.rec is None else c.rec.witness(at)
    if more or type(position) is not int or not -len(value.items) <= position < len(value.items):
        return c.fail(expr.span, f"these are {len(value.items)} values; their index is 0 to {len(value.items) - 1}")
    item = value.items[position]
    if c.rec is None or isinstance(subscript, (s.Slice, s.Dots)) or not c.depends(subscript):
        return item
    return _by_turn(c, value, item, ir.Value(c.forward_code(subscript, at)))


def _by_turn(c: Body, value: TensorTuple, item: Any, at: ir.Expr) -> Any:
    """One of several values, which one hangs on a parameter or a loop: a size in which they differ is unknown."""
    assert c.rec is not None
    whole = value.expr or as_expr(value)
    shapes = [other.type.shape for other in value.items if isinstance(other, Tensor)]
    if not isinstance(item, Tensor):
        return item
    dims = [
        d if len({s_[axis] for s_ in shapes if len(s_) > axis}) == 1 or not isinstance(c.rec.witness(d), int)
        else c.rec.unknown(c.rec.witness(d))
        for axis, d in enumerate(item.type.shape)
    ]  # fmt: skip
    type_ = item.type._replace(shape=tuple(dims))
    return Tensor(ir.Item(whole, (at,), type_), type_, item.made, item.constant)


def _subscript(c: Body, item: s.Expr | s.Slice | s.Dots) -> Any:
    """A subscript for the rule, its Python, and the tensor that it is, if any; ERROR where it can't be one."""
    from netc.catalog.rules.indexing import Slice

    if isinstance(item, s.Dots):
        return ..., ir.Value("..."), None
    if isinstance(item, s.Slice):
        ends = [None if e is None else c.evaluate(e) for e in (item.start, item.stop, item.step)]
        if any(e is not None and (not isinstance(e, (int, Size)) or isinstance(e, bool)) for e in ends):
            return ERROR if ERROR in ends else c.fail(item.span, "a slice has integers at its ends")
        return Slice(*ends), ir.Value(_slice_code(c, item, ends)), None
    at = c.evaluate(item)
    if at is ERROR:
        return ERROR
    if not isinstance(at, (int, Size, Tensor, type(None))) or isinstance(at, bool):
        return c.fail(item.span, f"a tensor is not indexed with {kind_of(at)}")
    if isinstance(at, Tensor):
        return at.type, at.expr, at
    return at, ir.Value(c.forward_code(item, at)), None


def _slice_code(c: Body, item: s.Slice, ends: list[Any]) -> str:
    codes = [
        "" if e is None else c.forward_code(e, v) for e, v in zip((item.start, item.stop, item.step), ends, strict=True)
    ]
    start, stop, step = codes
    return f"{start}:{stop}" + (f":{step}" if step else "")
