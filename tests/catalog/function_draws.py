"""The plans for functions: what well-formed and ill-formed arguments look like.

In: nothing. Out: `PLANS`, by family.
Guarantees: every argument that changes shapes, state or refusals is drawn.
Leaves to others: how a plan becomes cases (`draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from hypothesis import strategies as st

from netc import catalog
from tests.catalog import layer_draws
from tests.catalog.draws import (
    FLOATS,
    OMITTED,
    SIX,
    Pair,
    Plan,
    any_shape,
    anything,
    flag,
    images,
    nothing,
    omitted,
    one_of,
    shape,
    sizes,
    with_number,
)
from tests.catalog.referee import DTYPES


def _dims(n: int) -> dict[str, Pair]:
    return {
        "dim": (one_of(None, 0, -1, (0, 1), (-1,), (0, -1)), one_of(3, -5, (0, 0), (1, -9), (0, -3))),
        "keepdim": (flag, flag),
    }


def _pairs_of_shapes(n: int) -> Pair:
    same = st.lists(sizes(1, 3), min_size=1, max_size=3).map(tuple)
    return same.map(lambda s: (s, s)), st.tuples(same, same)


def _stacks(n: int) -> Pair:
    return any_shape(2, 3, low=2).map(lambda s: s * 2), st.tuples(*[st.lists(sizes(1, 2), max_size=3).map(tuple)] * 2)


def _cats(n: int) -> Pair:
    good = st.tuples(sizes(1, 3), sizes(1, 3), sizes(1, 3)).map(lambda t: ((t[0], t[1]), (t[0], t[2]), (t[0], 1)))
    return good, st.lists(st.lists(sizes(1, 2), min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)


def _function(
    names: str,
    shapes: Callable[[int], Pair],
    args: Callable[[int], dict[str, Pair]] = nothing,
    needed: str = "",
    dtypes: tuple[str, ...] = SIX,
    mixed: bool = False,
) -> Plan:
    return Plan("function", tuple(names.split()), shapes, args, tuple(needed.split()), dtypes, mixed=mixed)


def _cube(n: int) -> Pair:
    return any_shape(3, low=2, high=4), any_shape(0, 1, 2, 3, 4, high=4)


def _twelve(n: int) -> Pair:
    return one_of((2, 6), (3, 4), (12,), (2, 2, 3)).map(lambda s: (s,)), any_shape(1, 2, 3)


_TARGETS = (one_of((3, 4), (-1,), (2, -1), (12, 1), (2, 2, 3)), one_of((5, -1), (-1, -1), (7,), (-2, -6), (0, -1)))

PLANS = {
    "unary function": [
        _function("abs ceil floor neg round trunc square sign detach contiguous logical_not", anything, dtypes=DTYPES),
        _function(
            "acos acosh asin asinh atan atanh cos cosh erf erfc exp expm1 "
            "log log10 log1p log2 reciprocal rsqrt sin sinh sqrt tan sigmoid tanh",
            anything,
            dtypes=DTYPES,
        ),
        _function(
            "relu silu gelu hardtanh leaky_relu softplus mish elu selu logsigmoid hardswish softsign tanhshrink frac",
            anything,
            dtypes=DTYPES,
        ),
        _function("dropout", anything, with_number("p", st.floats(0, 1), one_of(-0.5, 1.5))),
        _function(
            "clamp",
            anything,
            lambda n: {"min": (one_of(None, 0, 0.5), st.none()), "max": (one_of(1, 2.5), one_of(None, 3))},
            dtypes=DTYPES,
        ),
        _function(
            "pow", anything, lambda n: {"exponent": (one_of(2, 0.5, 1), one_of(-1, -2.0, 0))}, "exponent", dtypes=DTYPES
        ),
        _function(
            "eq ne lt le gt ge remainder fmod floor_divide",
            anything,
            lambda n: {"other": (one_of(1, 2.5, 2), one_of(True, 3))},
            "other",
            dtypes=DTYPES,
        ),
        _function(
            "softmax log_softmax softmin",
            _cube,
            lambda n: {"dim": (sizes(-3, 2), one_of(-5, 3, 4)), "dtype": (one_of(None, "float64"), one_of("float16"))},
            "dim",
            dtypes=("float32", "int64"),
        ),
        _function("normalize gumbel_softmax", _cube, lambda n: {"dim": (sizes(-3, 2), one_of(-5, 3, 4))}),
        _function(
            "to",
            anything,
            lambda n: {"dtype": (one_of("float32", "int64"), one_of("bool", "uint8"))},
            "dtype",
            dtypes=DTYPES,
        ),
        _function("tril triu", _cube, lambda n: {"diagonal": (one_of(0, 1), one_of(-2))}, dtypes=DTYPES),
        _function(
            "full_like",
            anything,
            lambda n: {
                "fill_value": (one_of(1, 0.5), one_of(True)),
                "dtype": (one_of(None, "float32"), one_of("int64")),
            },
            "fill_value",
        ),
        _function(
            "zeros_like ones_like rand_like randn_like",
            anything,
            lambda n: {"dtype": (one_of(None, "float32"), one_of("int64", "bool"))},
        ),
        _function(
            "one_hot",
            anything,
            lambda n: {"num_classes": (one_of(2, 5), one_of(-2, 0))},
            "num_classes",
            dtypes=("int64", "int64", "int32"),
        ),
    ],
    "reduction": [
        _function("mean sum amax amin all any", _cube, _dims, "dim", dtypes=("float32", "float32", "int64")),
        _function("norm", _cube, lambda n: {**_dims(n), "p": (one_of(1, 2, 0.5), one_of(3))}),
        _function(
            "prod",
            _cube,
            lambda n: {"dim": (one_of(0, -1, 1), one_of(3, -5, 9)), "keepdim": (flag, flag)},
            "dim",
            dtypes=DTYPES,
        ),
        _function(
            "logsumexp",
            _cube,
            lambda n: {"dim": (one_of(0, -1, (0, 1)), one_of(3, (0, 0))), "keepdim": (flag, flag)},
            "dim",
            dtypes=DTYPES,
        ),
        _function(
            "std var argmax argmin", _cube, lambda n: {**_dims(n), "dim": (one_of(None, 0, -1), one_of(3, -5, 9))}
        ),
        _function(
            "max min median",
            _cube,
            lambda n: {"dim": (one_of(0, -1, 1), one_of(3, -5, 9)), "keepdim": (flag, flag)},
            "dim",
            dtypes=DTYPES,
        ),
        _function("max min median", _cube, lambda n: {"keepdim": (omitted, st.just(True))}, dtypes=DTYPES),
        _function(
            "cumsum cumprod",
            _cube,
            lambda n: {"dim": (sizes(-3, 2), one_of(3, -5, 9)), "dtype": (one_of(None), one_of("float64", "int32"))},
            "dim",
            dtypes=DTYPES,
        ),
        _function(
            "sort argsort",
            _cube,
            lambda n: {"dim": (sizes(-3, 2), one_of(3, -5, 9)), "descending": (flag, flag)},
            dtypes=DTYPES,
        ),
        _function(
            "topk",
            _cube,
            lambda n: {"k": (sizes(1, 2), one_of(-1, 0, 4, 9)), "dim": (sizes(-3, 2), one_of(3, -5, 9))},
            "k",
            dtypes=SIX,
        ),
    ],
    "reshaping function": [
        _function(
            "flatten",
            anything,
            lambda n: {"start_dim": (sizes(0, 1), sizes(-5, 5)), "end_dim": (sizes(-2, -1), sizes(-5, 5))},
        ),
        _function("reshape", _twelve, lambda n: {"shape": _TARGETS}, "shape"),
        _function("view", _twelve, lambda n: {"size": _TARGETS}, "size"),
        _function(
            "unflatten",
            lambda n: (shape(st.just(12), st.just(12)), any_shape(1, 2, high=12)),
            lambda n: {"dim": (one_of(0, 1, -1), sizes(-4, 4)), "sizes": _TARGETS},
            "dim sizes",
        ),
        _function(
            "permute",
            _cube,
            lambda n: {
                "dims": (st.permutations([0, 1, 2]).map(tuple), one_of((0, 1), (0, 0, 1), (0, 1, 3), (-1, 0, 1)))
            },
            "dims",
        ),
        _function(
            "transpose",
            _cube,
            lambda n: {"dim0": (sizes(-3, 2), one_of(3, -4, 9)), "dim1": (sizes(-3, 2), one_of(3, -4, 9))},
            "dim0 dim1",
        ),
        _function(
            "swapaxes",
            _cube,
            lambda n: {"axis0": (sizes(-3, 2), one_of(3, -4, 9)), "axis1": (sizes(-3, 2), one_of(3, -4, 9))},
            "axis0 axis1",
        ),
        _function(
            "movedim",
            _cube,
            lambda n: {
                "source": (one_of(0, 1, (0, 1), (2, 0)), one_of(3, (0, 0), -4)),
                "destination": (one_of(0, -1, (0, 2), (-1, 0)), one_of(5, (1, 1))),
            },
            "source destination",
        ),
        _function(
            "squeeze",
            lambda n: (any_shape(2, 3, 4, high=2), any_shape(0, 1, high=2)),
            lambda n: {"dim": (one_of(OMITTED, 0, 1, -1, (0, 1)), one_of(4, -5, (0, 0)))},
        ),
        _function("unsqueeze", _cube, lambda n: {"dim": (sizes(-4, 3), one_of(4, -5, 9))}, "dim"),
        _function(
            "chunk",
            _cube,
            lambda n: {"chunks": (sizes(1, 5), sizes(-1, 0)), "dim": (sizes(-3, 2), one_of(3, -4))},
            "chunks",
        ),
        _function(
            "split",
            _cube,
            lambda n: {
                "split_size": (one_of(1, 2, 3, 9, (1, 1), (1, 2), (2, 2)), one_of(-1, 0, (1, 9), (3, 3))),
                "dim": (sizes(-3, 2), one_of(3, -4)),
            },
            "split_size",
        ),
        _function("unbind", _cube, lambda n: {"dim": (sizes(-3, 2), one_of(3, -4))}),
        _function(
            "expand broadcast_to",
            lambda n: (shape(one_of(1, 2), one_of(1, 3)), any_shape(0, 1, 2, 3, high=3)),
            lambda n: {
                "size": (one_of((2, 3), (-1, 3), (4, 2, 3), (2, -1)), one_of((2,), (-1, 2, 3), (3, 3), (-2, 3)))
            },
            "size",
        ),
        _function(
            "repeat",
            _cube,
            lambda n: {"repeats": (one_of((1, 2, 3), (2, 1, 1, 2)), one_of((2,), (1, -1, 1), (0, 1, 1)))},
            "repeats",
        ),
        _function(
            "tile",
            _cube,
            lambda n: {"dims": (one_of((1, 2, 3), (2, 1, 1, 2), (2,)), one_of((1, -1, 1), (0, 1, 1)))},
            "dims",
        ),
        _function(
            "flip", _cube, lambda n: {"dims": (one_of((0,), (0, 2), (-1,)), one_of((0, 0), (3,), (-4,)))}, "dims"
        ),
        _function(
            "roll",
            _cube,
            lambda n: {
                "shifts": (one_of(1, 2, (1, 2)), one_of((1, 2, 3))),
                "dims": (one_of((), 1, (0, 2), -1), one_of(3, -4, (0, 1, 2))),
            },
            "shifts",
        ),
        _function(
            "narrow",
            _cube,
            lambda n: {
                "dim": (sizes(-3, 2), one_of(3, -4)),
                "start": (sizes(0, 1), one_of(-5, -1, 3, 9)),
                "length": (sizes(0, 2), one_of(-1, 3, 9)),
            },
            "dim start length",
        ),
        _function(
            "select",
            _cube,
            lambda n: {"dim": (sizes(-3, 2), one_of(3, -4)), "index": (sizes(-2, 1), one_of(-5, 4, 9))},
            "dim index",
        ),
        _function(
            "pad",
            lambda n: (images(2, low=1)[0], any_shape(1, 2, 3, 4, 5)),
            lambda n: {
                "pad": (
                    one_of((1, 1), (0, 2, 1, 0), (1, 1, 1, 1)),
                    one_of((1,), (1, 2, 3), (-9, 1), (1,) * 6, (9, 9, 0, 0)),
                ),
                "mode": (
                    one_of("constant", "constant", "reflect", "replicate", "circular"),
                    one_of("reflect", "circular"),
                ),
                "value": (one_of(None, 1), one_of(0, -1)),
            },
            "pad",
        ),
    ],
    "joining": [
        _function(
            "cat concat", _cats, lambda n: {"dim": (one_of(1, -1), one_of(0, 2, -3))}, "dim", dtypes=DTYPES, mixed=True
        ),
        _function("stack", _stacks, lambda n: {"dim": (sizes(-3, 2), one_of(5, -6))}, dtypes=DTYPES, mixed=True),
        _function("maximum minimum atan2 eq", _pairs_of_shapes, dtypes=DTYPES, mixed=True),
        _function(
            "matmul",
            lambda n: (
                one_of(((2, 3), (3, 2)), ((3,), (3,)), ((2, 2, 3), (3,)), ((1, 2, 3), (2, 3, 1)), ((3,), (3, 2))),
                _pairs_of_shapes(n)[1],
            ),
        ),
        _function("mm", lambda n: (one_of(((2, 3), (3, 2)), ((1, 1), (1, 4))), _pairs_of_shapes(n)[1])),
        _function("bmm", lambda n: (one_of(((2, 2, 3), (2, 3, 2)), ((1, 1, 1), (1, 1, 4))), _pairs_of_shapes(n)[1])),
        _function(
            "linear",
            lambda n: (
                one_of(((2, 3), (4, 3)), ((2, 3), (4, 3), (4,)), ((3,), (2, 3)), ((1, 2, 3), (4, 3), (4,))),
                st.one_of(_pairs_of_shapes(n)[1], one_of(((2, 3), (4, 3), (3,)), ((2, 3), (3, 4)))),
            ),
            dtypes=FLOATS,
            mixed=True,
        ),
        _function("expand_as reshape_as view_as", _pairs_of_shapes),
        _function(
            "index_select",
            lambda n: (one_of(((2, 3), (1,)), ((4,), (2,)), ((2, 2, 3), ())), one_of(((2, 3), (1, 1)), ((), (1,)))),
            lambda n: {"dim": (one_of(0, -1), one_of(3, -4))},
            "dim",
        ),
    ],
}


def _forms() -> Iterator[Plan]:
    """The functions that stand for layers, asked as their layers are."""
    for plan in chain.from_iterable(layer_draws.PLANS.values()):
        names = [form for name in plan.names if (form := _form(name)) is not None]
        if names:
            yield plan._replace(kind="function", names=tuple(names))


def _form(layer: str) -> str | None:
    entry = catalog.layer(layer)
    form = entry.rule.function if entry is not None and entry.rule is not None else None
    if form is None or form.keywords or form.spread or layer == "Softmax2d":  # these call `pad` or give other arguments
        return None
    name = form.callee.rpartition(".")[2]
    return name if form.callee.startswith(("F.", "torch.")) else None


PLANS["functions of layers"] = list(_forms())
