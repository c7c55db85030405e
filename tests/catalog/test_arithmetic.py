"""Operators of tensors and numbers against torch: broadcasting, promotion, refusals."""

from __future__ import annotations

import operator
import warnings
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netc.catalog.rules.arithmetic import COMPARISONS, binary, broadcast_shape, compare
from netc.shapes import Reject, TensorType, evaluate, symbol
from tests.catalog.referee import DTYPES, tensor

OPERATORS: dict[str, Any] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "@": operator.matmul, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
shapes = st.lists(st.sampled_from([1, 1, 2, 3]), max_size=3).map(tuple)
tensors = st.builds(TensorType, shapes, st.sampled_from([*DTYPES, "complex64", "complex128"]))
numbers = st.sampled_from([0, 1, 2, 3, -1, 0.5, 2.0, -1.5, True, False])


@settings(max_examples=3000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(OPERATORS)), tensors, st.one_of(tensors, tensors, numbers), st.booleans())
def test_operators_agree_with_torch(op: str, first: TensorType, second: Any, swap: bool) -> None:
    a, b = (second, first) if swap else (first, second)
    ours, theirs = binary(op, a, b), computed(op, a, b)
    if isinstance(theirs, TensorType) and theirs.dtype == "complex32":
        assert isinstance(ours, Reject), "complex numbers of half precision are not followed"
    elif isinstance(theirs, TensorType):
        assert ours == theirs, f"{a} {op} {b}: {ours}"
        assert op not in COMPARISONS or compare(op, a, b) == ours == TensorType(theirs.shape, "bool")
    elif "ZeroDivisionError" not in theirs:  # that depends on a value, and not on a type
        assert isinstance(ours, Reject), f"torch refuses {a} {op} {b}: {theirs}"


def computed(op: str, a: Any, b: Any) -> TensorType | str:
    """The type that torch gives, or the text of its refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = OPERATORS[op](*(tensor(x, "cpu") if isinstance(x, TensorType) else x for x in (a, b)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return TensorType(tuple(result.shape), str(result.dtype).removeprefix("torch."))


@settings(max_examples=1000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(OPERATORS)), tensors, tensors, st.booleans())
def test_symbols_stand_for_numbers(op: str, first: TensorType, second: TensorType, of_parameters: bool) -> None:
    """With symbols for sizes, all but 1, the formula gives torch's sizes."""
    mark = "$" if of_parameters else ""

    def generic(type_: TensorType) -> TensorType:
        return type_._replace(shape=tuple(d if d == 1 else symbol(f"{mark}s{d}") for d in type_.shape))

    theirs, formula = computed(op, first, second), binary(op, generic(first), generic(second))
    if not isinstance(theirs, TensorType):
        return  # what no size decides is refused; sizes that differ may be found equal
    assert isinstance(formula, TensorType) or theirs.dtype == "complex32", f"{first} {op} {second}: {formula}"
    if isinstance(formula, TensorType):
        sizes = tuple(evaluate(d, {f"{mark}s2": 2, f"{mark}s3": 3}) for d in formula.shape)
        assert formula._replace(shape=sizes) == theirs, f"{first} {op} {second}: {formula}"


def test_symbols() -> None:
    n, h = symbol("N"), symbol("H")
    assert broadcast_shape((n, 16, h), (16, 1)) == (n, 16, h)
    assert broadcast_shape((n, 16), (h, 16)) == (n, 16)  # can't be told apart before it runs
    assert isinstance(broadcast_shape((n, 16), (n, 32)), Reject)
    assert isinstance(broadcast_shape((2 * h + 2,), (2 * h + 3,)), Reject)
    residual = binary("+", TensorType((n, 64, h, h)), TensorType((n, 128, h, h)))
    assert isinstance(residual, Reject)
    assert "64 and 128 at axis -3" in residual.reason
    assert binary("*", TensorType((n,)), n) == TensorType((n,))
