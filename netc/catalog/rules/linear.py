"""Linear maps: Linear, Bilinear, Embedding, EmbeddingBag, and matrix products.

In: arguments and the types of the inputs. Out: shapes, parameters, multiply-adds, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU.
Leaves to others: convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Param, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast, matmul
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs


INDICES = frozenset({"int64", "int32"})
BAG_MODES = ("sum", "mean", "max")


def _linear_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.number_of_axes(x, range(1, 20), "[…, features]") or parts.dtype_in(x, parts.WEIGHTS)
    problem = problem or parts.at_least(args, 0, "out_features")
    return problem or x._replace(shape=(*x.shape[:-1], parts.size(args, "out_features")))


def _linear_state(args: Args) -> dict[str, tuple[Dim, ...]]:
    out = parts.size(args, "out_features")
    weight: dict[str, tuple[Dim, ...]] = {"weight": (out, parts.size(args, "in_features"))}
    return {**weight, "bias": (out,)} if args["bias"] else weight


def _linear_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    return product(result.shape) * parts.size(args, "in_features")


def _bilinear_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    if len(inputs) != 2:
        return Reject(None, "2 inputs", str(len(inputs)), f"I take two inputs, and {len(inputs)} arrive")
    left, right = inputs
    problem = parts.dtype_in(left, parts.WEIGHTS) or parts.dtype_in(right, parts.WEIGHTS)
    problem = problem or parts.at_least(args, 1, "out_features")
    pairs = zip(left.shape[:-1], right.shape[:-1], strict=False)
    if problem is None and (len(left.shape) != len(right.shape) or any(same(a, b) is False for a, b in pairs)):
        problem = Reject(None, str(left), str(right), f"my inputs {left} and {right} differ in front of their features")
    return problem or left._replace(shape=(*left.shape[:-1], parts.size(args, "out_features")))


def _bilinear_features(argument: str, i: int, args: Args, inputs: Inputs) -> Dim | Reject:
    arriving = inputs[i].shape[-1] if len(inputs) > i and inputs[i].shape else _bilinear_shape(args, inputs)
    if isinstance(arriving, TensorType):  # an input of no axes
        return Reject(None, "[…, features]", str(inputs[i]), "my inputs need an axis of features")
    return parts.agreed(args, argument, arriving, "features")


def _bilinear_state(args: Args) -> dict[str, tuple[Dim, ...]]:
    out, *ins = (parts.size(args, name) for name in ("out_features", "in1_features", "in2_features"))
    weight: dict[str, tuple[Dim, ...]] = {"weight": (out, *ins)}
    return {**weight, "bias": (out,)} if args["bias"] else weight


def _bilinear_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    return product(result.shape) * parts.size(args, "in1_features") * (parts.size(args, "in2_features") + 1)


def _embedding_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    return _indices(args, inputs[0]) or TensorType((*inputs[0].shape, parts.size(args, "embedding_dim")))


def _indices(args: Args, x: TensorType) -> Reject | None:
    count, padding = parts.size(args, "num_embeddings"), args["padding_idx"]
    problem = parts.dtype_in(x, INDICES) or parts.at_least(args, 0, "embedding_dim")
    problem = problem or parts.at_least(args, 1, "num_embeddings")
    if problem is None and isinstance(count, int) and isinstance(padding, int) and not -count <= padding < count:
        expected = f"{-count} to {count - 1}"
        reason = f"`padding_idx` is {padding}, and there are {count} embeddings"
        problem = Reject("padding_idx", expected, str(padding), reason)
    return problem


def _embedding_state(args: Args) -> dict[str, tuple[Dim, ...]]:
    return {"weight": (parts.size(args, "num_embeddings"), parts.size(args, "embedding_dim"))}


def _bag_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, *offsets = inputs
    problem = _indices(args, x) or _bag_options(args) or _bag_weights(args, x)
    bags = problem or _bags(args, x, offsets)
    return bags if isinstance(bags, Reject) else TensorType((bags, parts.size(args, "embedding_dim")))


def _bags(args: Args, x: TensorType, offsets: list[TensorType]) -> Dim | Reject:
    """How many bags there are: the rows of a table, or the beginnings in one long list."""
    if len(x.shape) == 2:
        reason = "each row of the input is a bag, and `offsets` are for an input of one axis"
        return Reject(None, "1 input", str(1 + len(offsets)), reason) if offsets else x.shape[0]
    if problem := parts.number_of_axes(x, (1,), "[N, items], or [items] with offsets [N]"):
        return problem
    if len(offsets) != 1:
        reason = "an input of one axis needs offsets, which say where each bag begins: `(items, offsets) -> …`"
        return Reject(None, "2 inputs", str(1 + len(offsets)), reason)
    problem = parts.number_of_axes(offsets[0], (1,), "offsets of shape [N]") or parts.dtype_in(offsets[0], INDICES)
    bags = 0 if problem else offsets[0].shape[0] - (1 if args["include_last_offset"] else 0)
    if problem is None and same(bags, 0):  # torch ends the process for some of these
        reason = "the last offset is the end of the last bag, and there is no other one"
        problem = Reject("include_last_offset", "2 offsets or more", "1", reason)
    return problem or bags


def _bag_options(args: Args) -> Reject | None:
    mode = args["mode"]
    if mode not in BAG_MODES:
        return Reject("mode", ", ".join(BAG_MODES), repr(mode), f"there is no mode {mode!r}")
    for name in ("scale_grad_by_freq", "sparse"):
        if mode == "max" and args[name]:
            return Reject(name, "False", "True", f'`{name}` doesn\'t go with the mode "max"')
    return None


def _bag_weights(args: Args, x: TensorType) -> Reject | None:
    name, weights = "per_sample_weights", args["per_sample_weights"]
    if not isinstance(weights, TensorType):
        return None
    if args["mode"] != "sum":
        return Reject(name, 'the mode "sum"', str(args["mode"]), f'`{name}` needs the mode "sum", not "{args["mode"]}"')
    pairs = zip(weights.shape, x.shape, strict=False)
    if len(weights.shape) != len(x.shape) or any(same(a, b) is False for a, b in pairs) or weights.dtype != "float32":
        expected = TensorType(x.shape)
        return Reject(name, str(expected), str(weights), f"`{name}` must be float32 {expected}, and is {weights}")
    return None


def _bag_function(args: Args, inputs: Inputs) -> TensorType | Reject:
    """The layer's rule, with the sizes that the weight tells."""
    x, weight, offsets = inputs[0], args["weight"], args["offsets"]
    assert isinstance(weight, TensorType)
    if len(weight.shape) != 2 or weight.dtype != "float32":
        layout = "[embeddings, features]"
        reason = f"`weight` has the shape {layout} of float32, and this one is {weight}"
        return Reject("weight", layout, str(weight), reason)
    own = {**args, "num_embeddings": weight.shape[0], "embedding_dim": weight.shape[1]}
    return _bag_shape(own, (x, offsets) if isinstance(offsets, TensorType) else (x,))


def _function_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, weight, *bias = inputs
    if len(weight.shape) not in (1, 2):
        return Reject(
            "weight", "[out, in]", str(weight), f"my weight has the shape [out, in], and this one is {weight}"
        )
    for name, other in zip(("weight", "bias"), (weight, *bias), strict=False):
        if x.dtype != other.dtype:
            return Reject(name, x.dtype, other.dtype, f"the input is {x.dtype}, and my {name} {other.dtype}")
    result = matmul(x, weight._replace(shape=weight.shape[::-1]))
    if isinstance(result, Reject) or not bias:
        return result
    return broadcast(result, bias[0])


def _matmul_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    return matmul(inputs[0], inputs[1])


def _mm_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    left, right = inputs
    return (
        parts.number_of_axes(left, (2,), "[n, k]") or parts.number_of_axes(right, (2,), "[k, m]") or matmul(left, right)
    )


def _bmm_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    left, right = inputs
    problem = parts.number_of_axes(left, (3,), "[N, n, k]") or parts.number_of_axes(right, (3,), "[N, k, m]")
    if problem is None and same(left.shape[0], right.shape[0]) is False:
        reason = f"batches of {left.shape[0]} and of {right.shape[0]} don't go together"
        problem = Reject(None, str(left.shape[0]), str(right.shape[0]), reason)
    return problem or matmul(left, right)


def _product_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    return product(result.shape) * inputs[0].shape[-1]


def _bilinear_rule() -> Rule:
    from functools import partial

    names = ("in1_features", "in2_features")
    infers = {name: partial(_bilinear_features, name, i) for i, name in enumerate(names)}
    return Rule(_bilinear_shape, infers, _bilinear_state, macs=_bilinear_macs)


LAYERS = {
    "Linear": Rule(_linear_shape, {"in_features": parts.features("in_features")}, _linear_state, macs=_linear_macs),
    "Bilinear": _bilinear_rule(),
    "EmbeddingBag": Rule(
        _bag_shape, state=_embedding_state, forward=(Param("per_sample_weights", "tensor|None", None),)
    ),
    "Embedding": Rule(_embedding_shape, state=_embedding_state),
}
FUNCTIONS = {
    "embedding_bag": Rule(_bag_function, function=Function("F.embedding_bag")),
    "linear": Rule(_function_shape, macs=_product_macs, function=Function("F.linear")),
    "matmul": Rule(_matmul_shape, macs=_product_macs, function=Function("torch.matmul")),
    "mm": Rule(_mm_shape, macs=_product_macs, function=Function("torch.mm")),
    "bmm": Rule(_bmm_shape, macs=_product_macs, function=Function("torch.bmm")),
}
