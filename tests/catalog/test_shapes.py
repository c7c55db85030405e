"""Symbolic sizes: what they compute, how they print, and what they can decide."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netc.shapes import (
    Dim,
    Reject,
    Size,
    TensorType,
    at_most,
    evaluate,
    less,
    product,
    same,
    scaled,
    substitute,
    symbol,
)

H, W, N = symbol("H"), symbol("W"), symbol("N")
NAMES = ("H", "W", "N")


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*NAMES, *NAMES, "0", "1", "2", "3", "7", "(-1)", "(-4)"]))
    op = draw(st.sampled_from(["+", "-", "*", "//", "%"]))
    left = draw(expressions(depth - 1))
    divisor = st.sampled_from(["2", "3", "4", "6", "(-3)", "W"])
    return f"({left} {op} {draw(divisor if op in ('//', '%') else expressions(depth - 1))})"


values = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(expressions(), values)
def test_a_size_is_the_number_that_python_computes(text: str, numbers: dict[str, int]) -> None:
    formula: Dim = eval(text, {name: symbol(name) for name in NAMES})
    expected: int = eval(text, dict(numbers))
    assert evaluate(formula, numbers) == expected
    assert eval(str(formula), dict(numbers)) == expected
    assert substitute(formula, {"H": numbers["H"]}) == substitute(substitute(formula, {"H": H}), {"H": numbers["H"]})


@settings(max_examples=800, deadline=None, derandomize=True, database=None)
@given(expressions(), expressions(), values)
def test_what_is_decided_holds_for_all_numbers(left: str, right: str, numbers: dict[str, int]) -> None:
    symbols = {name: symbol(name) for name in NAMES}
    a, b = eval(left, symbols), eval(right, symbols)
    x, y = evaluate(a, numbers), evaluate(b, numbers)
    assert same(a, b) in (None, x == y)
    assert less(a, b) in (None, x < y)
    assert at_most(a, b) in (None, x <= y)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2 * H, "2 * H"),
        ((H - 1) // 2 + 1, "(H + 1) // 2"),
        (symbol("growth") * symbol("depth") + 64, "depth * growth + 64"),
        (H * H, "H**2"),
        ((H // 2) ** 2, "(H // 2) ** 2"),
        (3 - H, "3 - H"),
        (-(H // 2), "-(H // 2)"),
        (3 * H // 2, "3 * H // 2"),
        (N * (H // 2) * 64, "64 * N * (H // 2)"),
        (H // 2 // 2, "H // 4"),
        (((H - 1) // 2 + 1 - 1) // 2 + 1, "(H + 3) // 4"),
        (-(-H // 2), "(H + 1) // 2"),
        (H // W + 1, "H // W + 1"),
        (scaled(H, 1.5), "3 * H // 2"),
        (scaled(H, 0.1), "int(H * 0.1)"),
    ],
)
def test_text(size: Dim, text: str) -> None:
    assert str(size) == text


@pytest.mark.parametrize(
    ("size", "number"),
    [
        (H - H + 3, 3),
        (2 * H // H, 2),
        ((2 * H + 1) % 2, 1),
        (H * W // (W * H), 1),
        (H**0, 1),
        ((H + 2) * N // (N * H + 2 * N), 1),
    ],
)
def test_constants_come_back_as_numbers(size: Dim, number: int) -> None:
    assert type(size) is int
    assert size == number


def test_decisions() -> None:
    assert same(H, H) is True
    assert same(H, H + 1) is False
    assert same(H + 5, 3) is False
    assert same(H, 3) is None
    assert same(N * 16 * 25, 400 * N) is True
    assert less(H, 1) is False
    assert less(0, H // 2 + 1) is True
    assert less(H, W) is None
    assert at_most(1, H) is True
    assert at_most(2, H) is None


def test_equal_sizes_are_one_key() -> None:
    assert len({H + W, W + H, (2 * H + 2 * W) // 2}) == 1
    assert (H + W).symbols == {"H", "W"}  # type: ignore[union-attr]
    assert symbol("a") != "a"


def test_a_missing_symbol_is_named() -> None:
    with pytest.raises(KeyError, match="W"):
        evaluate(H * W, {"H": 2})
    with pytest.raises(ZeroDivisionError):
        H // 0
    with pytest.raises(ValueError, match="no power"):
        H**-1


@given(st.integers(1, 10_000), st.sampled_from([0.1, 0.29, 0.3, 0.5, 0.7, 1.3, 1.5, 2.0, 3.0, 0.333]))
def test_scaling_in_doubles(size: int, factor: float) -> None:
    assert evaluate(scaled(H, factor), {"H": size}) == int(size * factor)
    assert scaled(size, factor) == int(size * factor)


def test_types_of_tensors() -> None:
    assert str(TensorType((N, 16, 5, 5))) == "[N, 16, 5, 5]"
    assert str(TensorType((N, (H - 1) // 2 + 1), "int64")) == "[N, (H + 1) // 2] int64"
    assert product(TensorType((N, 16, 5, 5)).shape) == 400 * N
    assert Reject("kernel_size", "at most 5", "7", "too large").argument == "kernel_size"


@given(st.integers(-50, 50), st.integers(2, 9), st.integers(2, 9))
def test_nested_division(offset: int, inner: int, outer: int) -> None:
    size: Any = ((H + offset) // inner + offset) // outer
    assume(isinstance(size, Size))
    for h in (1, 2, 17, 100):
        assert evaluate(size, {"H": h}) == ((h + offset) // inner + offset) // outer
    assert str(size).count("//") == 1
