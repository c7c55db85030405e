"""Layers of torchvision.ops: convolutions with norm and activation, squeeze and excitation, stochastic depth, regions.

In: arguments and the types of the inputs; a layer that is an argument comes as a `LayerValue`. Out: shapes, parameters,
buffers, multiply-adds, or the reason of a refusal.
Guarantees: the sizes, the state dict and the refusals of torchvision on the CPU, in training and evaluation alike.
Leaves to others: the layers that these are made of (`convolution`, `linear`, and whatever an argument gives).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.entry import REQUIRED, Function, LayerValue, Rule
from netc.catalog.rules import convolution, linear, parts, reshaping
from netc.shapes import Dim, Reject, Size, TensorType, at_most, less, product, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.catalog.entry import Args, Inputs

    State = dict[str, tuple[Dim, ...]]
    Buffers = dict[str, tuple[tuple[Dim, ...], str]]


class Part(NamedTuple):
    """A child of a composite: its name in the state dict, what it is, and all its arguments."""

    name: str
    rule: Rule
    args: Args


Composition = list[Part] | Reject


def _made(argument: str, name: str, value: object, given: Mapping[str, object]) -> Part | Reject:
    """The child that a factory makes: its own arguments, and those that the composite hands to it.

    A `given` name of "" is the first parameter of whatever the factory is, such as `num_features` of a norm.
    """
    assert isinstance(value, LayerValue), value
    entry = value.entry
    names = [p.name for p in entry.params]
    handed = {(names[0] if n == "" and names else n): v for n, v in given.items()}
    for n in handed:
        if n not in names:
            expected = f"a layer that takes `{n}`" if n else "a layer that takes a size"
            return Reject(argument, expected, entry.name, f"`{entry.name}` takes no `{n}`, and I hand it one")
        if n in value.args and "" in given:  # by position, where a keyword would be replaced
            return Reject(argument, f"without `{n}`", entry.name, f"`{n}` of `{entry.name}` is set by me")
    if entry.rule is None:
        return Reject(argument, "a layer that I can follow", entry.name, f"I can't follow `{entry.name}` in here")
    args = {p.name: p.default for p in entry.params} | dict(value.args) | handed
    missing = next((n for n in names if args[n] is REQUIRED), None)
    if missing is not None:
        return Reject(argument, f"`{missing}`", entry.name, f"`{entry.name}` needs `{missing}`, which I don't give it")
    return Part(name, entry.rule, args)


def _through(parts_: Composition, x: TensorType) -> TensorType | Reject:
    """One child after the other."""
    if isinstance(parts_, Reject):
        return parts_
    for part in parts_:
        refused = (found for infer in part.rule.infers.values() if isinstance(found := infer(part.args, (x,)), Reject))
        result = next(refused, None) or part.rule.shape(part.args, (x,))
        if isinstance(result, Reject):
            return result
        assert isinstance(result, TensorType)
        x = result
    return x


def _state(compose: Callable[[Args], Composition], args: Args) -> State:
    found = compose(args)
    if isinstance(found, Reject):
        return {}
    return {f"{p.name}.{n}": s for p in found if p.rule.state for n, s in p.rule.state(p.args).items()}


def _buffers(compose: Callable[[Args], Composition], args: Args) -> Buffers:
    found = compose(args)
    if isinstance(found, Reject):
        return {}
    return {f"{p.name}.{n}": b for p in found if p.rule.buffers for n, b in p.rule.buffers(p.args).items()}


def _total_macs(compose: Callable[[Args], Composition], args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The multiply-adds of all children."""
    found = compose(args)
    x = inputs[0]
    total: Dim = 0
    for part in [] if isinstance(found, Reject) else found:
        after = part.rule.shape(part.args, (x,))
        assert isinstance(after, TensorType)
        total = total + (part.rule.macs(part.args, (x,), after) if part.rule.macs else 0)
        x = after
    return total


# --- convolution, norm, activation ------------------------------------------------------------------------------------


def _convolution(n: int, name: str, given: Mapping[str, object]) -> Part:
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
    return Part(name, convolution.LAYERS[f"Conv{n}d"], defaults | dict(given))


def _half_padding(args: Args) -> object:
    """The padding that keeps the size where the stride is 1 and the kernel odd."""
    if args["padding"] is not None:
        return args["padding"]
    kernel, dilation = parts.dims(args["kernel_size"]), parts.dims(args["dilation"])
    count = max(len(kernel), len(dilation))
    pairs = zip(parts.spread(kernel, count), parts.spread(dilation, count), strict=True)
    padding = tuple((k - 1) // 2 * d for k, d in pairs)
    return padding[0] if count == 1 else padding


def _conv_norm(n: int, args: Args) -> Composition:
    norm, activation = args["norm_layer"], args["activation_layer"]
    bias = norm is None if args["bias"] is None else args["bias"]
    names = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    given = {name: args[name] for name in names} | {"padding": _half_padding(args), "bias": bias}
    found: list[Part] = [_convolution(n, "0", given)]
    out = parts.size(args, "out_channels")
    for argument, value, handed in (
        ("norm_layer", norm, {"": out}),
        ("activation_layer", activation, {} if args["inplace"] is None else {"inplace": args["inplace"]}),
    ):
        part = None if value is None else _made(argument, str(len(found)), value, handed)
        if isinstance(part, Reject):
            return part
        found += [] if part is None else [part]
    return found


def _composed(compose: Callable[[Args], Composition], args: Args, inputs: Inputs) -> TensorType | Reject:
    return _through(compose(args), inputs[0])


# --- multi-layer perceptron -------------------------------------------------------------------------------------------


def _perceptron(args: Args) -> Composition:
    sizes = args["hidden_channels"]
    if not isinstance(sizes, tuple | list) or not sizes:
        reason = f"`hidden_channels` is a list of sizes, at least one, and not {sizes}"
        return Reject("hidden_channels", "a list of sizes", str(sizes), reason)
    inplace = {} if args["inplace"] is None else {"inplace": args["inplace"]}
    found: list[Part] = []
    arriving = args["in_channels"]
    for i, size in enumerate(sizes):
        last = i == len(sizes) - 1
        between = _between(args, inplace, size, len(found) + 1) if not last else []
        if isinstance(between, Reject):
            return between
        given = {"in_features": arriving, "out_features": size, "bias": args["bias"]}
        found += [Part(str(len(found)), linear.LAYERS["Linear"], given), *between]
        dropout = _dropout(args, len(found))
        if isinstance(dropout, Reject):
            return dropout
        found.append(dropout)
        arriving = size
    return found


def _between(args: Args, inplace: Mapping[str, object], size: Dim, at: int) -> Composition:
    """The norm, where there is one, and the activation."""
    found: list[Part] = []
    if args["norm_layer"] is not None:
        norm = _made("norm_layer", str(at), args["norm_layer"], {"": size})
        if isinstance(norm, Reject):
            return norm
        found.append(norm)
    if args["activation_layer"] is None:
        return Reject("activation_layer", "a layer", "None", "between two linear layers stands an activation")
    activation = _made("activation_layer", str(at + len(found)), args["activation_layer"], inplace)
    return activation if isinstance(activation, Reject) else [*found, activation]


def _dropout(args: Args, at: int) -> Part | Reject:
    problem = parts.probability(args, "dropout")
    return problem or Part(str(at), Rule(parts.same_type), {})


# --- squeeze and excitation -------------------------------------------------------------------------------------------


def _excitation(args: Args) -> Composition:
    channels, squeezed = args["input_channels"], args["squeeze_channels"]
    found = [
        _convolution(2, "fc1", {"in_channels": channels, "out_channels": squeezed, "kernel_size": 1}),
        _convolution(2, "fc2", {"in_channels": squeezed, "out_channels": channels, "kernel_size": 1}),
    ]
    for argument in ("activation", "scale_activation"):
        part = _made(argument, argument, args[argument], {})
        if isinstance(part, Reject):
            return part
        found.append(part)
    return found


def _excitation_order(args: Args) -> Composition:
    """The children in the order in which they act."""
    found = _excitation(args)
    return found if isinstance(found, Reject) else [found[0], found[2], found[1], found[3]]


def _excitation_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    from netc.catalog.rules.arithmetic import broadcast

    x = inputs[0]
    problem = parts.spatial(x, 2) or parts.at_least(args, 1, "squeeze_channels")
    scale = problem or _through(_excitation_order(args), x._replace(shape=(*x.shape[:2], 1, 1)))
    return scale if isinstance(scale, Reject) else broadcast(scale, x)


def _excitation_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    x = inputs[0]
    squeezed = x._replace(shape=(*x.shape[:2], 1, 1))
    return _total_macs(_excitation_order, args, (squeezed,), squeezed) + product(x.shape)


# --- dropping ---------------------------------------------------------------------------------------------------------


def _depth_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, mode = inputs[0], args["mode"]
    if mode not in ("batch", "row"):
        return Reject("mode", '"batch" or "row"', repr(mode), f'`mode` is "batch" or "row", not {mode!r}')
    if mode == "row" and not x.shape and args["p"] != 0:
        return parts.number_of_axes(x, range(1, 20), "[N, …]") or x
    return parts.probability(args, "p") or (x if args["p"] in (0, 1) else parts.dtype_in(x, parts.FLOATS) or x)


def _block_shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.probability(args, "p") or parts.spatial(x, n)
    if problem or args["p"] == 0:
        return problem or x
    block = _least([parts.size(args, "block_size"), *x.shape[2:]])
    if block is not None and (less(block, 1) or same(block % 2, 0)):
        reason = f"the block is {block} wide, and must be odd"
        return Reject("block_size", "an odd number", str(block), reason)
    return parts.dtype_in(x, parts.NUMBERS) or (x if x.dtype in parts.FLOATS else x._replace(dtype="float32"))


def _least(sizes: list[Dim]) -> Dim | None:
    """The smallest of the sizes, None where it depends on symbols."""
    return next((s for s in sizes if all(at_most(s, other) for other in sizes)), None)


# --- norm and regions -------------------------------------------------------------------------------------------------


def _frozen_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    from netc.catalog.rules.arithmetic import broadcast

    x = inputs[0]
    return parts.spatial(x, 2) or broadcast(x, TensorType((1, parts.size(args, "num_features"), 1, 1)))


def _frozen_buffers(args: Args) -> Buffers:
    shape = (parts.size(args, "num_features"),)
    return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (shape, "float32"))


def _regions(per_position: bool, args: Args, inputs: Inputs) -> TensorType | Reject:
    """Pools of regions: [N, C, H, W] and regions [K, 5] give [K, C, height, width].

    `per_position`: each element of the result has channels of its own, of which the input must hold that many times.
    """
    if len(inputs) != 2:
        return Reject(None, "2 inputs", str(len(inputs)), f"I take an image and its regions, and {len(inputs)} arrive")
    x, regions = inputs
    sizes = parts.spread(args["output_size"], 2)
    problem = (
        parts.spatial(x, 2)
        or parts.dtype_in(x, frozenset({"float32", "float64", "float16"}))
        or parts.number_of_axes(regions, (2,), "[K, 5]")
        or parts.at_least(args, 1, "output_size")
    )
    if problem:
        return problem
    if same(regions.shape[1], 5) is False or regions.dtype != x.dtype:
        reason = f"regions are [K, 5] of {x.dtype}: the image's number and two corners; these are {regions}"
        return Reject(None, "[K, 5]", str(regions), reason)
    channels = x.shape[1]
    if per_position:
        if same(channels % product(sizes), 0) is False:
            reason = f"{channels} channels can't be split over {sizes[0]} × {sizes[1]} positions"
            return Reject("output_size", f"a divisor of {channels}", str(args["output_size"]), reason)
        channels = channels // product(sizes)
    return x._replace(shape=(regions.shape[0], channels, *sizes))


# --- deformable convolution -------------------------------------------------------------------------------------------


def _deformed(args: Args) -> Part:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")
    return _convolution(2, "", {name: args[name] for name in names})


def _deformed_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    if len(inputs) not in (2, 3):
        return Reject(None, "2 inputs", str(len(inputs)), f"I take an image and offsets, and {len(inputs)} arrive")
    x, offset, *masks = inputs
    part = _deformed(args)
    plain = part.rule.shape(part.args, (x,))
    if isinstance(plain, Reject):
        return plain
    assert isinstance(plain, TensorType)
    kernel = product(parts.spread(args["kernel_size"], 2))
    for other, each, what in ((offset, 2 * kernel, "offsets"), *((m, kernel, "the mask") for m in masks)):
        problem = _placed(other, plain, each, what)
        problem = problem or _offset_groups(other, offset, x, each, kernel)
        if problem:
            return problem
    return plain


def _placed(x: TensorType, result: TensorType, each: Dim, what: str) -> Reject | None:
    """Refuses offsets or masks that don't fit the result: [N, groups * each, height, width]."""
    layout = f"[{result.shape[0]}, a multiple of {each}, {result.shape[2]}, {result.shape[3]}]"
    problem = parts.number_of_axes(x, (4,), layout) or parts.dtype_in(x, parts.WEIGHTS)
    if problem:
        return problem
    wrong = any(same(x.shape[i], result.shape[i]) is False for i in (0, 2, 3))
    if not wrong and same(x.shape[1] % each, 0) is not False and not same(x.shape[1], 0):
        return None
    return Reject(None, layout, str(x), f"{what} have the shape {layout}, and these are {x}")


def _offset_groups(x: TensorType, offset: TensorType, image: TensorType, each: Dim, kernel: Dim) -> Reject | None:
    """Refuses a number of offset groups that doesn't divide the channels, or another one for the mask."""
    groups = offset.shape[1] // (2 * kernel)
    if not isinstance(groups, Size) and same(image.shape[1] % groups, 0) is False:
        reason = f"{image.shape[1]} channels can't be split into {groups} groups of offsets"
        return Reject(None, f"a divisor of {image.shape[1]}", str(groups), reason)
    if same(x.shape[1], groups * each) is False:
        return Reject(None, str(groups * each), str(x.shape[1]), f"the mask needs {groups * each} channels: {x}")
    return None


def _deformed_state(args: Args) -> State:
    part = _deformed(args)
    assert part.rule.state is not None
    return dict(part.rule.state(part.args))


def _deformed_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    part = _deformed(args)
    assert part.rule.macs is not None
    return part.rule.macs(part.args, inputs[:1], result)


def _composite(compose: Callable[[Args], Composition], **infers: Callable[[Args, Inputs], Dim | Reject]) -> Rule:
    return Rule(
        partial(_composed, compose),
        infers,
        partial(_state, compose),
        partial(_buffers, compose),
        partial(_total_macs, compose),
    )


_EXCITATION = Rule(
    _excitation_shape,
    {"input_channels": parts.channels("input_channels", 2)},
    partial(_state, _excitation),
    partial(_buffers, _excitation),
    _excitation_macs,
)
LAYERS = {
    "Conv2dNormActivation": _composite(partial(_conv_norm, 2), in_channels=parts.channels("in_channels", 2)),
    "Conv3dNormActivation": _composite(partial(_conv_norm, 3), in_channels=parts.channels("in_channels", 3)),
    "MLP": _composite(_perceptron, in_channels=parts.features("in_channels")),
    "SqueezeExcitation": _EXCITATION,
    "StochasticDepth": Rule(_depth_shape),
    "DropBlock2d": Rule(partial(_block_shape, 2)),
    "DropBlock3d": Rule(partial(_block_shape, 3)),
    "Permute": Rule(reshaping.permute, function=Function(".permute")),
    "FrozenBatchNorm2d": Rule(
        _frozen_shape, {"num_features": parts.channels("num_features", 2)}, buffers=_frozen_buffers
    ),
    "RoIAlign": Rule(partial(_regions, False)),
    "RoIPool": Rule(partial(_regions, False)),
    "PSRoIAlign": Rule(partial(_regions, True)),
    "PSRoIPool": Rule(partial(_regions, True)),
    "DeformConv2d": Rule(
        _deformed_shape, {"in_channels": parts.channels("in_channels", 2)}, _deformed_state, macs=_deformed_macs
    ),
}
FUNCTIONS: dict[str, Rule] = {}
