"""Likeness of two tensors: CosineSimilarity and PairwiseDistance.

In: arguments and the types of two inputs. Out: shapes, or the reason of a refusal.
Guarantees: torch's broadcasting, promotion and refusals.
Leaves to others: the distances between all rows (`contraction`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast_shape, promoted
from netc.shapes import Reject, TensorType

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs


def _pair(inputs: Inputs) -> TensorType | Reject:
    if len(inputs) != 2:
        return Reject(None, "2 inputs", str(len(inputs)), f"I compare two tensors, and {len(inputs)} arrive")
    shape = broadcast_shape(inputs[0].shape, inputs[1].shape)
    return shape if isinstance(shape, Reject) else TensorType(shape, promoted(*inputs))


def _cosine(args: Args, inputs: Inputs) -> TensorType | Reject:
    both = _pair(inputs)
    if isinstance(both, Reject):
        return both
    axes = tuple(TensorType((1,), x.dtype) for x in inputs)  # here a tensor without axes counts like any other
    both = both._replace(dtype=promoted(*axes))
    problem = parts.dtype_in(both, parts.FLOATS)
    dim = problem or parts.wrapped(parts.size(args, "dim"), max(len(both.shape), 1))
    if isinstance(dim, Reject):
        return dim
    return both._replace(shape=(*both.shape[:dim], *both.shape[dim + 1 :]))


def _distance(args: Args, inputs: Inputs) -> TensorType | Reject:
    both = _pair(inputs)
    if isinstance(both, Reject):
        return both
    problem = _subtracts(inputs)
    if problem:
        return problem
    last = (1,) if args["keepdim"] and both.shape else ()
    dtype = both.dtype if both.dtype in parts.FLOATS else "float32"
    return TensorType((*both.shape[:-1], *last), dtype)


def _subtracts(inputs: Inputs) -> Reject | None:
    if all(x.dtype != "bool" for x in inputs):
        return None
    return Reject(None, "float32", "bool", "I subtract my inputs, which bools don't allow")


LAYERS = {
    "CosineSimilarity": Rule(_cosine, function=Function("F.cosine_similarity")),
    "PairwiseDistance": Rule(_distance, function=Function("F.pairwise_distance")),
}
FUNCTIONS = {"cosine_similarity": LAYERS["CosineSimilarity"], "pairwise_distance": LAYERS["PairwiseDistance"]}
