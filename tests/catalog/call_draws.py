"""Questions about functions whose arguments are tensors as well as numbers: factories, attention, explicit weights …

In: for each function, a strategy of calls that torch takes. Out: `cases`, a strategy of `Case`s with all tensors in
`args` under their parameters' names.
Guarantees: half of the cases have one argument changed: another dtype, a size or an axis more or less, a number off by
some, a flag turned, an unknown word.
Leaves to others: the comparison (`test_functions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from hypothesis import strategies as st

from netc import catalog
from netc.shapes import TensorType
from tests.catalog.referee import DTYPES, Case

Strategy = st.SearchStrategy[Any]
COMPLEX = ("complex64", "complex128")


class Call(NamedTuple):
    """Functions that are asked alike. good: whole calls, by parameter; kept: parameters that stay as they are drawn;
    odd: what else an argument may be; dtypes: those that a tensor may change to."""

    names: tuple[str, ...]
    good: Strategy
    kept: tuple[str, ...] = ()
    odd: Mapping[str, Strategy] = MappingProxyType({})
    dtypes: tuple[str, ...] = DTYPES


@st.composite
def cases(draw: st.DrawFn, call: Call) -> Case:
    name = draw(st.sampled_from(call.names))
    args = {n: v for n, v in draw(call.good).items() if v is not OMITTED}
    open_ = [n for n in args if n not in call.kept]
    changes: bool = draw(st.booleans())
    if open_ and changes:
        wild = draw(st.sampled_from(open_))
        kind = next(p.type for p in catalog.function(name).params if p.name == wild)  # type: ignore[union-attr]
        other = changed(args[wild], call.dtypes, counted="int*" in kind)
        args[wild] = draw(call.odd.get(wild, other))
    return Case("function", name, args, ())


OMITTED = object()


@st.composite
def changed(draw: st.DrawFn, value: Any, dtypes: tuple[str, ...], counted: bool = False) -> Any:
    """Another value of the same kind; `counted` tuples keep their length, which the checker compares."""
    if isinstance(value, TensorType):
        return draw(changed_tensor(value, dtypes))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return draw(st.sampled_from([-1, 0, value + 1, value - 1, value + 5, -value]))
    if isinstance(value, str):
        return draw(st.sampled_from(dtypes)) if value in (*DTYPES, *COMPLEX) else "other"
    if isinstance(value, tuple) and value:
        i = draw(st.integers(0, len(value) - 1))
        item = draw(changed(value[i], dtypes))
        others = [(*value[:i], item, *value[i + 1 :]), value[:-1], (*value, value[-1])]
        return others[0] if counted else draw(st.sampled_from(others))
    return value


@st.composite
def changed_tensor(draw: st.DrawFn, t: TensorType, dtypes: tuple[str, ...]) -> TensorType:
    how = draw(st.sampled_from(["dtype", "more", "less", "one", "drop", "add", "two"]))
    if how == "dtype" or (not t.shape and how not in ("add", "two")):
        return t._replace(dtype=draw(st.sampled_from(dtypes)))
    shape = [int(str(s)) for s in t.shape]
    i = draw(st.integers(0, max(len(shape) - 1, 0)))
    if how in ("add", "two"):
        shape.insert(i, 1 if how == "add" else 2)
    elif how == "drop":
        shape.pop(i)
    else:
        shape[i] = {"more": shape[i] + 1, "less": max(shape[i] - 1, 1), "one": 1}[how]
    return t._replace(shape=tuple(shape))


def one_of(*values: Any) -> Strategy:
    return st.sampled_from(values)


def t(*shape: int, dtype: str = "float32") -> TensorType:
    return TensorType(shape, dtype)


def some(low: int = 1, high: int = 3, most: int = 3, least: int = 0, dtype: Strategy | None = None) -> Strategy:
    """A tensor of any shape."""
    shapes = st.lists(st.integers(low, high), min_size=least, max_size=most).map(tuple)
    return st.builds(TensorType, shapes, st.just("float32") if dtype is None else dtype)


def given(**args: Any) -> Strategy:
    """Each argument drawn by itself; plain values stay."""
    return st.fixed_dictionaries({n: v if isinstance(v, st.SearchStrategy) else st.just(v) for n, v in args.items()})


def either(*calls: dict[str, Any]) -> Strategy:
    """One of several calls, of the same or of different parameters."""
    return st.one_of([given(**call) for call in calls])


sizes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
dtypes = one_of(None, "float32", "float64", "int64")
whole = st.integers(-4, 9)
real = st.sampled_from([-1.5, 0.0, 0.5, 2.0, 3.25])

FACTORIES = [
    Call(("zeros", "ones", "empty"), given(size=sizes, dtype=dtypes)),
    Call(("rand", "randn"), given(size=sizes, dtype=one_of(None, "float32", "float64", "complex64"))),
    Call(("full",), given(size=sizes, fill_value=one_of(0, 1, 0.5, True, -2), dtype=dtypes)),
    Call(("eye",), given(n=st.integers(0, 4), m=one_of(OMITTED, 0, 3), dtype=dtypes)),
    Call(("linspace",), given(start=real, end=real, steps=st.integers(0, 5), dtype=dtypes)),
    Call(("randperm",), given(n=st.integers(0, 4))),
    Call(
        ("arange",),
        either(
            {"start": st.integers(0, 5), "dtype": dtypes},
            {"start": whole, "step": one_of(5, -3)},
            {"start": whole, "end": whole, "step": one_of(1, 2, 3, -1, -2)},
            {"start": whole, "end": whole, "step": one_of(1, 2), "dtype": dtypes},
            {"start": real, "end": real},
            {"start": real, "end": whole, "step": one_of(0.5, 1, -0.25)},
            {"start": whole, "end": real, "step": one_of(0.1, 0.3), "dtype": one_of(None, "float64", "float16")},
        ),
    ),
    Call(
        ("tensor",),
        given(
            data=one_of(1, 0.5, True, (1, 2), (1, 2.5), (True, False), ((1, 2), (3, 4)), (), ((0.5,), (1,)), ((), ())),
            dtype=dtypes,
        ),
        odd={"data": one_of((1, (2,)), ((1,), (2, 3)), "word", (True, 1), (True, 0.5))},
    ),
]


@st.composite
def attention(draw: st.DrawFn) -> dict[str, Any]:
    batch = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
    length, other, features, out = (draw(st.integers(1, 3)) for _ in range(4))
    masks = [None, t(length, other), t(length, other, dtype="bool"), t(1, other), t(*batch, 1, 1), t(other)]
    mask = draw(st.sampled_from(masks))
    call: dict[str, Any] = {
        "query": t(*batch, length, features),
        "key": t(*batch, other, features),
        "value": t(*batch, other, out),
        "attn_mask": mask,
        "dropout_p": draw(one_of(OMITTED, 0.0, 0.5)),
        "is_causal": draw(st.booleans()) if mask is None else False,
        "scale": draw(one_of(OMITTED, None, 0.5)),
    }
    return {n: v for n, v in call.items() if v is not None or n == "scale"}


@st.composite
def grouped_attention(draw: st.DrawFn) -> dict[str, Any]:
    heads, times, length, other, features = (draw(st.integers(1, 3)) for _ in range(5))
    return {
        "query": t(2, heads * times, length, features),
        "key": t(2, heads, other, features),
        "value": t(2, draw(one_of(heads, 1)), other, features),
        "enable_gqa": True,
    }


EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))), ("bhid,bhjd->bhij", ((2, 1, 3, 4), (2, 1, 2, 4))), ("ij,jk", ((2, 3), (3, 2))),
    ("i,j->ij", ((2,), (3,))), ("ii->i", ((3, 3),)), ("ii", ((2, 2),)), ("...ij,...jk->...ik", ((2, 2, 3), (3, 2))),
    ("...ij->...ji", ((2, 3, 4),)), ("b i j, b j -> b i", ((2, 3, 2), (2, 2))), ("ij->", ((2, 3),)), ("ba", ((2, 3),)),
    ("...i,i", ((2, 3), (3,))), ("ij,jk,kl->il", ((2, 3), (3, 2), (2, 4))), ("Ba,aB->B", ((2, 3), (3, 2))),
    ("nchw,oc->nohw", ((1, 3, 2, 2), (4, 3))), ("ij...,jk...->ik...", ((2, 3, 2), (3, 2, 2))), ("a,a->a", ((1,), (3,))),
    ("...,...->...", ((2, 3), (3,))), ("i...->i", ((2, 3),)),
]  # fmt: skip
MALFORMED = one_of("ij,jk->iz", "i1,jk", "ij->iij", "i.j", "...i...,j", "ij,jk,", "->", "ij,jk->ik...", "", "(i)")
einsums = st.sampled_from(EINSUMS).map(lambda e: {"equation": e[0], "operands": tuple(t(*s) for s in e[1])})


@st.composite
def matrices(draw: st.DrawFn, batch: bool = False) -> dict[str, Any]:
    n, k, m, b = (draw(st.integers(1, 3)) for _ in range(4))
    lead = (b,) if batch else ()
    shapes = [(*lead, n, m), (*lead, 1, m), (m,), (*lead, n, 1), ()]
    names = ("batch1", "batch2") if batch else ("mat1", "mat2")
    return {
        "input": t(*draw(st.sampled_from(shapes))),
        names[0]: t(*lead, n, k),
        names[1]: t(*lead, k, m),
        "beta": draw(one_of(OMITTED, 0.5, 1)),
        "alpha": draw(one_of(OMITTED, 2, 0.5)),
    }


HALF = ("float32", "float64", "int64", "bool", "float16")
PRODUCTS = [
    Call(("scaled_dot_product_attention",), attention(), kept=("scale",)),
    Call(("scaled_dot_product_attention",), grouped_attention()),
    Call(("einsum",), einsums, odd={"equation": MALFORMED}),
    Call(("addmm",), matrices(), dtypes=HALF),
    Call(("baddbmm",), matrices(batch=True), dtypes=HALF),
    Call(
        ("addmv",), either({"input": t(2), "mat": t(2, 3), "vec": t(3)}, {"input": t(1), "mat": t(2, 3), "vec": t(3)})
    ),
    Call(("mv",), either({"input": t(2, 3), "vec": t(3)}, {"input": t(1, 1), "vec": t(1)})),
    Call(("dot",), either({"input": t(3), "tensor": t(3)}, {"input": t(1), "tensor": t(1)})),
    Call(("outer",), given(input=some(most=1, least=1), vec2=some(most=1, least=1)), dtypes=(*DTYPES, "complex64")),
    Call(
        ("cdist",),
        either({"x1": t(2, 3), "x2": t(4, 3), "p": one_of(1.0, 2.0, 0.0)}, {"x1": t(2, 1, 2), "x2": t(1, 3, 2)}),
    ),
    Call(("pdist",), given(input=some(low=1, most=2, least=2), p=one_of(1.0, 2.0, 0.0))),
]


@st.composite
def convolution(draw: st.DrawFn, n: int, transposed: bool) -> dict[str, Any]:
    groups, inner, outer = draw(one_of(1, 1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    channels = (inner * groups, outer) if transposed else (outer * groups, inner)
    call: dict[str, Any] = {
        "input": t(2, inner * groups, *[draw(st.integers(4, 6)) for _ in range(n)]),
        "weight": t(*channels, *[draw(st.integers(1, 3)) for _ in range(n)]),
        "bias": draw(st.sampled_from([OMITTED, t(outer * groups)])),
        "stride": draw(st.sampled_from([OMITTED, 1, 2, (2,) * n])),
        "padding": draw(st.sampled_from([OMITTED, 0, 1, (1,) * n] + ([] if transposed else ["valid"]))),
        "dilation": draw(st.sampled_from([OMITTED, 1, (1,) * n])),
        "groups": groups,
    }
    return call


def _weights(call: dict[str, Any], *names: str) -> Strategy:
    """The call with or without each of the weights."""
    return st.fixed_dictionaries(
        {n: v if isinstance(v, st.SearchStrategy) else st.just(v) for n, v in call.items() if n not in names},
        optional={n: st.just(call[n]) for n in names},
    )


STATISTICS = {"running_mean": t(4), "running_var": t(4)}
WEIGHTED = [
    *(Call((f"conv{n}d",), convolution(n, False), dtypes=("float64", "int64")) for n in (1, 2, 3)),
    *(Call((f"conv_transpose{n}d",), convolution(n, True), dtypes=("float64", "int64")) for n in (1, 2, 3)),
    Call(
        ("embedding",),
        given(input=some(dtype=one_of("int64", "int32")), weight=t(5, 3), padding_idx=one_of(None, 0, -1, 4)),
    ),
    Call(
        ("embedding_bag",),
        either(
            {"input": t(2, 3, dtype="int64"), "weight": t(5, 4), "mode": one_of("sum", "mean", "max")},
            {"input": t(6, dtype="int64"), "weight": t(5, 4), "offsets": t(1, dtype="int64")},
            {"input": t(2, 3, dtype="int64"), "weight": t(5, 4), "mode": "sum", "per_sample_weights": t(2, 3)},
        ),
    ),
    Call(
        ("fractional_max_pool2d",),
        either(
            {"input": t(2, 3, 7, 8), "kernel_size": one_of(2, (2, 3)), "output_size": one_of(3, (3, 4))},
            {"input": t(2, 3, 7, 8), "kernel_size": one_of(2, (2, 3)), "output_ratio": (0.5, 0.6)},
        ),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("fractional_max_pool3d",),
        either(
            {"input": t(2, 3, 7, 8, 7), "kernel_size": one_of(2, (2, 3, 2)), "output_size": one_of(3, (3, 4, 3))},
            {"input": t(2, 3, 7, 8, 7), "kernel_size": one_of(2, (2, 3, 2)), "output_ratio": (0.5, 0.6, 0.5)},
        ),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("prelu",),
        either(
            {"input": some(least=2, low=2, high=2), "weight": one_of(t(2), t(1), t())}, {"input": t(3), "weight": t(1)}
        ),
    ),
    Call(("bilinear",), _weights({"input1": t(2, 3), "input2": t(2, 4), "weight": t(5, 3, 4), "bias": t(5)}, "bias")),
    Call(
        ("batch_norm",),
        _weights({"input": one_of(t(2, 4), t(2, 4, 3)), **STATISTICS, "weight": t(4), "bias": t(4)}, "weight", "bias"),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("batch_norm",),
        given(input=one_of(t(2, 4), t(1, 4, 3)), running_mean=None, running_var=None, training=True),
        kept=("running_mean", "running_var"),
    ),
    Call(
        ("instance_norm",),
        _weights({"input": one_of(t(2, 4, 3), t(1, 4, 2, 2)), "weight": t(4), "bias": t(4)}, "weight", "bias"),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("group_norm",),
        _weights({"input": t(2, 4, 3), "num_groups": one_of(1, 2), "weight": t(4), "bias": t(4)}, "weight", "bias"),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("layer_norm",),
        _weights({"input": t(2, 3, 4), "normalized_shape": (4,), "weight": t(4), "bias": t(4)}, "weight", "bias"),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("layer_norm",),
        _weights(
            {"input": t(2, 3, 4), "normalized_shape": (3, 4), "weight": t(3, 4), "bias": t(3, 4)}, "weight", "bias"
        ),
        dtypes=("float64", "int64"),
    ),
    Call(
        ("rms_norm",),
        _weights({"input": t(2, 3, 4), "normalized_shape": (4,), "weight": t(4)}, "weight"),
        dtypes=("float64", "int64"),
    ),
]

any_dtype = one_of(*DTYPES)
numbers = one_of(0, 1, 0.5, True)
SELECTION = [
    Call(
        ("where",),
        given(
            condition=some(dtype=st.just("bool"), high=2),
            input=st.one_of(numbers, some(dtype=any_dtype, high=2)),
            other=st.one_of(numbers, some(dtype=any_dtype, high=2)),
        ),
    ),
    Call(
        ("masked_fill",),
        either(
            {
                "input": some(least=2, dtype=any_dtype),
                "mask": one_of(t(dtype="bool"), t(1, dtype="bool")),
                "value": numbers,
            },
            {"input": t(2, 3), "mask": t(2, 3, dtype="bool"), "value": one_of(-1e9, t(), t(dtype="int64"))},
        ),
    ),
    Call(
        ("lerp",),
        either(
            {"input": t(2, 3), "end": one_of(t(3), t(2, 3), t()), "weight": one_of(0.5, 1, t(2, 1), t())},
        ),
        dtypes=(*DTYPES, "complex64"),
    ),
    Call(
        ("gather",),
        either(
            {
                "input": t(2, 3),
                "dim": one_of(0, 1, -1),
                "index": one_of(t(2, 3, dtype="int64"), t(1, 2, dtype="int64")),
            },
            {"input": t(4), "dim": 0, "index": t(7, dtype="int64")},
            {"input": t(2, 3), "dim": 1, "index": t(2, 5, dtype="int64")},
        ),
    ),
    Call(
        ("scatter", "scatter_add"),
        either(
            {
                "input": t(3, 4),
                "dim": one_of(0, 1, -2),
                "index": t(2, 3, dtype="int64"),
                "src": one_of(t(2, 3), t(3, 4)),
            }
        ),
    ),
    Call(("scatter",), given(input=t(3, 4), dim=one_of(0, 1), index=t(2, 3, dtype="int64"), src=one_of(1.0, 2))),
    Call(("take",), given(input=some(), index=some(dtype=st.just("int64")))),
    Call(
        ("take_along_dim",),
        either(
            {
                "input": t(2, 3),
                "indices": one_of(t(2, 1, dtype="int64"), t(1, 3, dtype="int64")),
                "dim": one_of(0, 1, -1),
            },
            {"input": t(2, 3), "indices": t(5, dtype="int64")},
        ),
    ),
    Call(
        ("meshgrid",),
        given(
            tensors=st.lists(st.integers(1, 3).map(t), min_size=1, max_size=3).map(tuple), indexing=one_of("ij", "xy")
        ),
    ),
    Call(("repeat_interleave",), given(input=some(), repeats=st.integers(0, 3), dim=one_of(OMITTED, None, 0, -1))),
    Call(
        ("rot90",),
        given(input=some(least=2), k=one_of(0, 1, 2, 3, -1), dims=one_of((0, 1), (1, 0), (-1, 0), (0, -2))),
    ),
    Call(
        ("diagonal",),
        given(
            input=some(least=2),
            offset=one_of(OMITTED, 0, 1, -1),
            dim1=one_of(OMITTED, 0, -2),
            dim2=one_of(OMITTED, 1, -1),
        ),
    ),
    Call(("ravel", "clone", "t", "fliplr", "flipud"), given(input=some(dtype=any_dtype))),
    Call(
        ("clamp", "clip"),
        given(input=some(high=2), min=one_of(OMITTED, t(2), t(), 0), max=one_of(OMITTED, t(2, 1), t(dtype="int64"), 1)),
    ),
    Call(
        ("grid_sample",),
        either(
            {"input": t(2, 3, 4, 4), "grid": t(2, 5, 6, 2), "mode": one_of("bilinear", "nearest", "bicubic")},
            {"input": t(2, 3, 4, 4, 4), "grid": t(2, 5, 6, 2, 3), "mode": one_of("bilinear", "nearest", "bicubic")},
            {"input": t(1, 1, 2, 2), "grid": t(1, 1, 1, 2), "padding_mode": one_of("zeros", "border", "reflection")},
        ),
        dtypes=("float64", "int64", "float16"),
    ),
    Call(
        ("affine_grid",),
        either({"theta": t(2, 2, 3), "size": (2, 3, 4, 5)}, {"theta": t(1, 3, 4), "size": (1, 2, 3, 4, 5)}),
    ),
    Call(
        ("cosine_similarity",),
        given(x1=one_of(t(2, 3), t(3)), x2=one_of(t(2, 3), t(1, 3)), dim=one_of(OMITTED, -1, 0)),
    ),
    Call(
        ("pairwise_distance",),
        given(x1=one_of(t(2, 3), t(3)), x2=one_of(t(2, 3), t(1, 3)), keepdim=one_of(OMITTED, True)),
    ),
]

ELEMENTS = [
    Call(
        ("float", "double", "half", "bfloat16", "long", "int", "short", "bool", "isnan", "isinf", "isfinite"),
        given(input=some(dtype=any_dtype)),
    ),
    Call(("nan_to_num",), given(input=some(dtype=any_dtype), nan=one_of(OMITTED, 0.0))),
    Call(("exp2", "sinc", "erfinv", "lgamma"), given(input=some(dtype=any_dtype))),
    Call(("empty_like",), given(input=some(dtype=any_dtype), dtype=dtypes)),
    Call(("type_as",), given(input=some(dtype=any_dtype), other=some(dtype=any_dtype))),
    Call(
        ("add", "sub", "mul", "div"),
        given(input=some(high=2, dtype=any_dtype), other=st.one_of(some(high=2, dtype=any_dtype), one_of(2, 0.5))),
        dtypes=(*DTYPES, *COMPLEX),
    ),
    Call(
        ("logical_and", "logical_or", "logical_xor"),
        given(input=some(high=2, dtype=any_dtype), other=some(high=2, dtype=any_dtype)),
    ),
    Call(("view_as_complex",), either({"input": one_of(t(2), t(3, 2), t(3, 4, 2, dtype="float64"))})),
    Call(
        ("view_as_real", "imag"),
        given(input=some(dtype=one_of(*COMPLEX))),
        dtypes=(*DTYPES, *COMPLEX),
    ),
    Call(
        ("real", "conj", "angle", "abs"), given(input=some(dtype=one_of(*COMPLEX, *DTYPES))), dtypes=(*DTYPES, *COMPLEX)
    ),
    Call(("polar",), either({"abs": t(2, 3), "angle": one_of(t(2, 3), t(3), t())})),
    Call(("complex",), either({"real": t(2, 3), "imag": one_of(t(2, 3), t(3), t())})),
]

axis = one_of(0, -1, 1)
several = one_of(None, 0, -1, (0, 1), (-1,))
cube = some(least=2)
REDUCTIONS = [
    Call(
        ("nansum", "nanmean"),
        given(input=cube, dim=several, keepdim=st.booleans(), dtype=one_of(None, "float64", "int64")),
    ),
    Call(("count_nonzero",), given(input=some(least=2, dtype=any_dtype), dim=several)),
    Call(("std_mean", "var_mean"), given(input=cube, dim=several, keepdim=st.booleans()), kept=("keepdim",)),
    Call(("aminmax",), given(input=cube, dim=one_of(OMITTED, 0, -1), keepdim=st.booleans())),
    Call(("kthvalue",), given(input=cube, k=one_of(1, 1, 2, 3), dim=axis, keepdim=st.booleans())),
    Call(("mode",), given(input=cube, dim=axis, keepdim=st.booleans())),
    Call(("cummax", "cummin", "logcumsumexp"), given(input=cube, dim=axis)),
]

FAMILIES = {
    "factories": FACTORIES, "products": PRODUCTS, "weighted": WEIGHTED, "selection": SELECTION, "elements": ELEMENTS,
    "reductions": REDUCTIONS,
}  # fmt: skip
NAMES = {name for calls in FAMILIES.values() for call in calls for name in call.names}
