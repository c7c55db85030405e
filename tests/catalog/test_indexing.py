"""Subscripts against torch: numbers, slices, `...`, None and tensors, with sizes and with symbols."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netc.catalog.rules.indexing import Slice, index
from netc.shapes import Reject, Size, TensorType, evaluate, symbol
from tests.catalog.referee import DTYPES

bounds = st.one_of(st.none(), st.integers(-6, 6))
slices = st.builds(Slice, bounds, bounds, st.sampled_from([None, None, 1, 2, 3, -1, 0]))
index_shapes = st.sampled_from([(), (2,), (3,), (1,), (2, 3), (2, 1), (0,)])
index_tensors = st.builds(TensorType, index_shapes, st.sampled_from(["int64", "int64", "int64", "int32", *DTYPES]))
subscripts = st.lists(
    st.one_of(st.integers(-4, 4), slices, slices, st.none(), st.just(...), index_tensors), min_size=1, max_size=4
).map(tuple)
tensors = st.lists(st.integers(0, 4), max_size=4).map(tuple).map(TensorType)
SETTINGS = settings(
    max_examples=4000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def asked(x: TensorType, keys: tuple[Any, ...]) -> tuple[int, ...] | str:
    """The shape that torch gives, or the text of its refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # masks of uint8
            return tuple(torch.ones(x.shape)[tuple(map(_key, keys))].shape)  # type: ignore[arg-type]
    except (IndexError, ValueError, RuntimeError, TypeError) as error:
        return str(error)


def _key(key: Any) -> Any:
    if isinstance(key, Slice):
        return slice(*key)
    if not isinstance(key, TensorType):
        return key
    return torch.zeros([int(str(s)) for s in key.shape], dtype=getattr(torch, key.dtype))


@SETTINGS
@given(tensors, subscripts)
def test_agrees_with_torch(x: TensorType, keys: tuple[Any, ...]) -> None:
    ours, theirs = index(x, keys), asked(x, keys)
    if isinstance(theirs, str):
        assert isinstance(ours, Reject), f"torch refuses {x}{keys}: {theirs}"
    elif isinstance(ours, Reject):
        masked = any(isinstance(k, TensorType) and k.dtype in ("bool", "uint8") for k in keys)
        assert masked or keys.count(...) > 1, f"{x}{keys}: {ours.reason}"
    else:
        assert ours.shape == theirs, f"{x}{keys}"


def _within(key: Any, size: int) -> bool:
    """Whether a slice stays within its axis, as is assumed of symbols."""
    if not isinstance(key, Slice):
        return True
    start, stop = (0 if key.start is None else key.start), (size if key.stop is None else key.stop)
    assert isinstance(start, int)
    assert isinstance(stop, int)
    first, last = (b + size if b < 0 else b for b in (start, stop))
    return 0 <= first <= last <= size


@SETTINGS
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(slices, min_size=1, max_size=4), st.data())
def test_symbols_stand_for_numbers(sizes: list[int], keys: list[Any], data: st.DataObject) -> None:
    """Bounds or sizes are symbols; within the axis, the formula gives torch's sizes."""
    keys = keys[: len(sizes)]
    of_parameters = data.draw(st.booleans())
    env = {("$" if of_parameters else "") + f"s{size}": size for size in sizes}
    env |= {f"k{n}": n for n in range(1, 7)}
    shape = tuple(symbol(("$" if of_parameters else "") + f"s{s}") if data.draw(st.booleans()) else s for s in sizes)
    generic = tuple(Slice(*(_perhaps_symbol(b, data) for b in key)) for key in keys)
    ours, theirs = index(TensorType(shape), generic), asked(TensorType(tuple(sizes)), tuple(keys))
    if isinstance(theirs, str):
        assert isinstance(ours, Reject) or any(isinstance(k.step, Size) for k in generic)
    elif not isinstance(ours, Reject):
        for i, (formula, number) in enumerate(zip(ours.shape, theirs, strict=True)):
            within = i >= len(keys) or _within(keys[i], sizes[i])
            assumed = of_parameters or not number or (i < len(keys) and any(isinstance(b, Size) for b in generic[i]))
            assert evaluate(formula, env) == number or (assumed and not within), f"{shape}{generic}: {ours}"


def _perhaps_symbol(bound: int | None, data: st.DataObject) -> Any:
    if not bound or not data.draw(st.booleans()):
        return bound
    return symbol(f"k{bound}") if bound > 0 else -symbol(f"k{-bound}")


def shape_of(shape: tuple[Any, ...], *keys: Any) -> Any:
    result = index(TensorType(shape), keys)
    return result.reason if isinstance(result, Reject) else result.shape


def test_symbols() -> None:
    n, t = symbol("N"), symbol("T")
    assert shape_of((1024,), Slice(None, t)) == (t,)
    assert shape_of((symbol("$context"),), Slice(None, t)) == (t,)
    assert shape_of((n, t, 64), Slice(), 0) == (n, 64)
    assert shape_of((n, t, 64), Slice(), Slice(1)) == (n, t - 1, 64)
    assert shape_of((n, t, 64), Slice(), Slice(None, -1)) == (n, t - 1, 64)
    assert shape_of((n, t, 64), Slice(), -1) == (n, 64)
    assert shape_of((n, 2 * t), Slice(), Slice(None, None, 2)) == (n, t)
    assert shape_of((n, 2 * t), Slice(), Slice(None, t)) == (n, t)
    assert shape_of((n, 2 * t), Slice(), Slice(t)) == (n, t)
    assert shape_of((n, t), ..., None) == (n, t, 1)
    assert shape_of((10,), Slice(-1 * t)) == (t,)
    assert shape_of((100, 8), TensorType((n, t), "int64")) == (n, t, 8)
    assert "known only at run time" in shape_of((n, t), Slice(), Slice(None, 10))
    assert "known only at run time" in shape_of((n, t), Slice(), Slice(-2))
    assert shape_of((n, symbol("$C")), Slice(), Slice(None, 10)) == (n, 10)
    assert "no element" in shape_of((n, t), Slice(), t)
    assert "2 subscripts for a tensor of 1 axis" in shape_of((n,), 0, 0)
    assert "run time" in shape_of((n,), TensorType((n,), "bool"))
