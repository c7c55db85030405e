"""What products of matrices and distances save: each factor for the gradient of the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.saved.call import Call, flat, made, saving
from netc.catalog.saved.elementwise import OPERATORS
from netc.catalog.saved.tape import Unknown, Value, broadcast_shape

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _operator(op: str, t: Tape, c: Call) -> Results:
    left, right = c["operands"]
    y: Value = OPERATORS[op](t, left, right, c.result.dtype)
    return y


def _pair(first: str, second: str, t: Tape, c: Call) -> Results:
    return t.matmul(c[first], c[second])


def _plus_product(first: str, second: str, t: Tape, c: Call) -> Results:
    y = t.matmul(c[first], c[second])
    return y._replace(grad=y.grad or c.grad)


def _outer(t: Tape, c: Call) -> Results:
    a, b = c.inputs
    return t.mul(t.unsqueeze(a, 1), b)


def _einsum(t: Tape, c: Call) -> Results:
    """One operand is summed, of several two at a time are multiplied; those that aren't in order are copied first."""
    if len(c.inputs) == 1:
        return made(t, c)
    if len(c.inputs) > 2:
        raise Unknown("einsum of more than two tensors")
    from netc.catalog.saved.einsum import pair

    return pair(t, c)


def _cosine(t: Tape, c: Call) -> Results:
    """Of x / max(|x|, eps) and the same of y the product is summed."""
    dtype, shape = c.result.dtype, broadcast_shape([v.shape for v in c.inputs])
    sizes = list(shape)
    if sizes:
        sizes[1 if c["dim"] is None else c["dim"]] = 1
    several = []
    for given in c.inputs:
        x = t.expand(t.cast(given, dtype)._replace(grad=given.grad), shape)
        norm = t.new(sizes, dtype, x.grad)
        if x.grad:
            t.save(x, norm)
        several.append(t.div(x, t.like(norm)))
    y = t.mul(several[0], several[1])
    return made(t, c, grad=y.grad)


def _distance(t: Tape, c: Call) -> Results:
    """|a - b + eps|: the difference, and the norm."""
    a, b = c.inputs
    y = made(t, c)
    if c.grad:
        t.save(t.broadcast((a, b), c.result.dtype), *flat(y))
    return y


_OPERATORS = "+ - * / ** // % @ < <= > >= == !="
FUNCTIONS: dict[str, Fact] = {
    **{op: partial(_operator, op) for op in _OPERATORS.split()},
    "matmul": partial(_pair, "input", "other"), "mm": partial(_pair, "input", "mat2"),
    "bmm": partial(_pair, "input", "mat2"), "mv": partial(_pair, "input", "vec"),
    "dot": partial(_pair, "input", "tensor"),
    "addmm": partial(_plus_product, "mat1", "mat2"), "addmv": partial(_plus_product, "mat", "vec"),
    "baddbmm": partial(_plus_product, "batch1", "batch2"), "outer": _outer, "einsum": _einsum,
    "cdist": saving("xzy"), "pdist": saving("xy"), "cosine_similarity": _cosine, "pairwise_distance": _distance,
}  # fmt: skip
LAYERS: dict[str, Fact] = {"CosineSimilarity": _cosine, "PairwiseDistance": _distance}
