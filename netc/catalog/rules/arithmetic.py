"""Operators and functions of two tensors, or of a tensor and a number: broadcasting and the types of results.

In: an operator and its operands. Out: the type of the result, or the reason of a refusal.
Guarantees: torch's broadcasting and its promotion of dtypes, those of tensors without axes and of numbers included.
Leaves to others: expressions of numbers alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, Size, TensorType, less, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

    Operand = TensorType | Size | int | float

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_WIDTH = {"uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64}
_REAL_ONLY = {"//", "%"}
_NO_BOOLS = {"//", "%", "**"}  # of two bools; torch refuses `-` for any


def binary(op: str, a: Operand, b: Operand) -> TensorType | Reject:
    """The type of `a op b`, one of the two a tensor; `op` is a Python operator: + - * / // % ** @ or a comparison."""
    if op in COMPARISONS:
        return compare(op, a, b)
    if op == "@":
        if isinstance(a, TensorType) and isinstance(b, TensorType):
            return matmul(a, b)
        return Reject(None, "two tensors", "a number", "`@` multiplies two tensors, and one of these is a number")
    shape = broadcast_shape(*(x.shape if isinstance(x, TensorType) else () for x in (a, b)))
    if isinstance(shape, Reject):
        return shape
    dtype = _result_dtype(op, a, b)
    return dtype if isinstance(dtype, Reject) else TensorType(shape, dtype)


def compare(op: str, a: Operand, b: Operand) -> TensorType | Reject:
    """The type of a comparison (`COMPARISONS`), one of the two a tensor: bool, of the shape to which they stretch."""
    dtype = next((d for d in (_dtype(a), _dtype(b)) if d in parts.COMPLEX), None)
    if dtype is not None and op not in ("==", "!="):
        return Reject(None, "real numbers", dtype, f"`{op}` does not work with {dtype} values, which have no order")
    shape = broadcast_shape(*(x.shape if isinstance(x, TensorType) else () for x in (a, b)))
    return shape if isinstance(shape, Reject) else TensorType(shape, "bool")


def broadcast(a: TensorType, b: TensorType) -> TensorType | Reject:
    """The type of an element-by-element operation of two tensors."""
    shape = broadcast_shape(a.shape, b.shape)
    return shape if isinstance(shape, Reject) else TensorType(shape, promoted(a, b))


def broadcast_shape(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, ...] | Reject:
    """The shape to which two shapes stretch: axes are matched from the last, a size of 1 fits any."""
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    lead = len(long) - len(short)
    sizes = list(long)
    for i, other in enumerate(short):
        size = _common(long[lead + i], other)
        if size is None:
            left, right = ("[" + ", ".join(map(str, s)) + "]" for s in (a, b))
            clash = f"{long[lead + i]} and {other}" if long is a else f"{other} and {long[lead + i]}"
            axis = len(short) - i
            return Reject(None, left, right, f"{left} and {right} don't go together: {clash} at axis -{axis}")
        sizes[lead + i] = size
    return tuple(sizes)


def _common(a: Dim, b: Dim) -> Dim | None:
    if same(a, b):
        return a
    if a == 1 or b == 1:
        return b if a == 1 else a
    if same(a, b) is False:  # a size that happens to be 1 at one place of an open one is not meant to be spread
        return None
    return a if isinstance(a, int) or not isinstance(b, int) else b


def promoted(*operands: Operand) -> str:
    """The dtype of a result: tensors with axes decide; one without, and then a number, only by its category."""
    levels = ["", "", ""]
    for x in operands:
        level = 2 if not isinstance(x, TensorType) else 0 if x.shape else 1
        levels[level] = _wider(levels[level], _dtype(x))
    return _combined(levels[0], _combined(levels[1], levels[2]))


def _dtype(x: Operand) -> str:
    if isinstance(x, TensorType):
        return x.dtype
    return "bool" if isinstance(x, bool) else "float32" if isinstance(x, float) else "int64"


def _combined(higher: str, lower: str) -> str:
    if not higher or not lower or higher in parts.COMPLEX:
        return higher or lower
    if higher in parts.FLOATS:  # the precision of a complex number without axes is that of the floats that it meets
        made = {"float64": "complex128", "float32": "complex64"}.get(higher, "complex32")
        return made if lower in parts.COMPLEX else higher
    if lower in parts.COMPLEX:
        return lower
    return _wider(higher, lower) if higher == "bool" or lower in parts.FLOATS else higher


def _wider(a: str, b: str) -> str:
    """The dtype that holds both."""
    if not a or not b or a == b:
        return a or b
    if a in parts.COMPLEX or b in parts.COMPLEX:
        return "complex128" if "float64" in (_real(a), _real(b)) else "complex64"
    if "bool" in (a, b):
        return b if a == "bool" else a
    if a in parts.FLOATS or b in parts.FLOATS:
        floats = {a, b} & parts.FLOATS
        if len(floats) == 1:
            return floats.pop()
        return "float64" if "float64" in floats else "float32"
    if {a, b} == {"uint8", "int8"}:
        return "int16"
    return max(a, b, key=lambda dtype: _WIDTH[dtype])


def _real(dtype: str) -> str:
    """The dtype of the real part."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def _result_dtype(op: str, a: Operand, b: Operand) -> str | Reject:
    dtypes = _dtype(a), _dtype(b)
    result = promoted(a, b)
    if result == "complex32":
        reason = f"`{op}` of {dtypes[0]} and {dtypes[1]} would be complex numbers of half precision"
        return Reject(None, "float32", "complex32", reason)
    if result in parts.COMPLEX and op in _REAL_ONLY:
        return Reject(None, "real numbers", result, f"`{op}` does not work with {result} values")
    if op == "-" and "bool" in dtypes:
        return Reject(None, "numbers", "bool", "`-` does not work with bool values; use `logical_not`, or convert them")
    if result == "bool" and op in _NO_BOOLS and not (op == "**" and isinstance(b, bool)):
        return Reject(None, "numbers", "bool", f"`{op}` does not work with two bool tensors")
    if op == "**" and result in parts.INTS and not isinstance(b, TensorType) and less(b, 0):  # type: ignore[arg-type]
        reason = f"whole numbers can't be raised to the negative power {b}; convert them to float first"
        return Reject(None, "a power of 0 or more", str(b), reason)
    return "float32" if op == "/" and result not in parts.FLOATS | parts.COMPLEX else result


def matmul(a: TensorType, b: TensorType) -> TensorType | Reject:
    """The matrix product: vectors count as a row on the left and as a column on the right, batches broadcast."""
    for x in (a, b):
        if not x.shape:
            return Reject(
                None, "one axis or more", str(x), "a matrix product needs tensors with axes, and one has none"
            )
    if a.dtype != b.dtype or a.dtype == "bool":
        return Reject(
            None, a.dtype, b.dtype, f"a matrix product needs one dtype of numbers, not {a.dtype} and {b.dtype}"
        )
    inner = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    if same(a.shape[-1], inner) is False:
        reason = f"the last axis of {a} has {a.shape[-1]}, and the rows of {b} are {inner}"
        return Reject(None, str(a.shape[-1]), str(inner), reason)
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    if isinstance(batch, Reject):
        return batch
    rows = a.shape[-2:-1]
    columns = b.shape[-1:] if len(b.shape) > 1 else ()
    return TensorType((*batch, *rows, *columns), a.dtype)


def _named(op: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    """A function that is an operator: `eq(x, 3)`."""
    first, *rest = inputs
    return binary(op, first, rest[0] if rest else args["other"])  # type: ignore[arg-type]


def _power(args: Args, inputs: Inputs) -> TensorType | Reject:
    first, *rest = inputs
    return binary("**", first, rest[0] if rest else args["exponent"])  # type: ignore[arg-type]


def _greater_of_two(args: Args, inputs: Inputs) -> TensorType | Reject:
    return broadcast(*inputs)


def _angle(args: Args, inputs: Inputs) -> TensorType | Reject:
    result = broadcast(*inputs)
    return result if isinstance(result, Reject) or result.dtype in parts.FLOATS else result._replace(dtype="float32")


def _logical(args: Args, inputs: Inputs) -> TensorType | Reject:
    shape = broadcast_shape(inputs[0].shape, inputs[1].shape)
    return shape if isinstance(shape, Reject) else TensorType(shape, "bool")


_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "floor_divide": "//", "remainder": "%",
    "fmod": "%",
}  # fmt: skip
LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    **{name: Rule(partial(_named, op), function=Function(f"torch.{name}")) for name, op in _OPERATORS.items()},
    **{f"logical_{op}": Rule(_logical, function=Function(f"torch.logical_{op}")) for op in ("and", "or", "xor")},
    "pow": Rule(_power, function=Function("torch.pow")),
    "maximum": Rule(_greater_of_two, function=Function("torch.maximum")),
    "minimum": Rule(_greater_of_two, function=Function("torch.minimum")),
    "atan2": Rule(_angle, function=Function("torch.atan2")),
}
