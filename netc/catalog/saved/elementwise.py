"""What functions of each element save: activations, dropouts, arithmetic, casts.

In: a call. Out: its result; the tape has what backward needs. The facts are those of torch 2.15 on a CPU; the tests run
every one of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netc.catalog.saved.call import Call, made, saving
from netc.catalog.saved.tape import Value

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _shaped(x: Value, c: Call) -> Value:
    """The input in the dtype of the result: whole numbers are widened before the function is applied."""
    return x if x.dtype == c.result.dtype else x._replace(dtype=c.result.dtype)


def _unary(letters: str, t: Tape, c: Call) -> Results:
    if c["inplace"]:
        return _in_place(letters, t, c)
    return t.pointwise(c.x, letters, c.result.dtype)


def _in_place(letters: str, t: Tape, c: Call) -> Results:
    """The result takes the input's memory; where the derivative needs the input, a copy of it is kept."""
    if c.x.grad:
        t.save(c.x if "x" not in letters else t.like(c.x))
    return c.x


def _in_place_by_result(t: Tape, c: Call) -> Results:
    """LeakyReLU, ELU and its kin: in place the derivative is taken from the result."""
    return _unary("y" if c["inplace"] else "x", t, c)


_SAVES = {
    "x": "abs acos acosh asin asinh atan atanh cos cosh sin sinh log log10 log1p log2 lgamma erf erfc erfinv sinc "
    "square nan_to_num angle gelu hardsigmoid hardswish hardtanh hardshrink mish relu6 silu softplus softshrink "
    "threshold glu",
    "y": "exp exp2 expm1 reciprocal rsqrt sqrt tan tanh sigmoid relu",
    "": "ceil floor round trunc frac neg sign conj_physical clone tril triu",
}  # fmt: skip
_FLAGS = (
    "all any isfinite isinf isnan logical_and logical_not logical_or logical_xor eq ge gt le lt ne empty_like "
    "full_like ones_like rand_like randn_like zeros_like"
)
CASTS = {
    "bfloat16": "bfloat16", "bool": "bool", "double": "float64", "float": "float32", "half": "float16",
    "int": "int32", "long": "int64", "short": "int16", "to": None, "type_as": None,
}  # fmt: skip


def _glu(t: Tape, c: Call) -> Results:
    t.save(*([c.x] if c.x.grad else []))
    return made(t, c)


def _softmax(t: Tape, c: Call) -> Value:
    """Also log_softmax and softmin; the result is kept, and lies as its input."""
    y = t.like(c.x, c.result.dtype)
    if y.grad:
        t.save(y)
    return y


def _gumbel(t: Tape, c: Call) -> Results:
    y = _softmax(t, c)
    return t.add(y, y) if c["hard"] else y


def _log_sigmoid(t: Tape, c: Call) -> Results:
    if c.x.grad:
        t.save(c.x, *([] if t.cuda else [t.like(c.x)]))
    return t.like(c.x, c.result.dtype)


def _rrelu(t: Tape, c: Call) -> Results:
    if c["training"] is False:
        return _in_place_by_result(t, c)
    if c.x.grad:
        t.save(t.like(c.x), *([] if c["inplace"] else [c.x]))
        if c["inplace"]:
            t.save(c.x)
    return c.x if c["inplace"] else t.like(c.x)


def _soft_sign(t: Tape, c: Call) -> Results:
    """x / (1 + |x|)"""
    x = _shaped(c.x, c)
    return t.div(x, t.pointwise(x, "x"), c.result.dtype)


def _tanh_shrink(t: Tape, c: Call) -> Results:
    """x - tanh(x)"""
    return t.add(t.pointwise(_shaped(c.x, c), "y"), c.x)


def _parametric(t: Tape, c: Call) -> Results:
    """prelu: its weight is kept where the input learns, and the input in any case."""
    y = t.broadcast(c.inputs[:1])._replace(grad=c.grad)
    if c.grad:
        t.save(*c.inputs, *c.weights.values())
    return y


def _clamp(t: Tape, c: Call) -> Results:
    y = t.broadcast([c.x, *c.inputs[1:]], c.result.dtype)
    bounds = [v for v in (c["min"], c["max"]) if isinstance(v, Value)]
    if y.grad:
        t.save(c.x, *bounds)
    return y


def _dropout(axes: int | None, t: Tape, c: Call) -> Results:
    """`axes` of the input have a mask of their own; None: all of them."""
    training = c["training"] is not False
    p = c["p"]
    x = c.x
    shape = None
    if axes is not None:
        lead = 1 if axes == 1 or (c["batched"] is False) else axes
        shape = x.shape[:lead] + (1,) * (x.dim - lead)
    y = t.dropout(x, p, training, shape)
    return x if c["inplace"] else y


def _alpha_dropout(t: Tape, c: Call) -> Results:
    """Its mask has numbers on every device."""
    x = c.x
    y = t.dropout(x, c["p"], c["training"] is not False, x.shape)
    return x if c["inplace"] else y


def _feature_dropout(spatial: int, t: Tape, c: Call) -> Results:
    """Channels are dropped: one element of the mask for each."""
    x = c.x
    unbatched = (spatial == 1 and x.dim == 2) or (spatial == 3 and x.dim == 4)
    if spatial != 2 and x.dim < spatial + 2 and (unbatched or spatial == 3):
        inner = c.replace(inputs=(t.unsqueeze(x, 0),))
        y = _dropout(2, t, inner)
        assert isinstance(y, Value)
        return y._replace(shape=x.shape, strides=y.strides[1:])
    return _dropout(2, t, c)


# --- operators --------------------------------------------------------------------------------------------------------


def _tensor(value: Any) -> Value | None:
    return value if isinstance(value, Value) else None


def _dtype(c: Call) -> str:
    return str(c.result.dtype)


def product(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    """a * b, one of which may be a number."""
    if isinstance(a, Value) and isinstance(b, Value):
        return t.mul(a, b, dtype)
    return t.like(a if isinstance(a, Value) else b, dtype)


def quotient(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    """a / b, one of which may be a number."""
    if isinstance(a, Value) and isinstance(b, Value):
        return t.div(a, b, dtype)
    if isinstance(a, Value):
        return t.like(a, dtype)
    return t.like(t.pointwise(b, "y", dtype))  # the inverse, times the number


def power(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    """a ** b, one of which may be a number."""
    if isinstance(a, Value) and not isinstance(b, Value):
        return t.pointwise(a, "x", dtype)
    if not isinstance(a, Value):
        return t.pointwise(b, "xy", dtype)
    y = t.broadcast((a, b), dtype)
    if y.grad:
        t.save(a, b, *([y] if b.grad else []))
    return y


def _plain(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    return t.broadcast([v for v in (a, b) if isinstance(v, Value)], dtype)


def _rest(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    """a % b: for the gradient of b both are kept."""
    y = _plain(t, a, b, dtype)
    if isinstance(b, Value) and b.grad and isinstance(a, Value):
        t.save(a, b)
    return y


def _both(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    y = _plain(t, a, b, dtype)
    if y.grad:
        t.save(*(v for v in (a, b) if isinstance(v, Value)))
    return y


def _no_gradient(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    return _plain(t, a, b, dtype)._replace(grad=False)


def _of_matrices(t: Tape, a: Any, b: Any, dtype: str) -> Value:
    return t.matmul(a, b)


OPERATORS = {
    "+": _plain, "-": _plain, "*": product, "/": quotient, "**": power, "//": _plain, "%": _rest, "@": _of_matrices,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), _no_gradient),
}  # fmt: skip


def _operation(rule: Any, first: str, second: str, t: Tape, c: Call) -> Results:
    y: Value = rule(t, c[first], c[second], _dtype(c))
    return y


def _number_only(t: Tape, c: Call) -> Results:
    return made(t, c, grad=False)


def _cast(t: Tape, c: Call) -> Results:
    return t.cast(c.x, _dtype(c))


def _same(t: Tape, c: Call) -> Results:
    return c.x


def _detached(t: Tape, c: Call) -> Results:
    return c.x._replace(grad=False)


def _contiguous(t: Tape, c: Call) -> Results:
    return t.contiguous(c.x)


def _normalize(t: Tape, c: Call) -> Results:
    """x / max(norm, eps)"""
    x, shape = c.x, list(c.x.shape)
    shape[c["dim"]] = 1
    norm = t.new(shape, x.dtype, x.grad)
    if x.grad:
        t.save(x, norm)
    return t.div(x, t.expand(t.pointwise(norm, ""), x.shape))


def _where(t: Tape, c: Call) -> Results:
    y = t.broadcast(c.inputs, _dtype(c))
    y = y._replace(grad=any(v.grad for v in c.inputs))
    if y.grad:
        t.save(c["condition"])
    return y


def _complex(t: Tape, c: Call) -> Results:
    """Each part that learns keeps itself, for its dtype."""
    t.save(*(v for v in c.inputs if v.grad))
    return made(t, c)


def _lerp(t: Tape, c: Call) -> Results:
    y = t.broadcast(c.inputs, _dtype(c))
    a, b, w = c["input"], c["end"], c["weight"]
    if y.grad and isinstance(w, Value):
        t.save(w, *([a, b] if w.grad else []))
    return y


FUNCTIONS: dict[str, Fact] = {
    **{name: partial(_unary, letters) for letters, names in _SAVES.items() for name in names.split()},
    **dict.fromkeys(_FLAGS.split(), _number_only),
    **dict.fromkeys(CASTS, _cast),
    **{name: partial(_operation, OPERATORS[op], "input", "other") for name, op in (
        ("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/"), ("floor_divide", "//"), ("remainder", "%"),
        ("fmod", "%"),
    )},
    **{name: partial(_operation, _both, "input", "other") for name in ("maximum", "minimum", "atan2")},
    "pow": partial(_operation, power, "input", "exponent"),
    **dict.fromkeys(("leaky_relu", "elu", "celu", "selu"), _in_place_by_result),
    "glu": _glu, "softmax": _softmax, "log_softmax": _softmax, "softmin": _softmax, "gumbel_softmax": _gumbel,
    "logsigmoid": _log_sigmoid, "rrelu": _rrelu, "softsign": _soft_sign, "tanhshrink": _tanh_shrink,
    "prelu": _parametric, "clamp": _clamp, "clip": _clamp, "lerp": _lerp,
    "dropout": partial(_dropout, None), "alpha_dropout": _alpha_dropout,
    "feature_alpha_dropout": partial(_dropout, 2),
    **{f"dropout{n}d": partial(_feature_dropout, n) for n in (1, 2, 3)},
    "contiguous": _contiguous, "detach": _detached, "normalize": _normalize, "where": _where,
    "masked_fill": saving("z"), "complex": _complex, "polar": saving("y"),
}  # fmt: skip
LAYERS: dict[str, Fact] = {
    "Identity": _same, "PReLU": _parametric, "Softmax2d": _softmax, "LogSigmoid": _log_sigmoid,
    "FeatureAlphaDropout": partial(_dropout, 2), "AlphaDropout": _alpha_dropout,
}  # fmt: skip
