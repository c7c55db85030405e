"""Transformers: the encoder's and the decoder's layer, stacks of them, and the whole.

In: arguments, the stacked layer among them as a `LayerValue`, types of the inputs, masks by name. Out: shapes,
parameters, multiply-adds, or the reason of a refusal.
Guarantees: the sizes of torch, and its refusals on the CPU in training; the inputs always have their batch axis.
Leaves to others: attention itself; layers written by the user, which torch's stacks don't take either.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import LayerValue, Param, Rule
from netc.catalog.rules import attention, parts
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs, Result

    Sizes = dict[str, tuple[Dim, ...]]

ACTIVATIONS = ("relu", "gelu")
SOURCE = ("src_mask", "src_key_padding_mask", "is_causal")
TARGET = ("tgt_mask", "tgt_key_padding_mask", "tgt_is_causal")
MEMORY = ("memory_mask", "memory_key_padding_mask", "memory_is_causal")


# --- one layer --------------------------------------------------------------------------------------------------------


def _encoder_layer(args: Args, inputs: Inputs) -> Result:
    return _count(inputs, 1, "one sequence") or _encodes(args, inputs[0], attention.masks(args, *SOURCE)) or inputs[0]


def _decoder_layer(args: Args, inputs: Inputs) -> Result:
    problem = _count(inputs, 2, "the target and the memory")
    own, other = attention.masks(args, *TARGET), attention.masks(args, *MEMORY)
    return problem or _decodes(args, inputs[0], inputs[1], own, other) or inputs[0]


def _count(inputs: Inputs, count: int, what: str) -> Reject | None:
    if len(inputs) == count:
        return None
    reason = f"I take {what}, and {parts.plural(len(inputs), 'tensor')} arrive"
    return Reject(None, parts.plural(count, "input"), str(len(inputs)), reason)


def _options(args: Args) -> Reject | None:
    given = args["activation"]
    if given not in ACTIVATIONS:
        return Reject("activation", '"relu" or "gelu"', repr(given), f"there is no activation {given!r} here")
    return (
        parts.at_least(args, 1, "d_model", "nhead")
        or parts.divides(args, "nhead", parts.size(args, "d_model"), "features")
        or parts.at_least(args, 0, "dim_feedforward")
        or parts.probability(args, "dropout")
    )


def _features_fit(args: Args, what: str, x: TensorType) -> Reject | None:
    """Refuses a tensor that is no batch of sequences with `d_model` features."""
    problem = attention.sequence(args, x) or parts.dtype_in(x, parts.WEIGHTS)
    width = parts.size(args, "d_model")
    if problem or same(x.shape[-1], width) is not False:
        return problem
    reason = f"the {what} has {x.shape[-1]} features, and `d_model` is {width}"
    return Reject(None, str(width), str(x.shape[-1]), reason)


def _encodes(args: Args, x: TensorType, masks: attention.Masks) -> Reject | None:
    return (
        _options(args)
        or _features_fit(args, "input", x)
        or attention.masks_fit(masks, attention.lengths(args, "nhead", x, x), x.dtype)
    )


def _decodes(
    args: Args, x: TensorType, memory: TensorType, own: attention.Masks, other: attention.Masks
) -> Reject | None:
    problem = _options(args) or _features_fit(args, "target", x) or _features_fit(args, "memory", memory)
    batch = 0 if args["batch_first"] else 1
    if problem is None and same(x.shape[batch], memory.shape[batch]) is False:
        problem = attention.different_batches("target", x.shape[batch], "memory", memory.shape[batch])
    return (
        problem
        or attention.masks_fit(own, attention.lengths(args, "nhead", x, x), x.dtype)
        or attention.masks_fit(other, attention.lengths(args, "nhead", x, memory), x.dtype)
    )


def _d_model(args: Args, inputs: Inputs) -> Dim | Reject:
    return parts.agreed(args, "d_model", attention.sequence(args, inputs[0]) or inputs[0].shape[-1], "features")


def _layer_state(attentions: tuple[str, ...], args: Args) -> Sizes:
    """The attentions by name, the two linear layers, and a norm for each of these."""
    width, inner, bias = parts.size(args, "d_model"), parts.size(args, "dim_feedforward"), bool(args["bias"])
    plain = {"embed_dim": width, "kdim": None, "vdim": None, "bias": bias, "add_bias_kv": False}
    found = {f"{name}.{key}": shape for name in attentions for key, shape in attention.state(plain).items()}
    found |= _weights("linear1", (inner, width), inner, bias)
    found |= _weights("linear2", (width, inner), width, bias)
    for i in range(len(attentions) + 1):
        found |= _weights(f"norm{i + 1}", (width,), width, bias)
    return found


def _weights(name: str, shape: tuple[Dim, ...], rows: Dim, bias: bool) -> Sizes:
    return {f"{name}.weight": shape, **({f"{name}.bias": (rows,)} if bias else {})}


def _encoder_layer_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The matrix products of the attention, as MultiheadAttention counts them, and of the two linear layers."""
    x = inputs[0]
    return _attended(args, x, x) + _fed_forward(args, x)


def _decoder_layer_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The matrix products of the two attentions and of the two linear layers."""
    x, memory = inputs
    return _attended(args, x, x) + _attended(args, x, memory) + _fed_forward(args, x)


def _attended(args: Args, query: TensorType, key: TensorType) -> Dim:
    return attention.cost(query, key, key, parts.size(args, "d_model"), 0, bool(args["batch_first"]))


def _fed_forward(args: Args, x: TensorType) -> Dim:
    return 2 * product(x.shape) * parts.size(args, "dim_feedforward")


# --- stacks -----------------------------------------------------------------------------------------------------------


def _encoder(args: Args, inputs: Inputs) -> Result:
    problem = _count(inputs, 1, "one sequence") or parts.stack(args, "num_layers")
    inner = problem or _stacked(args, "encoder_layer", "TransformerEncoderLayer", inputs)
    if isinstance(inner, Reject):
        return inner
    masks = attention.masks(args, "mask", "src_key_padding_mask", "is_causal")
    problem = _encodes(inner, inputs[0], masks)
    return _blamed("encoder_layer", problem, inner) if problem else _normed(args, inputs[0])


def _decoder(args: Args, inputs: Inputs) -> Result:
    problem = _count(inputs, 2, "the target and the memory") or parts.stack(args, "num_layers")
    inner = problem or _stacked(args, "decoder_layer", "TransformerDecoderLayer", inputs)
    if isinstance(inner, Reject):
        return inner
    own, other = attention.masks(args, *TARGET), attention.masks(args, *MEMORY)
    problem = _decodes(inner, inputs[0], inputs[1], own, other)
    return _blamed("decoder_layer", problem, inner) if problem else _normed(args, inputs[0])


def _stacked(args: Args, name: str, wanted: str, inputs: Inputs) -> Args | Reject:
    """The arguments of the layer that a stack repeats."""
    value = args[name]
    if not isinstance(value, LayerValue) or value.entry.name != wanted:
        got = value.entry.name if isinstance(value, LayerValue) else str(value)
        return Reject(name, wanted, got, f"`{name}` must be a {wanted}, and is {got}")
    inner = parts.filled(value, inputs)
    return _blamed(name, inner, value.args) if isinstance(inner, Reject) else inner


def _blamed(name: str, problem: Reject, inner: Args) -> Reject:
    """A refusal by the inner layer, as one of the stack's argument; masks and inputs are the stack's own."""
    own = problem.argument in inner and problem.argument not in (*SOURCE, *TARGET, *MEMORY)
    return problem._replace(argument=name) if own else problem


def _normed(args: Args, x: TensorType) -> Result:
    """What the norm after the last layer gives, if there is one."""
    norm = args["norm"]
    if norm is None:
        return x
    if not isinstance(norm, LayerValue) or norm.entry.rule is None:
        return Reject("norm", "a layer such as LayerNorm", str(norm), "`norm` must be a layer that I can follow")
    inner = parts.filled(norm, (x,))
    result = inner if isinstance(inner, Reject) else norm.entry.rule.shape(inner, (x,))
    if isinstance(result, Reject):
        return result._replace(argument="norm")
    return result if isinstance(result, TensorType) else _one_result(norm)


def _one_result(norm: LayerValue) -> Reject:
    return Reject("norm", "a layer of one result", norm.entry.name, f"`norm` gives several results ({norm.entry.name})")


def _stack_state(name: str, args: Args) -> Sizes:
    """The layers by number, then the norm; with a symbol for `num_layers`, the first layer alone."""
    value, norm, count = args[name], args["norm"], args["num_layers"]
    layer = _own_state(value)
    layers = range(count if isinstance(count, int) else 1)
    found = {f"layers.{i}.{key}": shape for i in layers for key, shape in layer.items()}
    return {**found, **_prefixed("norm", _own_state(norm))}


def _own_state(value: object) -> Sizes:
    if not isinstance(value, LayerValue) or value.entry.rule is None or value.entry.rule.state is None:
        return {}
    return dict(value.entry.rule.state(value.args))


def _prefixed(name: str, state: Sizes) -> Sizes:
    return {f"{name}.{key}": shape for key, shape in state.items()}


def _stack_buffers(args: Args) -> dict[str, tuple[tuple[Dim, ...], str]]:
    """Those of the norm, which may be one with statistics."""
    norm = args["norm"]
    if not isinstance(norm, LayerValue) or norm.entry.rule is None or norm.entry.rule.buffers is None:
        return {}
    return {f"norm.{key}": what for key, what in norm.entry.rule.buffers(norm.args).items()}


def _stack_macs(name: str, args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """One layer's multiply-adds times the number of layers; the norm has none."""
    value = args[name]
    if not isinstance(value, LayerValue) or value.entry.rule is None or value.entry.rule.macs is None:
        return 0
    inner = parts.filled(value, inputs)
    return (
        0
        if isinstance(inner, Reject)
        else parts.size(args, "num_layers") * value.entry.rule.macs(inner, inputs, result)
    )


# --- the whole --------------------------------------------------------------------------------------------------------


def _transformer(args: Args, inputs: Inputs) -> Result:
    problem = (
        _count(inputs, 2, "the source and the target")
        or _only_torchs(args)
        or parts.stack(args, "num_encoder_layers", "num_decoder_layers")
    )
    if problem:
        return problem
    source, target = inputs
    own = attention.masks(args, *TARGET)
    first = attention.masks(args, "src_mask", "src_key_padding_mask", "src_is_causal")
    problem = _encodes(args, source, first)
    return problem or _decodes(args, target, source, own, attention.masks(args, *MEMORY)) or target


def _only_torchs(args: Args) -> Reject | None:
    for name in ("custom_encoder", "custom_decoder"):
        if args[name] is not None:
            reason = f"I can't look into a `{name}`; write the encoder and the decoder as two layers"
            return Reject(name, "None", "a layer", reason)
    return None


def _transformer_state(args: Args) -> Sizes:
    """Both stacks with their norms; with a symbol for a number of layers, the first layer alone."""
    found: Sizes = {}
    width, bias = parts.size(args, "d_model"), bool(args["bias"])
    for name, attentions in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "multihead_attn"))):
        layer, count = _layer_state(attentions, args), args[f"num_{name}_layers"]
        for i in range(count if isinstance(count, int) else 1):
            found |= _prefixed(f"{name}.layers.{i}", layer)
        found |= _weights(f"{name}.norm", (width,), width, bias)
    return found


def _transformer_macs(args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The matrix products of all layers."""
    source, target = inputs
    encoder = parts.size(args, "num_encoder_layers") * _encoder_layer_macs(args, (source,), source)
    return encoder + parts.size(args, "num_decoder_layers") * _decoder_layer_macs(args, (target, source), target)


def _forward(*names: str, causal: tuple[str, ...] = (), guessed: tuple[str, ...] = ()) -> tuple[Param, ...]:
    """Masks, then the hints: `guessed` ones may be None, which lets torch compare the mask."""
    found = [Param(name, "tensor|None", None) for name in names]
    found += [Param(name, "bool|None", None) for name in guessed]
    return (*found, *(Param(name, "bool", False) for name in causal))


_TWO_MASKS = ("tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
_INFERS = {"d_model": _d_model}
LAYERS = {
    "TransformerEncoderLayer": Rule(
        _encoder_layer,
        _INFERS,
        partial(_layer_state, ("self_attn",)),
        macs=_encoder_layer_macs,
        forward=_forward("src_mask", "src_key_padding_mask", causal=("is_causal",)),
    ),
    "TransformerDecoderLayer": Rule(
        _decoder_layer,
        _INFERS,
        partial(_layer_state, ("self_attn", "multihead_attn")),
        macs=_decoder_layer_macs,
        forward=_forward(*_TWO_MASKS, causal=("tgt_is_causal", "memory_is_causal")),
    ),
    "TransformerEncoder": Rule(
        _encoder,
        state=partial(_stack_state, "encoder_layer"),
        buffers=_stack_buffers,
        macs=partial(_stack_macs, "encoder_layer"),
        forward=_forward("mask", "src_key_padding_mask", guessed=("is_causal",)),
    ),
    "TransformerDecoder": Rule(
        _decoder,
        state=partial(_stack_state, "decoder_layer"),
        buffers=_stack_buffers,
        macs=partial(_stack_macs, "decoder_layer"),
        forward=_forward(*_TWO_MASKS, guessed=("tgt_is_causal",), causal=("memory_is_causal",)),
    ),
    "Transformer": Rule(
        _transformer,
        _INFERS,
        _transformer_state,
        macs=_transformer_macs,
        forward=_forward(
            "src_mask",
            "tgt_mask",
            "memory_mask",
            "src_key_padding_mask",
            "tgt_key_padding_mask",
            "memory_key_padding_mask",
            guessed=("src_is_causal", "tgt_is_causal"),
            causal=("memory_is_causal",),
        ),
    ),
}
FUNCTIONS: dict[str, Rule] = {}
