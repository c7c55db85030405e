"""What the layers of torchvision.ops save; those that are made of others play these."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.saved.call import Call, made
from netc.catalog.saved.inner import apply
from netc.catalog.saved.tape import Value

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _conv(t: Tape, x: Value, weight: Value, sizes: tuple[int, ...]) -> Value:
    if x.grad or weight.grad:
        t.save(*([x] if weight.grad else []), *([weight] if x.grad else []))
    return t.new((x.shape[0], weight.shape[0], *sizes), x.dtype, x.grad or weight.grad)


def _squeeze_excitation(t: Tape, c: Call) -> Results:
    x, one = c.x, (1,) * (c.x.dim - 2)
    y = t.new((*x.shape[:2], *one), x.dtype, x.grad)
    y = apply(t, c["activation"], _conv(t, y, c.weights["fc1.weight"], one), {})
    y = apply(t, c["scale_activation"], _conv(t, y, c.weights["fc2.weight"], one), {})
    return t.mul(y, x)


def _norm_activation(t: Tape, c: Call) -> Results:
    """A convolution, a norm if there is one, an activation if there is one, in place unless it is said otherwise."""
    y = _conv(t, c.x, c.weights["0.weight"], c.result.shape[2:])
    y = apply(t, c["norm_layer"], y, c.weights, "1.", y.shape[1])
    inplace = c["inplace"]
    return apply(t, c["activation_layer"], y, {}, inplace=inplace is None or inplace)


def _mlp(t: Tape, c: Call) -> Results:
    x, index, hidden = c.x, 0, c["hidden_channels"]
    inplace = bool(c["inplace"])
    for i, _ in enumerate(hidden):
        last = i == len(hidden) - 1
        x = t.linear(x, c.weights[f"{index}.weight"], c.weights.get(f"{index}.bias"))
        index += 1
        if not last and c["norm_layer"] is not None:
            x = apply(t, c["norm_layer"], x, c.weights, f"{index}.", hidden[i])
            index += 1
        if not last:
            x = apply(t, c["activation_layer"], x, {}, inplace=None if c["inplace"] is None else inplace)
            index += 1
        dropped = t.dropout(x, c["dropout"])
        x = x if inplace else dropped
        index += 1
    return x


def _frozen_norm(t: Tape, c: Call) -> Results:
    """x * scale + bias, whose scale isn't learned."""
    return t.mul(c.x, t.new((1, c.x.shape[1], *(1,) * (c.x.dim - 2))))


def _stochastic_depth(t: Tape, c: Call) -> Results:
    p = c["p"]
    if p == 0 or c["training"] is False:
        return c.x
    lead = c.x.shape[:1] if c["mode"] == "row" else (1,)
    return t.mul(c.x, t.new(lead + (1,) * (c.x.dim - 1), c.x.dtype))


def _drop_block(t: Tape, c: Call) -> Results:
    if c["p"] == 0:
        return c.x
    y = t.mul(c.x, t.new(c.x.shape, c.x.dtype))
    return t.mul(y, t.new((), c.x.dtype))


def _regions(extra: bool, t: Tape, c: Call) -> Results:
    """The boxes; of pools also from where each number is."""
    y = made(t, c)
    if c.grad:
        t.save(c.inputs[1], *([t.new(c.result.shape, "int32")] if extra else []))
    return y


def _deformed(t: Tape, c: Call) -> Results:
    """Input, offsets and mask; without a mask or a bias a small one in its place."""
    if c.grad:
        t.save(*c.inputs, *([] if len(c.inputs) > 2 else [t.new((c.x.shape[0], 1))]))
        t.save(*([] if c["bias"] else [t.new((c["out_channels"],))]))
    return made(t, c)


FUNCTIONS: dict[str, Fact] = {}
LAYERS: dict[str, Fact] = {
    "SqueezeExcitation": _squeeze_excitation, "Conv2dNormActivation": _norm_activation,
    "Conv3dNormActivation": _norm_activation, "MLP": _mlp, "FrozenBatchNorm2d": _frozen_norm,
    "StochasticDepth": _stochastic_depth, "DropBlock2d": _drop_block, "DropBlock3d": _drop_block,
    "DeformConv2d": _deformed, "RoIAlign": partial(_regions, False), "RoIPool": partial(_regions, True),
    "PSRoIAlign": partial(_regions, True), "PSRoIPool": partial(_regions, True),
}  # fmt: skip
