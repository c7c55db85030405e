"""Random questions about layers whose inputs or arguments depend on each other: blocks, indices, bags, fractions.

In: nothing. Out: `STRATEGIES`, by family, each a strategy of `Case`s; `NAMES`, what they ask about, by kind.
Guarantees: inputs and arguments fit each other, except for one thing in about half of the cases.
Leaves to others: the comparison (`test_rules`).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netc.shapes import TensorType
from tests.catalog.draws import Pair, each, flag, one_of, sizes
from tests.catalog.referee import DTYPES, Case
from tests.catalog.sequence_draws import Wild

NAMES = [
    *(("layer", name) for name in ("Fold", "Unfold", "EmbeddingBag", "FractionalMaxPool2d", "FractionalMaxPool3d")),
    *(("layer", f"MaxUnpool{n}d") for n in (1, 2, 3)),
    *(("function", f"max_unpool{n}d") for n in (1, 2, 3)),
    *(("function", name) for name in ("fold", "unfold")),
]
_WINDOW: dict[str, Pair] = {
    "kernel_size": (each(2, sizes(1, 3)), each(2, one_of(-1, 0, 7, 9))),
    "dilation": (each(2, sizes(1, 2)), each(2, one_of(-1, 0, 5))),
    "padding": (each(2, sizes(0, 2)), each(2, one_of(-1, -2, 5))),
    "stride": (each(2, sizes(1, 3)), each(2, sizes(-1, 0))),
}


def _pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _number_of_blocks(args: dict[str, Any], image: tuple[int, int]) -> int:
    """As the layer's documentation has it, with at least one."""
    count = 1
    for i in (0, 1):
        k, d, p, s = (_pair(args.get(name, 0 if name == "padding" else 1))[i] for name in _WINDOW)
        count *= max((image[i] + 2 * p - d * (k - 1) - 1) // max(s, 1) + 1, 1)
    return count


def _dtyped(wild: Wild, x: TensorType, usual: tuple[str, ...]) -> TensorType:
    """One of the usual dtypes; any where the dtype is what is ill-formed."""
    return x._replace(dtype=wild.draw(st.sampled_from(DTYPES if wild.thing == "dtype" else usual)))


@st.composite
def folding(draw: st.DrawFn) -> Case:
    """Fold and Unfold, their functions too."""
    name = draw(one_of("Fold", "Fold", "Unfold", "fold", "unfold"))
    wild = Wild(draw, *_WINDOW, *_WINDOW, "input", "input", "dtype", "output_size")
    args = wild.options(_WINDOW, "kernel_size")
    image = draw(st.tuples(sizes(4, 6), sizes(4, 6)))
    batch, channels = draw(st.tuples(sizes(1, 2), sizes(1, 3)))
    if name.lower() == "unfold":
        x = wild.tensor("input", batch, channels, *image)
    else:
        kernel = _pair(args["kernel_size"])
        args["output_size"] = image[0] if image[0] == image[1] and draw(st.booleans()) else image
        if wild.thing == "output_size":
            args["output_size"] = draw(st.one_of(each(2, sizes(1, 9)), each(2, sizes(-1, 0))))
        block = max(kernel[0] * kernel[1], 1)
        x = wild.tensor("input", batch, channels * block, _number_of_blocks(args, image))
    x = x if x.dtype != "float32" else _dtyped(wild, x, ("float32", "float64", "bool"))
    return Case("layer" if name[0].isupper() else "function", name, args, (x,))


@st.composite
def unpooling(draw: st.DrawFn) -> Case:
    """MaxUnpool and its function: the values of a max pool and their indices."""
    n = draw(sizes(1, 3))
    kind = draw(one_of("layer", "layer", "function"))
    pairs: dict[str, Pair] = {
        "kernel_size": (each(n, sizes(1, 3)), each(n, one_of(-1, 0))),
        "stride": (st.one_of(st.none(), each(n, sizes(1, 3))), each(n, sizes(-1, 0))),
        "padding": (each(n, one_of(0, 0, 1)), each(n, one_of(-1, 2, 3))),
    }
    wild = Wild(draw, *pairs, "input", "indices", "indices", "dtype", "output_size", "output_size", "count")
    args = wild.options(pairs, "kernel_size")
    shape = draw(st.tuples(*[sizes(1, 2)] * 2, *[sizes(2, 4)] * n))
    if wild.thing == "output_size" or draw(st.booleans()):
        usual = _usual_sizes(n, args, shape)
        lead = draw(st.sampled_from([(), (), shape[:2]]))
        far = draw(one_of(-3, 3, 4)) if wild.thing == "output_size" else draw(one_of(0, 0, 1))
        args["output_size"] = (*lead, *(size + far for size in usual))
        if wild.thing == "output_size" and draw(st.booleans()):
            args["output_size"] = args["output_size"][1:]
    x = _dtyped(wild, wild.tensor("input", *shape)._replace(dtype="float32"), ("float32", "float64"))
    indices = wild.tensor("indices", *shape)
    indices = indices._replace(dtype="int64") if indices.dtype == "float32" else indices
    inputs = (x,) if wild.thing == "count" and kind == "layer" else (x, indices)
    return Case(kind, f"MaxUnpool{n}d" if kind == "layer" else f"max_unpool{n}d", args, inputs)


def _usual_sizes(n: int, args: dict[str, Any], shape: tuple[int, ...]) -> list[int]:
    """As the layer's documentation has it."""

    def of(name: str, otherwise: Any) -> tuple[int, ...]:
        value = args.get(name)
        value = otherwise if value is None else value
        return value if isinstance(value, tuple) else (value,) * n

    kernels, paddings = of("kernel_size", 1), of("padding", 0)
    strides = of("stride", kernels)
    return [(shape[2 + i] - 1) * strides[i] + kernels[i] - 2 * paddings[i] for i in range(n)]


@st.composite
def fractional_pools(draw: st.DrawFn) -> Case:
    """FractionalMaxPool, with sizes or with ratios."""
    n = draw(one_of(2, 3))
    ratio = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])
    pairs: dict[str, Pair] = {
        "kernel_size": (each(n, sizes(1, 2)), each(n, one_of(-1, 0, 5, 7))),
        "return_indices": (flag, flag),
    }
    wild = Wild(draw, "kernel_size", "kernel_size", "input", "dtype", "sizes", "sizes", "count")
    args = wild.options(pairs, "kernel_size")
    which = draw(one_of("both", "neither") if wild.thing == "count" else one_of("size", "ratio"))
    if which in ("size", "both"):
        args["output_size"] = draw(each(n, one_of(-1, 6, 9) if wild.thing == "sizes" else sizes(0, 5)))
    if which in ("ratio", "both"):
        bad = st.one_of(each(n, one_of(0.0, 1.0, -0.5, 1.5)), st.just((0.5,) * (n - 1)))
        args["output_ratio"] = draw(bad if wild.thing == "sizes" else each(n, ratio))
    x = wild.tensor("input", *draw(st.tuples(*[sizes(1, 2)] * 2, *[sizes(4, 7)] * n)))
    x = x if x.dtype != "float32" else _dtyped(wild, x, ("float32", "float64", "float16"))
    return Case("layer", f"FractionalMaxPool{n}d", args, (x,))


@st.composite
def bags(draw: st.DrawFn) -> Case:
    """EmbeddingBag: a table of items, or a list with offsets."""
    pairs: dict[str, Pair] = {
        "num_embeddings": (one_of(5, 9), one_of(-1, -2)),
        "embedding_dim": (sizes(1, 3), one_of(-1, 0)),
        "max_norm": (one_of(None, 1.0), one_of(2.0)),
        "norm_type": (one_of(2.0, 1.0), one_of(1.0)),
        "scale_grad_by_freq": (flag, flag),
        "mode": (one_of("sum", "sum", "mean", "max"), one_of("median", "prod")),
        "sparse": (flag, flag),
        "include_last_offset": (flag, flag),
        "padding_idx": (one_of(None, 0, -1, 4), one_of(5, -6, 9, -10)),
    }
    faults = ("num_embeddings", "embedding_dim", "mode", "padding_idx", "padding_idx")
    wild = Wild(draw, *faults, "input", "dtype", "offsets", "offsets", "weights", "weights", "count")
    args = wild.options(pairs, "num_embeddings", "embedding_dim")
    listed, given = draw(st.booleans()), draw(one_of(True, False, False))
    shape = draw(st.tuples(sizes(1, 6)) if listed else st.tuples(sizes(1, 3), sizes(1, 3)))
    items = _whole(wild, wild.tensor("input", *shape))
    if given or wild.thing == "weights":
        args["per_sample_weights"] = wild.tensor("weights", *shape)
        args["mode"] = args.get("mode", "mean") if wild.thing == "weights" else "sum"
    offsets = _whole(wild, wild.tensor("offsets", draw(sizes(1, 3))))
    if args.get("include_last_offset") and offsets.shape == (1,):
        offsets = offsets._replace(shape=(2,))  # torch ends the process where there is no bag
    return Case("layer", "EmbeddingBag", args, (items, offsets) if listed != (wild.thing == "count") else (items,))


def _whole(wild: Wild, x: TensorType) -> TensorType:
    return x if x.dtype != "float32" else _dtyped(wild, x, ("int64", "int64", "int32"))


STRATEGIES = {
    "folding": folding(), "unpooling": unpooling(), "fractional pool": fractional_pools(), "bags": bags(),
}  # fmt: skip
