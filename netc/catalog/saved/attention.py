"""What attention saves, and the layers that are made of it.

In: a call. Out: its result. `scaled_dot_product_attention` has two ways on a CPU: its fused kernel, which keeps query,
key, value, result and a number for each query; and, with dropout or values of another width, plain products, which keep
every weight of the attention three times. On a GPU the fused kernels take dropout too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.saved.call import Call
from netc.catalog.saved.inner import apply
from netc.catalog.saved.tape import Value

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def attend(t: Tape, q: Value, k: Value, v: Value, mask: Value | None, p: float, groups: bool = False) -> Value:
    """softmax(q @ k.T / sqrt(d) + mask) @ v, over the last two axes. With `groups`, k and v may have fewer heads."""
    lead = 4 - q.dim
    if lead > 0 and q.dim == k.dim == v.dim == 3:
        q, k, v = (t.unsqueeze(x, 0) for x in (q, k, v))
        y = attend(t, q, k, v, mask, p, groups)
        return y._replace(shape=y.shape[1:], strides=y.strides[1:])
    if _fused(t, q, k, v, mask, p, groups):
        y = t.like(q, grad=q.grad or k.grad or v.grad)
        if y.grad:
            number = t.new((*q.shape[:-2], q.shape[-2]))
            t.save(q, k, v, y, number, *([] if mask is None else [_added(t, mask, q)]))
        return y
    if groups:
        k, v = (_repeated(t, x, q.shape[-3]) for x in (k, v))
    return _products(t, t.like(q), t.like(k), v, mask, p)


def _fused(t: Tape, q: Value, k: Value, v: Value, mask: Value | None, p: float, groups: bool) -> bool:
    learns = mask is not None and mask.grad
    fits = q.dim == k.dim == v.dim == 4 and q.shape[-1] == k.shape[-1] == v.shape[-1]
    heads = 1 if groups else 2
    fits = fits and q.shape[:heads] == k.shape[:heads] and k.shape[:2] == v.shape[:2] and 0 not in q.shape + k.shape
    fits = fits and all(x.strides[-1] == 1 or x.shape[-1] == 1 for x in (q, k, v))
    fits = fits and (mask is None or mask.dim in (2, 4))
    return fits and not learns and (p == 0 or t.cuda)


def _added(t: Tape, mask: Value, q: Value) -> Value:
    """A mask of truth values becomes one of numbers that are added."""
    return mask if mask.dtype != "bool" else t.new(mask.shape, q.dtype)


def _products(t: Tape, q: Value, k: Value, v: Value, mask: Value | None, p: float, trained: bool = False) -> Value:
    scores = t.matmul(q, t.transpose(k, -2, -1))
    if mask is not None and mask.grad:
        scores = scores._replace(grad=True)
    weights = t.dropout(t.pointwise(scores, "y"), p)
    return t.matmul(weights, v)


def _function(t: Tape, c: Call) -> Results:
    q, k, v = c["query"], c["key"], c["value"]
    mask = c["attn_mask"] if isinstance(c["attn_mask"], Value) else None
    return attend(t, q, k, v, mask, c["dropout_p"], bool(c["enable_gqa"]) and q.dim > 2)


def _repeated(t: Tape, x: Value, heads: int) -> Value:
    shape = (*x.shape[:-3], heads, *x.shape[-2:])
    return x if x.shape == shape else t.new(shape, x.dtype, x.grad)


# --- several heads ----------------------------------------------------------------------------------------------------


class Heads:
    """MultiheadAttention: its sizes and its parameters, under a prefix where it stands in another layer."""

    def __init__(self, c: Call, prefix: str = "", heads: str = "num_heads", dropout: str = "dropout") -> None:
        self.weights = {n.removeprefix(prefix): w for n, w in c.weights.items() if n.startswith(prefix)}
        self.heads: int = c[heads]
        self.p: float = c[dropout]
        self.batch_first = bool(c["batch_first"])
        self.zero = bool(c["add_zero_attn"]) and not prefix

    def apply(
        self,
        t: Tape,
        q: Value,
        k: Value,
        v: Value,
        mask: Value | None,
        padding: Value | None,
        need_weights: bool,
        causal: bool = False,
        averaged: bool = True,
    ) -> tuple[Value, Value | None]:
        """The result and, if they are wanted, the weights."""
        if self.batch_first:
            turned = {id(x): t.transpose(x, 0, 1) for x in (q, k, v)}
            q, k, v = (turned[id(x)] for x in (q, k, v))
        length, batch, width = q.shape
        size = width // self.heads
        q, k, v = self._projected(t, q, k, v)
        if "bias_k" in self.weights:
            k, v = (self._longer(t, x, self.weights[n]) for x, n in ((k, "bias_k"), (v, "bias_v")))
        q, k, v = (t.transpose(t.reshape(x, (x.shape[0], batch * self.heads, size)), 0, 1) for x in (q, k, v))
        if self.zero:
            k, v = (t.new((x.shape[0], x.shape[1] + 1, x.shape[2]), x.dtype, x.grad) for x in (k, v))
        if causal and padding is None and not need_weights:
            mask = None  # the hint serves in its place
        mask = self._merged(t, mask, padding, batch, length, k.shape[1])
        y, weights = (self._with_weights if need_weights else self._fused)(t, q, k, v, mask, batch, causal, averaged)
        y = t.linear(y, self.weights["out_proj.weight"], self.weights.get("out_proj.bias"))
        y = t.reshape(y, (length, batch, width))
        return (t.transpose(y, 0, 1) if self.batch_first else y), weights

    def _projected(self, t: Tape, q: Value, k: Value, v: Value) -> tuple[Value, Value, Value]:
        bias = self.weights.get("in_proj_bias")
        packed = self.weights.get("in_proj_weight")
        width = q.shape[-1]
        if packed is None:
            several = [t.linear(x, self.weights[f"{n}_proj_weight"], bias) for x, n in ((q, "q"), (k, "k"), (v, "v"))]
            return several[0], several[1], several[2]
        part = packed._replace(shape=(width, packed.shape[1]))
        if q is k and k is v:
            a, b, c = self._packed(t, q, packed, 3, bias)
            return a, b, c
        if k is v:
            first = t.linear(q, part, bias)
            a, b = self._packed(t, k, packed._replace(shape=(2 * width, packed.shape[1])), 2, bias)
            return first, a, b
        return t.linear(q, part, bias), t.linear(k, part, bias), t.linear(v, part, bias)

    @staticmethod
    def _packed(t: Tape, x: Value, weight: Value, count: int, bias: Value | None) -> list[Value]:
        made = t.linear(x, weight, bias)
        whole = t.new((count, *x.shape[:-1], made.shape[-1] // count), made.dtype, made.grad)
        return [whole._replace(shape=whole.shape[1:], strides=whole.strides[1:])] * count

    @staticmethod
    def _longer(t: Tape, x: Value, bias: Value) -> Value:
        return t.new((x.shape[0] + 1, *x.shape[1:]), x.dtype, x.grad or bias.grad)

    def _merged(
        self, t: Tape, mask: Value | None, padding: Value | None, batch: int, length: int, source: int
    ) -> Value | None:
        if padding is not None and mask is None:
            shown = padding if padding.dtype != "bool" else t.new(padding.shape)
            wide = t.expand(t.reshape(shown, (batch, 1, 1, -1)), (batch, self.heads, 1, shown.shape[-1]))
            return t.reshape(wide, (batch * self.heads, 1, -1)) if shown.shape[-1] == source else self._whole(
                t, batch, 1, source)  # fmt: skip
        if padding is not None:
            return self._whole(t, batch, length, source)
        if mask is None or mask.dim == 3:
            return None if mask is None else _added(t, mask, t.new(()))
        longer = mask.shape[-1] != source
        return t.new((1, length, source)) if longer or mask.dtype == "bool" else t.unsqueeze(mask, 0)

    def _whole(self, t: Tape, batch: int, length: int, source: int) -> Value:
        return t.new((batch * self.heads, length, source))

    def _fused(
        self, t: Tape, q: Value, k: Value, v: Value, mask: Value | None, batch: int, causal: bool, averaged: bool
    ) -> tuple[Value, None]:
        length = q.shape[1]
        if mask is not None:
            mask = t.unsqueeze(mask, 0) if mask.shape[0] == 1 else t.reshape(mask, (batch, self.heads, *mask.shape[1:]))
        q, k, v = (t.reshape(x, (batch, self.heads, *x.shape[1:])) for x in (q, k, v))
        y = attend(t, q, k, v, mask, self.p)
        return t.reshape(t.permute(y, (2, 0, 1, 3)), (batch * length, -1)), None

    def _with_weights(
        self, t: Tape, q: Value, k: Value, v: Value, mask: Value | None, batch: int, causal: bool, averaged: bool
    ) -> tuple[Value, Value]:
        length = q.shape[1]
        scores = t.mm(t.like(q), t.transpose(k, -2, -1))
        weights = t.dropout(t.pointwise(scores, "y"), self.p)
        y = t.reshape(t.transpose(t.mm(weights, v), 0, 1), (length * batch, -1))
        by_head = t.reshape(weights, (batch, self.heads, length, k.shape[1]))
        shown = t.new((batch, length, k.shape[1]), weights.dtype, weights.grad) if averaged else by_head
        return y, shown


def _optional(value: Any) -> Value | None:
    return value if isinstance(value, Value) else None


def _multi_head(t: Tape, c: Call) -> Results:
    several = c.inputs[:1] * 3 if len(c.inputs) - _masks(c) < 3 else c.inputs[:3]
    q, k, v = several
    wanted = c["need_weights"] is not False and not hasattr(c.result, "dtype")
    y, weights = Heads(c).apply(t, q, k, v, _optional(c["attn_mask"]), _optional(c["key_padding_mask"]), wanted,
                                bool(c["is_causal"]), c["average_attn_weights"] is not False)  # fmt: skip
    return y if weights is None else (y, weights)


def _masks(c: Call) -> int:
    given = [c["attn_mask"], c["key_padding_mask"]]
    return sum(isinstance(m, Value) and any(m is x for x in c.inputs) for m in given)


# --- transformers -----------------------------------------------------------------------------------------------------


class Block:
    """What the layers of an encoder and a decoder share: blocks with a norm and a residual path."""

    def __init__(self, t: Tape, c: Call, prefix: str = "") -> None:
        self.t = t
        self.c = c
        self.weights = {n.removeprefix(prefix): w for n, w in c.weights.items() if n.startswith(prefix)}
        self.own = c.replace(weights=self.weights)
        self.p: float = c["dropout"]

    def norm(self, name: str, x: Value) -> Value:
        return self.t.layer_norm(x, 1, self.weights[f"{name}.weight"].grad)

    def linear(self, name: str, x: Value) -> Value:
        return self.t.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def attention(self, name: str, x: Value, memory: Value, masks: tuple[Any, ...], causal: bool) -> Value:
        heads = Heads(self.own, f"{name}.", "nhead")
        y, _ = heads.apply(self.t, x, memory, memory, _optional(masks[0]), _optional(masks[1]), False, causal)
        return self.t.dropout(y, self.p)

    def feed_forward(self, x: Value) -> Value:
        y = self.t.pointwise(self.linear("linear1", x), "y" if self.c["activation"] == "relu" else "x")
        return self.t.dropout(self.linear("linear2", self.t.dropout(y, self.p)), self.p)

    def encode(self, x: Value, masks: tuple[Any, ...], causal: bool) -> Value:
        t = self.t
        if self.c["norm_first"]:
            n = self.norm("norm1", x)
            x = t.add(x, self.attention("self_attn", n, n, masks, causal))
            return t.add(x, self.feed_forward(self.norm("norm2", x)))
        x = self.norm("norm1", t.add(x, self.attention("self_attn", x, x, masks, causal)))
        return self.norm("norm2", t.add(x, self.feed_forward(x)))

    def decode(self, x: Value, memory: Value, own: tuple[Any, Any, bool], other: tuple[Any, Any, bool]) -> Value:
        t = self.t
        if self.c["norm_first"]:
            n = self.norm("norm1", x)
            x = t.add(x, self.attention("self_attn", n, n, own[:2], own[2]))
            x = t.add(x, self.attention("multihead_attn", self.norm("norm2", x), memory, other[:2], other[2]))
            return t.add(x, self.feed_forward(self.norm("norm3", x)))
        x = self.norm("norm1", t.add(x, self.attention("self_attn", x, x, own[:2], own[2])))
        x = self.norm("norm2", t.add(x, self.attention("multihead_attn", x, memory, other[:2], other[2])))
        return self.norm("norm3", t.add(x, self.feed_forward(x)))


def _sides(c: Call, *names: str) -> tuple[Any, Any, bool]:
    mask, padding, causal = (c[n] for n in names)
    return mask, padding, bool(causal)


def _numbers(t: Tape, *masks: Any) -> tuple[Any, ...]:
    """Masks of truth values as those of numbers, once for all layers."""
    return tuple(_added(t, m, t.new(())) if isinstance(m, Value) else m for m in masks)


def _encoder_layer(t: Tape, c: Call) -> Results:
    mask, padding, causal = _sides(c, "src_mask", "src_key_padding_mask", "is_causal")
    return Block(t, c).encode(c.x, _numbers(t, mask, padding), causal)


_OWN = ("tgt_mask", "tgt_key_padding_mask", "tgt_is_causal")
_OTHER = ("memory_mask", "memory_key_padding_mask", "memory_is_causal")


def _decoder_layer(t: Tape, c: Call) -> Results:
    return Block(t, c).decode(c.x, c.inputs[1], _sides(c, *_OWN), _sides(c, *_OTHER))


def _inner(c: Call, name: str) -> Call:
    """The call with the arguments of the layer that is stacked."""
    return c.replace(args={**c[name].args, **{n: v for n, v in c.args.items() if n not in c[name].args}})


def _stack_norm(t: Tape, c: Call, x: Value) -> Value:
    return apply(t, c["norm"], x, c.weights, "norm.", x.shape[-1])


def _encoder(t: Tape, c: Call) -> Results:
    x, inner = c.x, _inner(c, "encoder_layer")
    masks = _numbers(t, c["mask"], c["src_key_padding_mask"])
    for i in range(c["num_layers"]):
        x = Block(t, inner, f"layers.{i}.").encode(x, masks, bool(c["is_causal"]))
    return _stack_norm(t, c, x)


def _decoder(t: Tape, c: Call) -> Results:
    x, inner = c.x, _inner(c, "decoder_layer")
    for i in range(c["num_layers"]):
        x = Block(t, inner, f"layers.{i}.").decode(x, c.inputs[1], _sides(c, *_OWN), _sides(c, *_OTHER))
    return _stack_norm(t, c, x)


def _transformer(t: Tape, c: Call) -> Results:
    memory, x = c.inputs[:2]
    source = _sides(c, "src_mask", "src_key_padding_mask", "src_is_causal")
    masks = _numbers(t, *source[:2])
    for i in range(c["num_encoder_layers"]):
        memory = Block(t, c, f"encoder.layers.{i}.").encode(memory, masks, source[2])
    memory = t.layer_norm(memory, 1, c.weights["encoder.norm.weight"].grad)
    for i in range(c["num_decoder_layers"]):
        x = Block(t, c, f"decoder.layers.{i}.").decode(x, memory, _sides(c, *_OWN), _sides(c, *_OTHER))
    return t.layer_norm(x, 1, c.weights["decoder.norm.weight"].grad)


FUNCTIONS: dict[str, Fact] = {"scaled_dot_product_attention": _function}
LAYERS: dict[str, Fact] = {
    "MultiheadAttention": _multi_head, "TransformerEncoderLayer": _encoder_layer,
    "TransformerDecoderLayer": _decoder_layer, "TransformerEncoder": _encoder, "TransformerDecoder": _decoder,
    "Transformer": _transformer,
}  # fmt: skip
