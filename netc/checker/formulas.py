"""A formula of tensors: `scaled(t, by) = t * by`.

In: the checker of a body and a call of a formula with a tensor. Out: its value, and once the function that model.py
gets for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.checker import sources
from netc.checker.expressions import ERROR, kind_of
from netc.checker.functions import as_expr, as_expr_of, types, wrapped
from netc.checker.values import Made, Tensor, TensorTuple, tensors
from netc.identifiers import python_name
from netc.limits import spend

if TYPE_CHECKING:
    from netc.checker.body import Body
    from netc.checker.values import Formula


def formula(c: Body, made: Formula, given: dict[str, Any], step: s.Call) -> Any:
    """A formula of tensors: its value, and once the function that it becomes."""
    spend(10 + len(made.env) // 64)
    first_ = next(n for n, v in given.items() if tensors(v))
    outer = c.env, c.labels, c.current, c.formula
    bound = {n: c.bound(n, v) if isinstance(v, (Tensor, TensorTuple)) else v for n, v in given.items()}
    c.env, c.labels, c.current, c.formula = {**made.env, **bound}, {}, None, first_
    rows = len(c.rows)
    value = c.evaluate(made.body)
    c.env, c.labels, c.current, c.formula = outer
    c.rows[rows:] = [row._replace(span=step.span) for row in c.rows[rows:]]
    if value is ERROR:
        return ERROR
    if not isinstance(value, (Tensor, TensorTuple)):
        return c.fail(step.span, f"`{made.name}` is given a tensor, and gives {kind_of(value)}")
    constant = all(t.constant for t in tensors(value))
    if c.rec is None:
        return sources.like(value, wrapped(types(value), ir.Value(""), Made(made.name, step.span), constant))
    names = {n: "Tensor" if tensors(v) else type(c.rec.witness(v)).__name__ for n, v in given.items()}
    known = c.session.formulas.get(made.name, (None, names))[1]
    kinds = {n: kind if known.get(n) in (None, kind) else f"{known[n]} | {kind}" for n, kind in names.items()}
    c.session.formulas[made.name] = as_expr(value), kinds
    arguments = []
    free = [p.name.text for p in made.params]
    for i, argument in enumerate(step.arguments):
        name = argument.name.text if argument.name else free[i]
        arguments.append(
            (python_name(argument.name.text) if argument.name else None, as_expr_of(c, given[name], argument))
        )
    expr = ir.Function(made.name, tuple(arguments), types(value), step.span)
    return wrapped(types(value), expr, Made(made.name, step.span), constant)
