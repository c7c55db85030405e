"""Attention: MultiheadAttention, and what the layers of a transformer share with it.

In: arguments and the types of query, key and value (one tensor stands for all three), masks by name. Out: shapes of
the output and of the attention weights, parameters, multiply-adds, or the reason of a refusal.
Guarantees: the sizes of torch, and its refusals on the CPU in training; the inputs always have their batch axis.
Deliberately refused besides: a mask of a wrong shape where the hint `is_causal` keeps torch from looking at it.
Leaves to others: the faster path that torch takes in evaluation, which gives the same sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import Param, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs, Result

    Sizes = dict[str, tuple[Dim, ...]]

MASKS = parts.FLOATS | {"bool"}


class Masks(NamedTuple):
    """The masks of one attention, each with the name of the argument that gives it, and the hint."""

    attention: tuple[str, TensorType | None]
    padding: tuple[str, TensorType | None]
    causal: tuple[str, bool]


class Lengths(NamedTuple):
    """The sizes that masks have to fit."""

    batch: Dim
    queries: Dim
    keys: Dim
    heads: Dim


def masks(args: Args, attention: str, padding: str, causal: str) -> Masks:
    """The masks that are given under these names; what is left open (None) is no hint."""
    found = []
    for name in (attention, padding):
        value = args[name]
        assert value is None or isinstance(value, TensorType), (name, value)
        found.append((name, value))
    return Masks(found[0], found[1], (causal, bool(args[causal])))


def lengths(args: Args, heads: str, query: TensorType, key: TensorType) -> Lengths:
    """Reads batch and lengths off a query and a key in the layout that `batch_first` says."""
    batch, time = (0, 1) if args["batch_first"] else (1, 0)
    return Lengths(query.shape[batch], query.shape[time], key.shape[time], parts.size(args, heads))


def sequence(args: Args, x: TensorType) -> Reject | None:
    """Refuses what is not a batch of sequences of features."""
    return parts.batched(x, 3, "[N, T, features]" if args["batch_first"] else "[T, N, features]")


def masks_fit(given: Masks, sizes: Lengths, dtype: str) -> Reject | None:
    """Refuses masks that don't fit the sizes, or that torch can't add to weights of `dtype`."""
    causal, is_causal = given.causal
    name, mask = given.attention
    if is_causal and mask is None:
        reason = f"`{causal}` says that `{name}` is causal, and there is no `{name}`; give both"
        return Reject(causal, f"a `{name}`", "none", reason)
    two, three = (sizes.queries, sizes.keys), (sizes.batch * sizes.heads, sizes.queries, sizes.keys)
    problem = None
    if mask is not None:
        problem = _mask_fits(name, mask, three if len(mask.shape) == 3 else two, dtype)
    name, mask = given.padding
    if mask is not None:
        problem = problem or _mask_fits(name, mask, (sizes.batch, sizes.keys), dtype)
    return problem


def _mask_fits(name: str, mask: TensorType, wanted: tuple[Dim, ...], dtype: str) -> Reject | None:
    expected = TensorType(wanted, mask.dtype if mask.dtype in ("bool", dtype) else "bool")
    pairs = zip(mask.shape, wanted, strict=False)
    if len(mask.shape) != len(wanted) or any(same(a, b) is False for a, b in pairs):
        return Reject(name, str(expected), str(mask), f"`{name}` must be {expected}, and is {mask}")
    if mask.dtype not in ("bool", dtype):
        reason = f"`{name}` must be bool, or {dtype} to be added to the weights, and is {mask.dtype}"
        return Reject(name, "bool", mask.dtype, reason)
    return None


def triple(inputs: Inputs) -> Inputs:
    """Query, key and value; one tensor is all three."""
    return inputs * 3 if len(inputs) == 1 else inputs


def _shape(args: Args, inputs: Inputs) -> Result:
    problem = _refused(args, inputs)
    if problem:
        return problem
    query, key, _ = triple(inputs)
    sizes = lengths(args, "num_heads", query, key)
    given = masks(args, "attn_mask", "key_padding_mask", "is_causal")
    problem = masks_fit(given, sizes, query.dtype)
    if problem:
        return problem
    if not args["need_weights"]:
        return (query,)  # torch gives a pair, without weights
    weights = (sizes.queries, sizes.keys + _extra_keys(args))
    heads = () if args["average_attn_weights"] else (sizes.heads,)
    return query, query._replace(shape=(sizes.batch, *heads, *weights))


def _extra_keys(args: Args) -> int:
    return int(bool(args["add_bias_kv"])) + int(bool(args["add_zero_attn"]))


def _refused(args: Args, inputs: Inputs) -> Reject | None:
    if len(inputs) not in (1, 3):
        reason = f"I take a query, a key and a value, or one tensor that is all three, and {len(inputs)} arrive"
        return Reject(None, "1 or 3 inputs", str(len(inputs)), reason)
    for x in triple(inputs):
        if problem := sequence(args, x) or parts.dtype_in(x, parts.WEIGHTS):
            return problem
    query, key, value = triple(inputs)
    embed = parts.size(args, "embed_dim")
    return (
        parts.at_least(args, 1, "embed_dim", "num_heads")
        or parts.divides(args, "num_heads", embed, "features")
        or _features_fit(args, "kdim", "key", key)
        or _features_fit(args, "vdim", "value", value)
        or _go_together(args, query, key, value)
    )


def _features_fit(args: Args, name: str, what: str, x: TensorType) -> Reject | None:
    """Refuses a key or value whose features aren't those of its projection."""
    wanted, said = _width(args, name), args[name]
    arriving = x.shape[-1]
    if same(wanted, arriving) is not False:
        return None
    meaning = f"`{name}` is {said}" if said is not None else f"`{name}` is left out, which means `embed_dim` ({wanted})"
    return Reject(name, str(arriving), str(wanted), f"{meaning}, and the {what} has {arriving} features")


def _width(args: Args, name: str) -> Dim:
    return parts.size(args, "embed_dim" if args[name] is None else name)


def _go_together(args: Args, query: TensorType, key: TensorType, value: TensorType) -> Reject | None:
    batch, time = (0, 1) if args["batch_first"] else (1, 0)
    for name, other in (("key", key), ("value", value)):
        if same(query.shape[batch], other.shape[batch]) is False:
            return different_batches("query", query.shape[batch], name, other.shape[batch])
    if same(key.shape[time], value.shape[time]) is False:
        reason = f"the key has {key.shape[time]} positions and the value {value.shape[time]}; each needs its value"
        return Reject(None, str(key.shape[time]), str(value.shape[time]), reason)
    return None


def different_batches(first: str, a: Dim, second: str, b: Dim) -> Reject:
    """The refusal of two inputs whose batch axes differ."""
    return Reject(None, str(a), str(b), f"the {first} has a batch of {a} and the {second} of {b}")


def _embed_dim(args: Args, inputs: Inputs) -> Dim | Reject:
    return parts.agreed(args, "embed_dim", sequence(args, inputs[0]) or inputs[0].shape[-1], "features")


def state(args: Args) -> Sizes:
    """Projections of query, key and value in one matrix, or in three where `kdim` or `vdim` may be another size."""
    embed = parts.size(args, "embed_dim")
    widths = [_width(args, name) for name in ("kdim", "vdim")]
    if all(same(width, embed) for width in widths):
        found: Sizes = {"in_proj_weight": (3 * embed, embed)}
    else:
        found = {f"{name}_proj_weight": (embed, width) for name, width in zip("qkv", (embed, *widths), strict=True)}
    bias = bool(args["bias"])
    if bias:
        found["in_proj_bias"] = (3 * embed,)
    if args["add_bias_kv"]:
        found |= {"bias_k": (1, 1, embed), "bias_v": (1, 1, embed)}
    found["out_proj.weight"] = (embed, embed)
    return {**found, "out_proj.bias": (embed,)} if bias else found


def _macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """See `cost`."""
    query, key, value = triple(inputs)
    return cost(query, key, value, parts.size(args, "embed_dim"), _extra_keys(args), bool(args["batch_first"]))


def cost(query: TensorType, key: TensorType, value: TensorType, embed: Dim, extra: int, batch_first: bool) -> Dim:
    """The matrix products: four projections, queries with keys, weights with values.

    Scaling, masks, softmax and the average over heads aren't counted. `extra` is the number of keys beside the input's.
    """
    batch, time = (0, 1) if batch_first else (1, 0)
    projections = embed * (2 * product(query.shape[:2]) * embed + product(key.shape) + product(value.shape))
    pairs = query.shape[batch] * query.shape[time] * (key.shape[time] + extra)
    return projections + 2 * pairs * embed


FORWARD = (
    Param("key_padding_mask", "tensor|None", None),
    Param("need_weights", "bool", True),
    Param("attn_mask", "tensor|None", None),
    Param("average_attn_weights", "bool", True),
    Param("is_causal", "bool", False),
)
LAYERS = {
    "MultiheadAttention": Rule(
        _shape,
        {"embed_dim": _embed_dim},
        state,
        macs=_macs,
        forward=FORWARD,
        alone={"need_weights": False},
        repeat=3,
    )
}
FUNCTIONS: dict[str, Rule] = {}
