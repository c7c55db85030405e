"""What an einsum of two tensors saves: it becomes one product of batches of matrices.

In: the call. Out: its result. Axes are those of both and the result (batches), of one and the result, and of both alone
(summed over); the operands are permuted and reshaped to [batch, own, summed] and [batch, summed, own].
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from netc.catalog.rules.contraction import parsed
from netc.catalog.saved.call import Call, made
from netc.catalog.saved.tape import Unknown, Value
from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.catalog.saved.call import Results
    from netc.catalog.saved.tape import Tape


def pair(t: Tape, c: Call) -> Results:
    """The product of two tensors by an equation without repeated or open axes in one operand."""
    equation = parsed(c["equation"])
    if isinstance(equation, Reject):
        raise Unknown("einsum")
    sides, result = [list(side) for side in equation.operands], list(equation.result)
    if any(len(set(side)) != len(side) or len(side) != x.dim for side, x in zip(sides, c.inputs, strict=True)):
        raise Unknown("einsum with repeated axes or an ellipsis")
    left, right = sides
    common = [a for a in left if a in right]
    batch, summed = [a for a in common if a in result], [a for a in common if a not in result]
    if any(a not in result for side in (left, right) for a in side if a not in common):
        raise Unknown("einsum that sums one operand by itself")
    own = [[a for a in side if a not in common] for side in sides]
    a = _matrix(t, c.inputs[0], left, (batch, own[0], summed))
    b = _matrix(t, c.inputs[1], right, (batch, summed, own[1]))
    t.mm(a, b)
    return made(t, c)


def _matrix(t: Tape, x: Value, axes: list[str], groups: Sequence[list[str]]) -> Value:
    order = [axes.index(a) for group in groups for a in group]
    sizes = [prod(x.shape[axes.index(a)] for a in group) for group in groups]
    return t.reshape(t.permute(x, order), sizes)
