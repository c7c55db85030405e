"""The turns of a loop between its first and its last, which a body in general follows for their numbers alone.

In: the checker of a body with a recorder, behind the first turn of a loop, and the items of the turns in the middle.
Out: the values of all names behind them, with sizes as numbers, or None where the turns bind a name that the first one
didn't, so that they have to be followed in general. Guarantees: nothing is recorded; a name that the turns gave another
value gets a new one, for which code is its name; children are registered, each with the result of the child that the
same line made in the first turn where that fits. So a deep network costs in general what it costs as an instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc.checker import general_shapes
from netc.checker.expressions import ERROR
from netc.checker.values import Tensor, TensorTuple
from netc.diagnostics import Report
from netc.limits import STATEMENT, spend

if TYPE_CHECKING:
    from netc import syntax as s
    from netc.checker.body import Body
    from netc.checker.recorder import Recorder


def follow(c: Body, statement: s.For, items: list[Any]) -> dict[str, Any] | None:
    """Follow turns with numbers. Gives what the names, and `_`, stand for behind them; None where names are new."""
    rec, report, env, current, labels = c.rec, c.report, c.env, c.current, dict(c.labels)
    assert rec is not None
    start = {n: v if n in c.constants else _numbers(rec, v) for n, v in env.items()}
    c.rec, c.report, c.env, c.current = None, Report(), dict(start), _numbers(rec, current)
    results, c.results = c.results, {}  # which are expressions: a module that is applied again gives numbers here
    for item in rec.witness(items):
        spend(STATEMENT)
        if not c.bind(statement.targets, item, statement.iterable.span):
            c.current = ERROR
            break
        c.block(statement.body)
        if c.report.failed:
            break
    ok = not c.report.failed and c.current is not ERROR
    left = c.env | {"_": c.current}
    c.rec, c.report, c.env, c.current = rec, report, env, current if ok else ERROR
    c.results = results
    if not left.keys() <= start.keys() | {"_"}:
        return None
    for name, value in left.items():
        if name != "_" and _changed(start[name], value):
            rec.bump(name)
            c.env[name] = c.known(name, value)
    _results(c, labels)
    return left


def _numbers(rec: Recorder, value: Any) -> Any:
    """A value with the numbers that its sizes are in the instance."""
    if isinstance(value, Tensor):
        return value._replace(type=rec.witness(value.type))
    if isinstance(value, TensorTuple):
        return value._replace(items=tuple(_numbers(rec, item) for item in value.items))
    return rec.witness(value)


def _changed(before: Any, after: Any) -> bool:
    """Whether a name that was known stands for another value; what tensors are, the caller looks at."""
    if isinstance(before, (Tensor, TensorTuple)) and isinstance(after, (Tensor, TensorTuple)):
        return False
    return type(before) is not type(after) or bool(before != after)


def _results(c: Body, before: dict[str, Any]) -> None:
    """The results of the modules that were built, for where they are applied again."""
    lines = {child.span: label for label, child in before.items() if isinstance(child, ir.Instance)}
    for label, child in c.labels.items():
        if label not in before and isinstance(child, ir.Instance):
            general = c.results.get(lines.get(child.span, ""))
            c.results[label] = general_shapes.reconciled(c, general, child.output)
