"""Functions that are given the weights that a layer would have: conv2d, embedding, layer_norm, prelu …

In: arguments, tensors among them, and the types of the inputs. Out: shapes, multiply-adds, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU for float tensors of one dtype; the layers' own rules are
asked wherever there is a layer, with the sizes that the weights tell.
Leaves to others: `linear` and the matrix products; whole numbers and mixed dtypes, which are refused.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import convolution, parts
from netc.catalog.rules.linear import INDICES
from netc.catalog.rules.normalization import batch_values, ends_with
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.catalog.entry import Args, Inputs


def _one_dtype(args: Args, x: TensorType, names: Iterable[str]) -> Reject | None:
    """Refuses weights of another dtype than the input, and inputs that aren't floats."""
    problem = parts.dtype_in(x, parts.FLOATS)
    for name in names:
        given = args[name]
        if problem is None and isinstance(given, TensorType) and given.dtype != x.dtype:
            reason = f"the input is {x.dtype}, and `{name}` {given.dtype}"
            problem = Reject(name, x.dtype, given.dtype, reason)
    return problem


def _shaped(args: Args, name: str, shape: tuple[Dim, ...]) -> Reject | None:
    """Refuses a weight, where one is given, of another shape."""
    given = args[name]
    if not isinstance(given, TensorType):
        return None
    fits = len(given.shape) == len(shape)
    if fits and not any(same(a, b) is False for a, b in zip(given.shape, shape, strict=True)):
        return None
    wanted = str(TensorType(shape))
    return Reject(name, wanted, str(given), f"`{name}` has the shape {wanted}, and this one is {given}")


def _weight(args: Args, axes: int, layout: str) -> TensorType | Reject:
    weight = args["weight"]
    assert isinstance(weight, TensorType)
    if len(weight.shape) == axes:
        return weight
    return Reject("weight", layout, str(weight), f"`weight` has the shape {layout}, and this one is {weight}")


# --- convolutions -----------------------------------------------------------------------------------------------------


def _layer_args(n: int, transposed: bool, args: Args, x: TensorType, weight: TensorType) -> Args:
    """The arguments of the layer that has this weight."""
    groups = parts.size(args, "groups")
    out = weight.shape[1] * groups if transposed else weight.shape[0]
    own = {"in_channels": x.shape[1], "out_channels": out, "kernel_size": weight.shape[2:], "padding_mode": "zeros"}
    return {**args, **own, "bias": isinstance(args["bias"], TensorType)}


def _convolution(n: int, transposed: bool, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    layout = "[in, out / groups, kernel …]" if transposed else "[out, in / groups, kernel …]"
    weight = _weight(args, n + 2, layout)
    problem = parts.spatial(x, n) or _one_dtype(args, x, ("weight", "bias")) or parts.at_least(args, 1, "groups")
    if problem or isinstance(weight, Reject):
        return problem or weight
    groups, first = parts.size(args, "groups"), weight.shape[0]
    arriving = first if transposed else weight.shape[1] * groups
    if same(x.shape[1], arriving) is False:
        reason = f"{x.shape[1]} channels arrive, and `weight` is for {arriving}"
        return Reject("weight", str(x.shape[1]), str(arriving), reason)
    layer = convolution.LAYERS[f"Conv{'Transpose' * transposed}{n}d"]
    own = _layer_args(n, transposed, args, x, weight)
    result = layer.shape(own, (x._replace(dtype="float32"),))
    if isinstance(result, Reject):
        return result
    assert isinstance(result, TensorType)
    return _shaped(args, "bias", (parts.size(own, "out_channels"),)) or result._replace(dtype=x.dtype)


def _convolution_macs(n: int, transposed: bool, args: Args, inputs: Inputs, result: TensorType) -> Dim:
    weight = args["weight"]
    assert isinstance(weight, TensorType)
    macs = convolution.LAYERS[f"Conv{'Transpose' * transposed}{n}d"].macs
    assert macs is not None
    return macs(_layer_args(n, transposed, args, inputs[0], weight), inputs, result)


# --- look-ups, slopes, bilinear maps ----------------------------------------------------------------------------------


def _embedding(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, weight = inputs[0], _weight(args, 2, "[embeddings, features]")
    if isinstance(weight, Reject):
        return weight
    count, padding = weight.shape[0], args["padding_idx"]
    if isinstance(count, int) and isinstance(padding, int) and not -count <= padding < count:
        expected = f"{-count} to {count - 1}"
        reason = f"`padding_idx` is {padding}, and there are {count} embeddings"
        return Reject("padding_idx", expected, str(padding), reason)
    return parts.dtype_in(x, INDICES) or TensorType((*x.shape, weight.shape[1]), weight.dtype)


def _prelu(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, weight = inputs
    problem = _one_dtype(args, x, ("weight",))
    if problem or not weight.shape or (len(weight.shape) == 1 and same(weight.shape[0], 1)):
        return problem or x
    slopes = x.shape[1] if len(x.shape) > 1 else 1
    return _shaped(args, "weight", (slopes,)) or x


def _bilinear(args: Args, inputs: Inputs) -> TensorType | Reject:
    left, right = inputs[:2]
    weight = _weight(args, 3, "[out, in1, in2]")
    problem = _one_dtype(args, left, ("input2", "weight", "bias"))
    for x in (left, right):
        problem = problem or parts.number_of_axes(x, range(1, 20), "[…, features]")
    if problem or isinstance(weight, Reject):
        return problem or weight
    pairs = zip(left.shape[:-1], right.shape[:-1], strict=False)
    if len(left.shape) != len(right.shape) or any(same(a, b) is False for a, b in pairs):
        return Reject(None, str(left), str(right), f"my inputs {left} and {right} differ in front of their features")
    out = weight.shape[0]
    fits = _shaped(args, "weight", (out, left.shape[-1], right.shape[-1])) or _shaped(args, "bias", (out,))
    return fits or left._replace(shape=(*left.shape[:-1], out))


def _bilinear_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    left, right = inputs[:2]
    return product(result.shape) * left.shape[-1] * (right.shape[-1] + 1)


# --- normalisations ---------------------------------------------------------------------------------------------------

_STATISTICS = ("running_mean", "running_var", "weight", "bias")


def _channels_fit(args: Args, x: TensorType, names: Iterable[str]) -> Reject | None:
    problem = parts.number_of_axes(x, range(2, 20), "[N, C, …]") or _one_dtype(args, x, names)
    return problem or next((p for name in names if (p := _shaped(args, name, (x.shape[1],)))), None)


def _batch_norm(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = _channels_fit(args, x, _STATISTICS)
    if problem is None and not args["training"] and args["running_mean"] is None:
        reason = "without `training` I need the running statistics"
        problem = Reject("running_mean", "a tensor", "None", reason)
    if problem is None and args["training"] and same(batch_values(x), 1):
        problem = Reject(None, "several values", "one value", f"each channel of {x} has one value, and I need several")
    return problem or _both_statistics(args) or x


def _instance_norm(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = _channels_fit(args, x, _STATISTICS)
    if problem is None and args["use_input_stats"] and same(product(x.shape[2:]), 1):
        problem = Reject(None, "several values", "one value", f"each channel of {x} has one value, and I need several")
    if problem is None and not args["use_input_stats"] and args["running_mean"] is None:
        reason = "without `use_input_stats` I need the running statistics"
        problem = Reject("running_mean", "a tensor", "None", reason)
    return problem or _both_statistics(args) or x


def _both_statistics(args: Args) -> Reject | None:
    if (args["running_mean"] is None) == (args["running_var"] is None):
        return None
    missing = "running_mean" if args["running_mean"] is None else "running_var"
    reason = "`running_mean` and `running_var` are given together"
    return Reject(missing, "a tensor", "None", reason)


def _group_norm(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.at_least(args, 1, "num_groups") or _channels_fit(args, x, ("weight", "bias"))
    problem = problem or parts.divides(args, "num_groups", x.shape[1], "channels")
    if problem is None and same(product(x.shape) // parts.size(args, "num_groups"), 1):
        problem = Reject(None, "several values", "one value", f"each group of {x} has one value, and I need several")
    return problem or x


def _layer_norm(args: Args, inputs: Inputs) -> TensorType | Reject:
    """layer_norm and rms_norm: the last axes are `normalized_shape`, and so are the weights."""
    x, wanted = inputs[0], args["normalized_shape"]
    if not isinstance(wanted, tuple | list):
        reason = f"`normalized_shape` is a list of sizes, such as [{wanted}]"
        return Reject("normalized_shape", f"[{wanted}]", str(wanted), reason)
    names = tuple(name for name in ("weight", "bias") if name in args)
    problem = _one_dtype(args, x, names) or ends_with(x, tuple(wanted))
    problem = problem or next((p for name in names if (p := _shaped(args, name, tuple(wanted)))), None)
    return problem or x


def _of_convolution(n: int, transposed: bool) -> Rule:
    name = f"F.conv_transpose{n}d" if transposed else f"F.conv{n}d"
    shape, macs = partial(_convolution, n, transposed), partial(_convolution_macs, n, transposed)
    return Rule(shape, macs=macs, function=Function(name))


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    **{f"conv{n}d": _of_convolution(n, False) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _of_convolution(n, True) for n in (1, 2, 3)},
    "embedding": Rule(_embedding, function=Function("F.embedding")),
    "prelu": Rule(_prelu, function=Function("F.prelu")),
    "bilinear": Rule(_bilinear, macs=_bilinear_macs, function=Function("F.bilinear")),
    "batch_norm": Rule(_batch_norm, function=Function("F.batch_norm")),
    "instance_norm": Rule(_instance_norm, function=Function("F.instance_norm")),
    "group_norm": Rule(_group_norm, function=Function("F.group_norm")),
    "layer_norm": Rule(_layer_norm, function=Function("F.layer_norm")),
    "rms_norm": Rule(_layer_norm, function=Function("F.rms_norm")),
}
