"""Calls of layers that were bound and followed before, with the same arguments for the same inputs.

In: the checker of a body, a step that calls a layer, and the tensors that it takes. Out: what the call gave before, or
None. Guarantees: only calls without a mistake or a warning are remembered, and only where all that they read is in the
key: the step itself, the values of the names in it, and the types of the tensors. In general nothing is remembered,
for the code of a call hangs on more than its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc.checker.arithmetic import pay
from netc.checker.modules import all_names
from netc.checker.values import Tensor, TensorTuple, key_of

if TYPE_CHECKING:
    from netc import ir
    from netc import syntax as s
    from netc.checker.body import Body


class Remembered(NamedTuple):
    """A call: the step, which stays alive so that no other has its identity; the layer, and its row."""

    step: s.Expr
    layer: ir.Layer
    row: ir.Row


def key(c: Body, step: s.Expr, taken: tuple[Tensor, ...] | None) -> Any:
    """All that a call reads; None where it reads what can't be compared."""
    if c.rec is not None or taken is None:
        return None
    values: list[Any] = []
    for name in _names(c, step):
        value = c.env.get(name, c)  # the body itself where there is no value
        if isinstance(value, (Tensor, TensorTuple)) or name == "_" or name in c.labels:
            return None
        pay(value)
        values.append(None if value is c or name in c.constants else key_of(value))
    return id(step), tuple(t.type for t in taken), tuple(values)


def _names(c: Body, step: s.Expr) -> tuple[str, ...]:
    known = c.session.words.get(id(step))
    if known is None:
        known = c.session.words[id(step)] = step, tuple(dict.fromkeys(all_names(step)))
    return known[1]
