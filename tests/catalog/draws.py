"""Random questions for the rules and for torch.

In: a plan for each family: how well-formed arguments look, and how ill-formed ones. Out: a strategy of `Case`s.
Guarantees: about half of the cases have one argument, the shape or the dtype drawn from the ill-formed values; every
argument that a plan names is drawn.
Leaves to others: the comparison (`test_rules`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from netc.shapes import TensorType
from tests.catalog.referee import DTYPES, Case

Strategy = st.SearchStrategy[Any]
Pair = tuple[Strategy, Strategy]


class Plan(NamedTuple):
    """How the questions about some layers or functions are drawn.

    shapes: of well-formed and of ill-formed inputs, one tuple of shapes a case. args: each parameter's well-formed and
    ill-formed values, for a number of spatial axes. needed: parameters that are always given.
    """

    kind: str
    names: tuple[str, ...]
    shapes: Callable[[int], Pair]
    args: Callable[[int], dict[str, Pair]]
    needed: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float32",)
    bad_dtypes: tuple[str, ...] = DTYPES
    mixed: bool = False


@st.composite
def cases(draw: st.DrawFn, plan: Plan) -> Case:
    name = draw(st.sampled_from(plan.names))
    n = next((int(c) for c in name if c.isdigit()), 2)
    args = plan.args(n)
    wild = draw(st.sampled_from(["", *args, "shape", "shape", "dtype"]))
    given = {}
    for param, (good, bad) in args.items():
        if param == wild:
            given[param] = draw(bad)
        elif param in plan.needed or draw(st.booleans()):
            given[param] = draw(good)
    shapes = draw(plan.shapes(n)[wild == "shape"])
    dtypes = plan.bad_dtypes if wild == "dtype" else plan.dtypes
    common = draw(st.sampled_from(dtypes))
    inputs = tuple(TensorType(s, draw(st.sampled_from(dtypes)) if plan.mixed else common) for s in shapes)
    return Case(plan.kind, name, {k: v for k, v in given.items() if v is not OMITTED}, inputs)


OMITTED = object()
omitted = st.just(OMITTED)
flag = st.booleans()


def one_of(*values: Any) -> Strategy:
    return st.sampled_from(values)


def each(n: int, values: Strategy) -> Strategy:
    """A number, or n numbers."""
    return st.one_of(values, st.tuples(*[values] * n))


def shape(*sizes: Strategy) -> Strategy:
    """One input of this shape."""
    return st.tuples(st.tuples(*sizes))


def sizes(low: int, high: int) -> Strategy:
    return st.integers(low, high)


def any_shape(*counts: int, low: int = 1, high: int = 6) -> Strategy:
    """One input with one of these numbers of axes."""
    return st.sampled_from(counts).flatmap(lambda count: shape(*[sizes(low, high)] * count))


def images(n: int, channels: Strategy | None = None, low: int = 4, high: int = 8) -> Pair:
    """[N, C, …] with n spatial axes; ill-formed: another number of axes, though not the one of a single sample."""
    channels = one_of(2, 4) if channels is None else channels
    good = shape(sizes(1, 2), channels, *[sizes(low, high)] * n)
    others = [count for count in (1, 2, 3, 4, 5, 6) if count not in (n + 1, n + 2)]
    small = shape(sizes(1, 2), channels, *[sizes(1, 3)] * n)
    return good, st.one_of(any_shape(*others, high=4), small)


def anything(n: int) -> Pair:
    return any_shape(1, 2, 3, 4, high=3), any_shape(0, 1, 2, 5, high=3)


def nothing(n: int) -> dict[str, Pair]:
    return {}


def with_number(
    name: str, good: Strategy | None = None, bad: Strategy | None = None
) -> Callable[[int], dict[str, Pair]]:
    some = st.sampled_from([0.5, 1.0, 2.0])
    return lambda n: {
        name: (some if good is None else good, st.sampled_from([-1.0, 0.0, 0.25]) if bad is None else bad)
    }


SIX = ("float32", "float64", "float16", "bfloat16", "int64", "bool")
FLOATS = ("float32", "float64")
