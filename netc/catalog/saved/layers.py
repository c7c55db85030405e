"""What the layers of torch.nn save, and the functions that they apply: convolutions, norms, pools, embeddings, padding.

In: a call. Out: its result; the tape has what backward needs.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from netc.catalog.saved.call import Call, flat, made, saving
from netc.catalog.saved.tape import Value

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _weighted(t: Tape, c: Call) -> Results:
    """A convolution keeps input and weight, whichever of them learns."""
    weight = c["weight"] if isinstance(c["weight"], Value) else c.weights["weight"]
    x = c.x
    if c["padding_mode"] not in (None, "zeros"):
        x = _padded_for(t, c, x)
    y = t.new(c.result.shape, c.result.dtype, c.grad)
    if c.grad:
        t.save(x, weight)
    return y


def _padded_for(t: Tape, c: Call, x: Value) -> Value:
    """What F.pad makes of the input; reflecting and replicating keep it."""
    n = x.dim - 2
    padding = c["padding"]
    kernel = _each(c["kernel_size"], n)
    dilation = _each(c["dilation"], n)
    if padding == "same":
        more = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    else:
        more = [0] * n if padding == "valid" else [2 * p for p in _each(padding, n)]
    if x.grad and c["padding_mode"] != "circular":
        t.save(x)
    sizes = [s + m for s, m in zip(x.shape[2:], more, strict=True)]
    return t.new((*x.shape[:2], *sizes), x.dtype, x.grad)


def _each(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) * (n if len(value) == 1 else 1) if isinstance(value, tuple) else (value,) * n


def _linear(t: Tape, c: Call) -> Results:
    if c.weights:
        return t.linear(c.x, c.weights["weight"], c.weights.get("bias"))
    return t.linear(c.x, c["weight"], c["bias"])


def _bilinear(t: Tape, c: Call) -> Results:
    weight = c.weights.get("weight", c["weight"])
    a, b = c.inputs[:2]
    if c.grad:
        t.save(*([a] if b.grad or weight.grad else []), *([b] if a.grad or weight.grad else []))
        t.save(*([weight] if a.grad or b.grad else []))
    return made(t, c)


def _embedding(t: Tape, c: Call) -> Results:
    if c.grad:
        t.save(c.x)
    return made(t, c)


def _embedding_bag(t: Tape, c: Call) -> Results:
    """The indices, where their bags begin, how long each is, and which bag each is in."""
    indices = c["input"] if isinstance(c["input"], Value) else c.x
    bags, kind = c.result.shape[0], indices.dtype
    weights = [c["per_sample_weights"]] if isinstance(c["per_sample_weights"], Value) else []
    if c.grad:
        t.save(indices, *(t.new((bags,), kind) for _ in range(3)), *weights)
        if c["mode"] != "sum":
            t.save(t.new((indices.numel,), kind))
        if c["mode"] == "max":
            t.save(t.new(c.result.shape, kind))
    return made(t, c)


# --- norms ------------------------------------------------------------------------------------------------------------


def _statistics(t: Tape, x: Value, *shape: int, dtype: str | None = None) -> None:
    t.save(t.new(shape, dtype or x.dtype), t.new(shape, dtype or x.dtype))


def _given(c: Call) -> list[Value]:
    """Weights of a norm that stand in the call, those of a layer aside."""
    return [v for v in (c["weight"],) if isinstance(v, Value)]


def _batch_norm(t: Tape, c: Call) -> Results:
    """The input, and mean and inverse deviation of each channel."""
    x = c.x
    y = t.like(x, grad=c.grad)
    if c.grad:
        t.save(x, *_given(c))
        _statistics(t, x, x.shape[1], dtype="float32" if c.weights else None)
    return y


def _instance_norm(t: Tape, c: Call) -> Results:
    """A batch norm over [1, N * C, …]: what is there for each channel is repeated for each sample."""
    x = t.contiguous(c.x)
    y = t.new(x.shape, x.dtype, c.grad)
    if c.grad:
        t.save(x)
        count = x.shape[0] * x.shape[1]
        weight = c.weights.get("weight", c["weight"])
        _statistics(t, x, count, dtype="float32" if weight is not None else None)
        tracked = c["track_running_stats"] or isinstance(c["running_mean"], Value)
        if weight is not None:
            t.save(t.new((count,)))
        if tracked:
            t.save(t.new((count,)), t.new((count,)))
    return y


def _group_norm(t: Tape, c: Call) -> Results:
    x = t.contiguous(c.x)
    y = t.new(x.shape, x.dtype, c.grad)
    if c.grad:
        t.save(x, *_given(c))
        _statistics(t, x, x.shape[0], c["num_groups"])
    return y


def _layer_norm(t: Tape, c: Call) -> Results:
    x, shape = c.x, c["normalized_shape"]
    axes = len(shape) if isinstance(shape, tuple) else 1
    y = t.new(x.shape, x.dtype, c.grad)
    if c.grad:
        t.save(x, *(v for v in (c["weight"], c["bias"]) if isinstance(v, Value)))
        rows = x.shape[: x.dim - axes] + (1,) * axes
        _statistics(t, x, *rows)
    return y


def _rms_norm(t: Tape, c: Call) -> Results:
    """x / sqrt(mean(x²) + eps), times the weight: on a CPU a step after the other, on a GPU one kernel."""
    x, shape = c.x, c["normalized_shape"]
    axes = len(shape) if isinstance(shape, tuple) else 1
    weight = c.weights.get("weight", c["weight"])
    rows = t.new(x.shape[: x.dim - axes] + (1,) * axes, x.dtype, x.grad)
    if t.cuda:
        if c.grad:
            t.save(x, rows)
        return t.new(x.shape, x.dtype, c.grad)
    half = x.dtype in ("float16", "bfloat16")
    x = t.cast(x, "float32") if half else x
    squares = t.pointwise(x, "x")
    rows = t.pointwise(t.new(rows.shape, x.dtype, squares.grad), "y")
    y = t.mul(x, rows)
    y = y if weight is None else t.mul(y, weight)
    return t.cast(y, c.result.dtype)


def _local_response(t: Tape, c: Call) -> Results:
    """x / (k + alpha * mean of squares of neighbours) ** beta"""
    x = c.x
    squares = t.mul(x, x)
    size, inner = c["size"], (x.shape[2:] if x.dim > 3 else (1, *x.shape[2:]))
    flat_inner = inner if x.dim <= 4 else (inner[0], prod(inner[1:]))
    if x.dim == 3:
        padded = t.new((x.shape[0], 1, x.shape[1] + size - 1, x.shape[2]), x.dtype, x.grad)
    else:
        padded = t.new((x.shape[0], 1, x.shape[1] + size - 1, *flat_inner), x.dtype, x.grad)
    if squares.grad:
        t.save(padded)
    base = t.new(x.shape, x.dtype, x.grad)
    return t.div(x, t.pointwise(base, "x"))


# --- pools ------------------------------------------------------------------------------------------------------------


def _max_pool(t: Tape, c: Call) -> Results:
    """The input, and where in it the greatest elements are."""
    found = made(t, c)
    several = flat(found)
    if c.x.grad:
        t.save(c.x, several[1] if len(several) > 1 else t.new(several[0].shape, "int64"))
    return found


def _adaptive_average(t: Tape, c: Call) -> Results:
    """To one element it is a mean, which keeps nothing."""
    if c.x.grad and any(size != 1 for size in c.result.shape[2:]):
        t.save(c.x)
    return made(t, c)


def _power_pool(t: Tape, c: Call) -> Results:
    """(sum of x ** p) ** (1 / p), by an average of the powers."""
    y = made(t, c)
    assert isinstance(y, Value)
    if c.x.grad:
        powers = t.pointwise(c.x, "x")
        average = t.new(y.shape, y.dtype, True)
        t.save(powers)
        rectified = t.pointwise(t.pointwise(average, "x"), "y")
        t.pointwise(t.mul(t.pointwise(average, ""), rectified), "x")
    return y


def _interpolate(t: Tape, c: Call) -> Results:
    """Only "area" keeps its input: it is an adaptive average."""
    if c["mode"] == "area":
        return _adaptive_average(t, c)
    return made(t, c)


def _pad(t: Tape, c: Call) -> Results:
    if c["mode"] in ("reflect", "replicate") and c.x.grad:
        t.save(c.x)
    return made(t, c)


_CONVOLUTIONS = tuple(f"Conv{kind}{n}d" for kind in ("", "Transpose") for n in (1, 2, 3))
_FUNCTIONS_OF_CONVOLUTIONS = tuple(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))
_MAX_POOLS = ("max_pool", "adaptive_max_pool")
FUNCTIONS: dict[str, Fact] = {
    **dict.fromkeys(_FUNCTIONS_OF_CONVOLUTIONS, _weighted),
    **{f"{name}{n}d": _max_pool for name in _MAX_POOLS for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": _max_pool for n in (2, 3)},
    **{f"avg_pool{n}d": saving("x") for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_average for n in (1, 2, 3)},
    **{f"lp_pool{n}d": _power_pool for n in (1, 2, 3)},
    **{f"max_unpool{n}d": saving("z") for n in (1, 2, 3)},
    "linear": _linear, "bilinear": _bilinear, "embedding": _embedding, "embedding_bag": _embedding_bag,
    "batch_norm": _batch_norm, "instance_norm": _instance_norm, "group_norm": _group_norm, "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "local_response_norm": _local_response, "interpolate": _interpolate, "pad": _pad, "fold": saving(""),
    "unfold": saving(""), "grid_sample": saving("xz"), "affine_grid": saving(""),
}  # fmt: skip
LAYERS: dict[str, Fact] = {
    **dict.fromkeys(_CONVOLUTIONS, _weighted),
    "Linear": _linear, "Bilinear": _bilinear, "Embedding": _embedding, "EmbeddingBag": _embedding_bag,
    **{f"BatchNorm{n}d": _batch_norm for n in (1, 2, 3)}, "SyncBatchNorm": _batch_norm,
    **{f"InstanceNorm{n}d": _instance_norm for n in (1, 2, 3)}, "GroupNorm": _group_norm, "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm, "LocalResponseNorm": _local_response, "CrossMapLRN2d": saving("xy"),
    **{f"FractionalMaxPool{n}d": _max_pool for n in (2, 3)},
    **{f"MaxUnpool{n}d": saving("z") for n in (1, 2, 3)},
    **{f"ReflectionPad{n}d": saving("x") for n in (1, 2, 3)},
    **{f"ReplicationPad{n}d": saving("x") for n in (1, 2, 3)},
    **{f"{name}Pad{n}d": saving("") for name in ("Circular", "Constant", "Zero") for n in (1, 2, 3)},
    "Upsample": _interpolate, "UpsamplingNearest2d": saving(""), "UpsamplingBilinear2d": saving(""),
    "Fold": saving(""), "Unfold": saving(""),
}  # fmt: skip
