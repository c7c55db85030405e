"""Random questions about layers of sequences: recurrent layers, attention, transformers.

In: nothing. Out: `STRATEGIES`, by family, each a strategy of `Case`s; `NAMES`, the layers they ask about.
Guarantees: inputs, states and masks fit each other, except for one thing in about half of the cases.
Leaves to others: the comparison (`test_rules`).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netc import catalog
from netc.catalog.entry import LayerValue
from netc.shapes import TensorType
from tests.catalog.draws import OMITTED, Pair, flag, omitted, one_of, sizes
from tests.catalog.referee import Case

BAD_DTYPES = ("float64", "float16", "bfloat16", "int64", "bool")
PROBABILITY: Pair = one_of(0.0, 0.5, 1.0), one_of(-0.5, 1.5)
COUNT: Pair = sizes(1, 3), sizes(-1, 0)
NAMES = [
    *(kind + suffix for kind in ("RNN", "LSTM", "GRU") for suffix in ("", "Cell")),
    *("MultiheadAttention", "Transformer"),
    *(f"Transformer{kind}{suffix}" for kind in ("Encoder", "Decoder") for suffix in ("", "Layer")),
]


class Wild:
    """Which thing of a case is drawn ill-formed."""

    def __init__(self, draw: st.DrawFn, *things: str) -> None:
        self.draw = draw
        self.thing = draw(st.sampled_from([""] * (len(things) // 2 + 1) + list(things)))

    def options(self, pairs: dict[str, Pair], *needed: str) -> dict[str, Any]:
        """Values for parameters: given, left out, or one of them ill-formed."""
        found = {}
        for name, (good, bad) in pairs.items():
            if name == self.thing:
                found[name] = self.draw(bad)
            elif name in needed or self.draw(st.booleans()):
                found[name] = self.draw(good)
        return {name: value for name, value in found.items() if value is not OMITTED}

    def tensor(self, thing: str, *shape: int) -> TensorType:
        """A float32 tensor of this shape, or, where this is the thing, one that differs in a size, an axis or dtype."""
        if self.thing != thing:
            return TensorType(shape)
        how = self.draw(one_of("size", "size", "more axes", "fewer axes", "dtype"))
        if how == "dtype":
            return TensorType(shape, self.draw(st.sampled_from(BAD_DTYPES)))
        if how == "size":
            i = self.draw(sizes(0, len(shape) - 1))
            changed = shape[i] + self.draw(one_of(-1, 1, 2))
            return TensorType((*shape[:i], max(changed, 1), *shape[i + 1 :]))
        return TensorType((*shape, 2) if how == "more axes" else shape[: -1 if len(shape) < 3 else -2])


@st.composite
def recurrent(draw: st.DrawFn) -> Case:
    """RNN, LSTM, GRU: with and without initial states."""
    kind = draw(one_of("RNN", "LSTM", "GRU"))
    pairs: dict[str, Pair] = {
        "input_size": (omitted, one_of(1, 3, 7)),
        "hidden_size": (sizes(2, 4), sizes(-1, 0)),
        "num_layers": COUNT,
        "bias": (flag, flag),
        "batch_first": (flag, flag),
        "dropout": PROBABILITY,
        "bidirectional": (flag, flag),
    }
    if kind == "LSTM":
        pairs["proj_size"] = one_of(0, 1), one_of(-1, 2, 4, 5)
    if kind == "RNN":
        pairs["nonlinearity"] = one_of("tanh", "relu"), one_of("gelu", "sigmoid")
    flags = ("bias", "batch_first", "bidirectional")
    wild = Wild(draw, *(name for name in pairs if name not in flags), "input", "state", "state", "state", "count")
    args = wild.options(pairs, "hidden_size")
    time, batch, features = draw(st.tuples(sizes(1, 4), sizes(1, 3), sizes(1, 4)))
    x = wild.tensor("input", *((batch, time) if args.get("batch_first") else (time, batch)), features)
    rows = max(args.get("num_layers", 1), 1) * (2 if args.get("bidirectional") else 1)
    hidden = max(args["hidden_size"], 1)
    return Case("layer", kind, args, (x, *_states(draw, wild, kind, (rows, batch), args.get("proj_size", 0), hidden)))


def _states(
    draw: st.DrawFn, wild: Wild, kind: str, lead: tuple[int, ...], width: int, hidden: int
) -> tuple[TensorType, ...]:
    """The initial states, if they are given; one too few or, where torch can tell, too many."""
    first = wild.tensor("state", *lead, max(width, 0) or hidden)
    second = wild.tensor("state", *lead, hidden) if draw(st.booleans()) else TensorType((*lead, hidden))
    states = (first, second) if kind.startswith("LSTM") else (first,)
    if wild.thing == "count":
        return states[:1] if kind.startswith("LSTM") else (first, first)
    return states if wild.thing == "state" or draw(st.booleans()) else ()


@st.composite
def cells(draw: st.DrawFn) -> Case:
    """RNNCell, LSTMCell, GRUCell."""
    kind = draw(one_of("RNNCell", "LSTMCell", "GRUCell"))
    pairs: dict[str, Pair] = {
        "input_size": (omitted, one_of(1, 3, 7)),
        "hidden_size": (sizes(1, 4), one_of(-1, -2)),
        "bias": (flag, flag),
    }
    if kind == "RNNCell":
        pairs["nonlinearity"] = one_of("tanh", "relu"), one_of("gelu", "sigmoid")
    wild = Wild(draw, *(name for name in pairs if name != "bias"), "input", "state", "state", "count")
    args = wild.options(pairs, "hidden_size")
    batch, features = draw(st.tuples(sizes(1, 3), sizes(1, 4)))
    x = wild.tensor("input", batch, features)
    return Case("layer", kind, args, (x, *_states(draw, wild, kind, (batch,), 0, max(args["hidden_size"], 1))))


class Attention:
    """The sizes of one attention, for its masks."""

    def __init__(self, batch: int, queries: int, keys: int, heads: int) -> None:
        self.batch, self.queries, self.keys, self.heads = batch, queries, keys, heads

    def masks(self, wild: Wild, attention: str, padding: str) -> dict[str, Any]:
        """The two masks, each often left out; ill-formed in a size, in the number of axes or in the dtype."""
        draw, found = wild.draw, {}
        two = self.queries, self.keys
        shape = draw(st.sampled_from([two, two, (self.batch * max(self.heads, 1), *two)]))
        for name, wanted in ((attention, shape), (padding, (self.batch, self.keys))):
            if name == wild.thing:
                found[name] = _bad_mask(draw, wanted)
            elif draw(one_of(True, False, False)):
                found[name] = TensorType(wanted, draw(one_of("bool", "float32")))
        return found


def _bad_mask(draw: st.DrawFn, shape: tuple[int, ...]) -> TensorType:
    how = draw(one_of("size", "axes", "dtype"))
    if how == "dtype":
        return TensorType(shape, draw(one_of("int64", "float64", "uint8")))
    if how == "axes":
        return TensorType((*shape, 1) if draw(st.booleans()) else shape[-1:], "bool")
    i = draw(sizes(0, len(shape) - 1))
    return TensorType((*shape[:i], shape[i] + 1, *shape[i + 1 :]), "bool")


def _hints(wild: Wild, masks: dict[str, Any], **pairs: str) -> dict[str, Any]:
    """`is_causal` where there is the mask that it speaks of, or, ill-formed, where there is none."""
    found = {}
    for hint, mask in pairs.items():
        if hint == wild.thing:
            found[hint] = True
        elif wild.draw(one_of(True, False, False)):
            found[hint] = mask in masks and wild.draw(st.booleans())
    return found


@st.composite
def attentions(draw: st.DrawFn) -> Case:
    """MultiheadAttention of one tensor, and of three."""
    heads, size = draw(st.tuples(sizes(1, 3), sizes(1, 3)))
    embed = heads * size
    kdim, vdim = draw(st.sampled_from([(None, None)] * 3 + [(2, 5), (embed, 3), (4, None)]))
    pairs: dict[str, Pair] = {
        "embed_dim": (one_of(OMITTED, OMITTED, embed), one_of(-1, 0, embed + 1)),
        "num_heads": (st.just(heads), one_of(-1, 0, embed + 1)),
        "dropout": (one_of(0.0, 0.5), one_of(0.25)),
        **dict.fromkeys(("bias", "add_bias_kv", "add_zero_attn", "batch_first"), (flag, flag)),
        **dict.fromkeys(("need_weights", "average_attn_weights"), (flag, flag)),
    }
    things = ("query", "key", "key", "value", "kdim", "vdim", "attn_mask", "key_padding_mask", "is_causal", "count")
    wild = Wild(draw, "embed_dim", "num_heads", *things)
    args = wild.options(pairs, "num_heads")
    args |= {n: v for n, v in (("kdim", kdim), ("vdim", vdim)) if v is not None or draw(st.booleans())}
    batch, length, keys = draw(st.tuples(sizes(1, 3), sizes(1, 4), sizes(1, 4)))
    alone = draw(st.booleans()) and kdim is None and vdim is None and wild.thing not in ("key", "value")
    keys = length if alone else keys
    masks = Attention(batch, length, keys, heads).masks(wild, "attn_mask", "key_padding_mask")
    args |= masks | _hints(wild, masks, is_causal="attn_mask")

    def layout(time: int) -> tuple[int, int]:
        return (batch, time) if args.get("batch_first") else (time, batch)

    inputs = [wild.tensor("query", *layout(length), embed)]
    if not alone:
        for name, width in (("key", kdim), ("value", vdim)):
            wrong = 1 if name[0] + "dim" == wild.thing else 0
            inputs.append(wild.tensor(name, *layout(keys), (width or embed) + wrong))
    if wild.thing == "count" and not alone:
        inputs = inputs[:2]
    return Case("layer", "MultiheadAttention", args, tuple(inputs))


def _layer_options(heads: int, width: int) -> dict[str, Pair]:
    return {
        "d_model": (one_of(OMITTED, OMITTED, width), one_of(-1, 0, width + 1)),
        "nhead": (st.just(heads), one_of(-1, 0, width + 1)),
        "dim_feedforward": (sizes(1, 3), one_of(-1, -2)),
        "dropout": PROBABILITY,
        "activation": (one_of("relu", "gelu"), one_of("tanh", "silu")),
        "layer_norm_eps": (one_of(1e-5, 1e-3), one_of(0.1)),
        "batch_first": (flag, flag),
        "norm_first": (flag, flag),
        "bias": (flag, flag),
    }


_FAULTS = ("d_model", "nhead", "dim_feedforward", "dropout", "activation")
_TWO = ("tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask", "tgt_is_causal",
        "memory_is_causal")  # fmt: skip


@st.composite
def encoders(draw: st.DrawFn) -> Case:
    """TransformerEncoderLayer, and TransformerEncoder with and without a norm."""
    stacked = draw(st.booleans())
    mask = "mask" if stacked else "src_mask"
    wild = Wild(draw, *_FAULTS, "input", "input", mask, "src_key_padding_mask", "is_causal", *_STACK[: stacked * 9])
    heads, size = draw(st.tuples(sizes(1, 3), sizes(1, 2)))
    args = wild.options(_layer_options(heads, heads * size), "nhead")
    batch, length = draw(st.tuples(sizes(1, 3), sizes(1, 4)))
    masks = Attention(batch, length, length, heads).masks(wild, mask, "src_key_padding_mask")
    masks |= _hints(wild, masks, is_causal=mask)
    layout = (batch, length) if args.get("batch_first") else (length, batch)
    inputs = (wild.tensor("input", *layout, heads * size),)
    if not stacked:
        return Case("layer", "TransformerEncoderLayer", args | masks, inputs)
    given = _stack(wild, "encoder_layer", "TransformerEncoderLayer", args, heads * size)
    given |= wild.options({"enable_nested_tensor": (flag, flag), "mask_check": (flag, flag)})
    return Case("layer", "TransformerEncoder", given | masks, inputs)


_STACK = ("num_layers", "norm", "other layer")


def _stack(wild: Wild, name: str, layer: str, args: dict[str, Any], width: int) -> dict[str, Any]:
    """The arguments of a stack; its layer may be one that no stack takes, the norm one of another size."""
    draw = wild.draw
    entry = catalog.layer("Linear" if wild.thing == "other layer" else layer)
    assert entry is not None
    found: dict[str, Any] = {name: LayerValue(entry, {"out_features": width} if entry.name == "Linear" else args)}
    if wild.thing == "norm" or draw(st.booleans()):
        kind = draw(one_of("LayerNorm", "LayerNorm", "RMSNorm", "Identity"))
        norm = catalog.layer("LayerNorm" if wild.thing == "norm" else kind)
        assert norm is not None
        wrong = {"normalized_shape": width + 1} if wild.thing == "norm" else {}
        found["norm"] = LayerValue(norm, wrong)
    return found | wild.options({"num_layers": COUNT}, "num_layers")


@st.composite
def decoders(draw: st.DrawFn) -> Case:
    """TransformerDecoderLayer, and TransformerDecoder with and without a norm."""
    stacked = draw(st.booleans())
    wild = Wild(draw, *_FAULTS, "input", "memory", "memory", *_TWO, *_STACK[: stacked * 9])
    heads, size = draw(st.tuples(sizes(1, 3), sizes(1, 2)))
    args = wild.options(_layer_options(heads, heads * size), "nhead")
    masks, inputs = _target(wild, heads, heads * size, bool(args.get("batch_first")), ("input", "memory"))
    if not stacked:
        return Case("layer", "TransformerDecoderLayer", args | masks, inputs)
    given = _stack(wild, "decoder_layer", "TransformerDecoderLayer", args, heads * size)
    return Case("layer", "TransformerDecoder", given | masks, inputs)


def _target(
    wild: Wild, heads: int, width: int, batch_first: bool, names: tuple[str, str]
) -> tuple[dict[str, Any], tuple[TensorType, TensorType]]:
    """The masks of a decoder, and its target and memory."""
    batch, length, keys = wild.draw(st.tuples(sizes(1, 3), sizes(1, 4), sizes(1, 4)))
    masks = Attention(batch, length, length, heads).masks(wild, "tgt_mask", "tgt_key_padding_mask")
    masks |= Attention(batch, length, keys, heads).masks(wild, "memory_mask", "memory_key_padding_mask")
    masks |= _hints(wild, masks, tgt_is_causal="tgt_mask", memory_is_causal="memory_mask")
    shapes = [(batch, n) if batch_first else (n, batch) for n in (length, keys)]
    first, second = (wild.tensor(name, *shape, width) for name, shape in zip(names, shapes, strict=True))
    return masks, (first, second)


@st.composite
def transformers(draw: st.DrawFn) -> Case:
    """The whole Transformer."""
    hints = ("src_mask", "src_key_padding_mask", "src_is_causal", *_TWO)
    wild = Wild(draw, *_FAULTS, "input", "input", "memory", *hints, "num_encoder_layers", "num_decoder_layers")
    heads, size = draw(st.tuples(sizes(1, 3), sizes(1, 2)))
    pairs = _layer_options(heads, heads * size) | {"num_encoder_layers": COUNT, "num_decoder_layers": COUNT}
    args = wild.options(pairs, "nhead", "num_encoder_layers", "num_decoder_layers", "dim_feedforward")
    masks, (target, source) = _target(wild, heads, heads * size, bool(args.get("batch_first")), ("input", "memory"))
    if len(source.shape) == 3:
        batch, length = source.shape[:2] if args.get("batch_first") else source.shape[1::-1]
        assert isinstance(batch, int)
        assert isinstance(length, int)
        own = Attention(batch, length, length, heads).masks(wild, "src_mask", "src_key_padding_mask")
        masks |= own | _hints(wild, own, src_is_causal="src_mask")
    return Case("layer", "Transformer", args | masks, (source, target))


STRATEGIES = {
    "recurrent": recurrent(), "cells": cells(), "attention": attentions(), "encoders": encoders(),
    "decoders": decoders(), "transformer": transformers(),
}  # fmt: skip
