"""Products that sum over axes: einsum, attention, and the matrix products that add or that take vectors.

In: arguments and the types of the inputs. Out: shapes, multiply-adds, or the reason of a refusal.
Guarantees: the sizes, dtypes and refusals of torch on the CPU.
Leaves to others: `matmul`, `mm` and `bmm` (`linear`, `arithmetic`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast, broadcast_shape, matmul
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

MULTIPLIED = parts.FLOATS | parts.COMPLEX | {"int64"}  # sums of other whole numbers are int64


def same_dtype(*inputs: TensorType) -> Reject | None:
    """Refuses inputs that don't share one dtype."""
    for x in inputs[1:]:
        if x.dtype != inputs[0].dtype:
            reason = f"my inputs must share a dtype, and these are {inputs[0].dtype} and {x.dtype}"
            return Reject(None, inputs[0].dtype, x.dtype, reason)
    return None


def _stretches_to(x: TensorType, shape: tuple[Dim, ...]) -> bool:
    """Whether a tensor may stretch to a shape that stays as it is."""
    both = broadcast_shape(shape, x.shape)
    if isinstance(both, Reject) or len(both) != len(shape):
        return False
    return not any(same(a, b) is False for a, b in zip(both, shape, strict=True))


# --- einsum -----------------------------------------------------------------------------------------------------------


class Equation(NamedTuple):
    """An equation of einsum: the labels of each operand and of the result; `...` is one label for several axes."""

    operands: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]


def parsed(equation: str) -> Equation | Reject:
    """The labels of an equation; without `->` the result has those that occur once, in alphabetical order."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms: list[tuple[str, ...]] = []
    for text in (*left.split(","), right):
        labels = _labels(text, equation)
        if isinstance(labels, Reject):
            return labels
        terms.append(labels)
    *operands, result = terms
    used = [label for term in operands for label in term]
    if arrow:
        for label in result:
            if result.count(label) > 1 or (label not in used and label != "..."):
                what = "twice" if result.count(label) > 1 else "but in no input"
                return _malformed(equation, f'"{label}" is in the result {what}')
        return Equation(tuple(operands), result)
    once = sorted(label for label in set(used) - {"..."} if used.count(label) == 1)
    return Equation(tuple(operands), (*(["..."] if "..." in used else []), *once))


def _labels(term: str, equation: str) -> tuple[str, ...] | Reject:
    labels: list[str] = []
    rest = term
    while rest:
        taken = 3 if rest.startswith("...") else 1
        label, rest = rest[:taken], rest[taken:]
        if label == "..." and label in labels:
            return _malformed(equation, f'"{term}" has "..." twice')
        if label != "..." and not (label.isascii() and label.isalpha()):
            return _malformed(equation, f'"{label}" is no letter')
        labels.append(label)
    return tuple(labels)


def _malformed(equation: str, why: str) -> Reject:
    return Reject("equation", 'letters, as in "ij,jk->ik"', repr(equation), f'"{equation}" is no equation: {why}')


def _einsum_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    equation = parsed(str(args["equation"]))
    if isinstance(equation, Reject):
        return equation
    if len(equation.operands) != len(inputs):
        count = len(equation.operands)
        reason = f"the equation has {parts.plural(count, 'operand')}, and {len(inputs)} arrive"
        return Reject("equation", str(len(inputs)), str(count), reason)
    sizes = _sizes(equation, inputs)
    problem = sizes if isinstance(sizes, Reject) else same_dtype(*inputs) or parts.dtype_in(inputs[0], MULTIPLIED)
    if problem or isinstance(sizes, Reject):
        return problem  # type: ignore[return-value]
    return TensorType(tuple(s for label in equation.result for s in sizes.get(label, ())), inputs[0].dtype)


def _sizes(equation: Equation, inputs: Inputs) -> dict[str, tuple[Dim, ...]] | Reject:
    """The sizes that each label stands for; a size of 1 stretches."""
    sizes: dict[str, tuple[Dim, ...]] = {}
    for number, (labels, x) in enumerate(zip(equation.operands, inputs, strict=True), 1):
        own = _own_sizes(labels, x, number)
        if isinstance(own, Reject):
            return own
        for label, found in own.items():
            stretched = broadcast_shape(sizes.get(label, ()), found)
            if isinstance(stretched, Reject):
                reason = f'"{label}" stands for {_shown(sizes[label])}, and for {_shown(found)} in operand {number}'
                return Reject("equation", _shown(sizes[label]), _shown(found), reason)
            sizes[label] = stretched
    return sizes


def _own_sizes(labels: tuple[str, ...], x: TensorType, number: int) -> dict[str, tuple[Dim, ...]] | Reject:
    letters = sum(label != "..." for label in labels)
    spare = len(x.shape) - letters
    if spare < 0 or (spare > 0 and "..." not in labels):
        has = parts.plural(len(x.shape), "axis")
        reason = f"operand {number}, {x}, has {has}, and {letters} letters stand for them"
        return Reject("equation", f"{len(x.shape)} letters", str(letters), reason)
    sizes: dict[str, tuple[Dim, ...]] = {}
    at = 0
    for label in labels:
        count = spare if label == "..." else 1
        found = x.shape[at : at + count]
        at += count
        if label in sizes and same(sizes[label][0], found[0]) is False:
            reason = f'"{label}" is twice in operand {number}, and stands for {sizes[label][0]} and {found[0]}'
            return Reject("equation", str(sizes[label][0]), str(found[0]), reason)
        sizes[label] = found
    return sizes


def _shown(sizes: tuple[Dim, ...]) -> str:
    return ", ".join(map(str, sizes)) or "nothing"


def _einsum_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The operands multiplied one after the other from the left; what no later one needs is summed at once."""
    equation = parsed(str(args["equation"]))
    assert isinstance(equation, Equation)
    sizes = _sizes(equation, inputs)
    assert not isinstance(sizes, Reject)
    kept = set(equation.operands[0])
    cost: Dim = 0
    for i, labels in enumerate(equation.operands[1:], 2):
        kept |= set(labels)
        cost = cost + product(s for label in sorted(kept) for s in sizes[label])
        kept &= {*equation.result, *(label for later in equation.operands[i:] for label in later)}
    return cost


# --- attention --------------------------------------------------------------------------------------------------------


def _attention_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    query, key, value = inputs[:3]
    problem = (
        same_dtype(query, key, value) or parts.dtype_in(query, parts.FLOATS) or parts.probability(args, "dropout_p")
    )
    for name, x in zip(("query", "key", "value"), inputs, strict=False):
        if problem is None and len(x.shape) < 2:
            reason = f"`{name}` needs two axes or more, […, length, features], and is {x}"
            problem = Reject(name, "[…, length, features]", str(x), reason)
    if problem:
        return problem
    if args["enable_gqa"]:
        grouped = _spread_heads(query, key, value)
        if isinstance(grouped, Reject):
            return grouped
        key, value = grouped
    return _attended(args, query, key, value)


def _attended(args: Args, query: TensorType, key: TensorType, value: TensorType) -> TensorType | Reject:
    for name, i, (a, b) in (("key", -1, (query, key)), ("value", -2, (key, value))):
        if same(a.shape[i], b.shape[i]) is False:
            what = "features" if i == -1 else "length"
            reason = f"`{name}` has a {what} of {b.shape[i]}, and {a.shape[i]} is needed: {a} meets {b}"
            return Reject(name, str(a.shape[i]), str(b.shape[i]), reason)
    batch = broadcast_shape(query.shape[:-2], key.shape[:-2])
    batch = batch if isinstance(batch, Reject) else broadcast_shape(batch, value.shape[:-2])
    if isinstance(batch, Reject):
        return batch
    scores = (*batch, query.shape[-2], key.shape[-2])
    return _mask(args, query, scores) or TensorType((*batch, query.shape[-2], value.shape[-1]), query.dtype)


def _spread_heads(query: TensorType, key: TensorType, value: TensorType) -> tuple[TensorType, TensorType] | Reject:
    """Keys and values with each head repeated, so that there are as many of them as of the queries."""
    spread = []
    for name, x in (("key", key), ("value", value)):
        if len(query.shape) < 3 or len(x.shape) < 3:
            reason = "grouped attention needs an axis of heads: […, heads, length, features]"
            return Reject("enable_gqa", "three axes or more", str(x), reason)
        heads, own = query.shape[-3], x.shape[-3]
        if same(own, 0) or same(heads % own, 0) is False:
            reason = f"{heads} heads of the query can't share {own} heads of `{name}` equally"
            return Reject(name, f"a divisor of {heads}", str(own), reason)
        spread.append(x._replace(shape=(*x.shape[:-3], heads, *x.shape[-2:])))
    return spread[0], spread[1]


def _mask(args: Args, query: TensorType, scores: tuple[Dim, ...]) -> Reject | None:
    mask = args["attn_mask"]
    if not isinstance(mask, TensorType):
        return None
    if args["is_causal"]:
        return Reject("is_causal", "False", "True", "`attn_mask` and `is_causal` can't both be given")
    if mask.dtype not in ("bool", query.dtype):
        reason = f"`attn_mask` is bool or {query.dtype}, and this one {mask.dtype}"
        return Reject("attn_mask", f"bool or {query.dtype}", mask.dtype, reason)
    layout = str(TensorType(scores))
    if len(mask.shape) > 1 and _stretches_to(mask, scores):  # a single axis fits some of torch's kernels only
        return None
    return Reject("attn_mask", layout, str(mask), f"`attn_mask` must stretch to {layout}, and is {mask}")


def _attention_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """Each query with each key, and each of these weights with a value."""
    query, key, value = inputs[:3]
    return product(result.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


# --- matrices and vectors ---------------------------------------------------------------------------------------------


class _Axes(NamedTuple):
    """How many axes each input has, and how that reads."""

    counts: tuple[int, ...]
    layouts: tuple[str, ...]


_MATRIX_VECTOR = _Axes((2, 1), ("[n, k]", "[k]"))
_VECTORS = _Axes((1, 1), ("[k]", "[k]"))
_MATRICES = _Axes((2, 2), ("[n, k]", "[k, m]"))
_BATCHES = _Axes((3, 3), ("[N, n, k]", "[N, k, m]"))


def _multiplied(axes: _Axes, inputs: Inputs) -> TensorType | Reject:
    for x, count, layout in zip(inputs, axes.counts, axes.layouts, strict=True):
        if (problem := parts.number_of_axes(x, (count,), layout)) is not None:
            return problem
    left, right = inputs
    if len(left.shape) == 3 and same(left.shape[0], right.shape[0]) is False:
        reason = f"batches of {left.shape[0]} and of {right.shape[0]} don't go together"
        return Reject(None, str(left.shape[0]), str(right.shape[0]), reason)
    return matmul(left, right)


def _product(axes: _Axes, args: Args, inputs: Inputs) -> TensorType | Reject:
    return _multiplied(axes, inputs)


def _sum_of_product(axes: _Axes, args: Args, inputs: Inputs) -> TensorType | Reject:
    """addmm, baddbmm, addmv: the first input stretches to the product of the others."""
    added, *factors = inputs
    result = _multiplied(axes, tuple(factors))
    if isinstance(result, Reject):
        return result
    if not _stretches_to(added, result.shape):
        return Reject("input", str(result), str(added), f"`input` must stretch to {result}, and is {added}")
    return same_dtype(added, result) or _factors(args, result) or result


def _factors(args: Args, result: TensorType) -> Reject | None:
    for name in ("beta", "alpha"):
        value = args[name]
        if result.dtype in parts.INTS and isinstance(value, float):
            reason = f"`{name}` is {value}, and the tensors hold whole numbers ({result.dtype})"
            return Reject(name, "a whole number", str(value), reason)
    return None


def _product_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    return product(result.shape) * inputs[-2].shape[-1]


def _outer(args: Args, inputs: Inputs) -> TensorType | Reject:
    left, right = inputs
    problem = parts.number_of_axes(left, (1,), "[n]") or parts.number_of_axes(right, (1,), "[m]")
    return problem or broadcast(left._replace(shape=(left.shape[0], 1)), right)


def _distances(args: Args, inputs: Inputs) -> TensorType | Reject:
    """cdist: from each row of one to each row of the other."""
    left, right = inputs
    problem = same_dtype(left, right) or parts.dtype_in(left, frozenset({"float32", "float64"})) or _norm(args)
    for x in inputs:
        problem = problem or parts.number_of_axes(x, range(2, 20), "[…, rows, features]")
    if problem:
        return problem
    if same(left.shape[-1], right.shape[-1]) is False:
        reason = f"rows of {left.shape[-1]} and of {right.shape[-1]} features have no distance"
        return Reject(None, str(left.shape[-1]), str(right.shape[-1]), reason)
    batch = broadcast_shape(left.shape[:-2], right.shape[:-2])
    return batch if isinstance(batch, Reject) else left._replace(shape=(*batch, left.shape[-2], right.shape[-2]))


def _pairwise(args: Args, inputs: Inputs) -> TensorType | Reject:
    """pdist: between the rows of one matrix, each pair once."""
    x = inputs[0]
    problem = parts.number_of_axes(x, (2,), "[rows, features]")
    problem = problem or parts.dtype_in(x, frozenset({"float32", "float64"})) or _norm(args)
    return problem or x._replace(shape=(x.shape[0] * (x.shape[0] - 1) // 2,))


def _norm(args: Args) -> Reject | None:
    p = args["p"]
    if not isinstance(p, int | float) or p >= 0:
        return None
    return Reject("p", "0 or more", str(p), f"`p` is {p}, and must not be negative")


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    "einsum": Rule(_einsum_shape, macs=_einsum_macs, function=Function("torch.einsum")),
    "scaled_dot_product_attention": Rule(
        _attention_shape, macs=_attention_macs, function=Function("F.scaled_dot_product_attention")
    ),
    "mv": Rule(partial(_product, _MATRIX_VECTOR), macs=_product_macs, function=Function("torch.mv")),
    "dot": Rule(partial(_product, _VECTORS), macs=_product_macs, function=Function("torch.dot")),
    "addmm": Rule(partial(_sum_of_product, _MATRICES), macs=_product_macs, function=Function("torch.addmm")),
    "addmv": Rule(partial(_sum_of_product, _MATRIX_VECTOR), macs=_product_macs, function=Function("torch.addmv")),
    "baddbmm": Rule(partial(_sum_of_product, _BATCHES), macs=_product_macs, function=Function("torch.baddbmm")),
    "outer": Rule(_outer, function=Function("torch.outer")),
    "cdist": Rule(_distances, function=Function("torch.cdist")),
    "pdist": Rule(_pairwise, function=Function("F.pdist")),
}
