"""Brackets behind a tensor: `x[:, 0]`, `x[..., ::2]`, `table[index]`.

In: the type of a tensor and its subscripts. Out: the type of the result, or the reason of a refusal.
Guarantees: Python's slices and torch's placement of the axes that tensors as subscripts give; numbers out of range and
steps below 1 are refused, bounds of slices outside of the axis cut off.
Leaves to others: reading the subscripts out of the text; what lies in a tensor that is a subscript.

Where a bound of a slice or the axis is symbolic, the bound is taken to lie within the axis: `position[:T]` of 1024
gives T, and T - 2 elements are left of `x[2:]`. What a number would cut off of a size that is known only at run time
(`x[:10]` of T gives less than 10 where T is less) is refused; for symbols of parameters, which begin with `$`, it is
assumed too, because their numbers are put in afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast_shape
from netc.shapes import Dim, Reject, Size, TensorType, at_most, less

if TYPE_CHECKING:
    from types import EllipsisType


class Slice(NamedTuple):
    """`start:stop:step`; None is what is left out."""

    start: Dim | None = None
    stop: Dim | None = None
    step: Dim | None = None


if TYPE_CHECKING:
    Subscript = int | Size | Slice | EllipsisType | TensorType | None

_INDICES = frozenset({"int64", "int32"})


def index(type: TensorType, subscripts: tuple[Subscript, ...]) -> TensorType | Reject:
    """The type of `tensor[subscripts]`. A Reject's argument is None; its reason names the subscript at fault."""
    walked = _walk(type, subscripts)
    if isinstance(walked, Reject):
        return walked
    axes, tensors = walked
    if not tensors:
        return type._replace(shape=tuple(axes))
    shape = _gathered(axes, tensors)
    return shape if isinstance(shape, Reject) else type._replace(shape=shape)


def _walk(x: TensorType, subscripts: tuple[Subscript, ...]) -> tuple[list[Dim], dict[int, TensorType]] | Reject:
    """The axes that the result has, and the tensors that stand in place of one of them."""
    used = sum(s is not None and s is not ... for s in subscripts)
    if used > len(x.shape) or sum(s is ... for s in subscripts) > 1:
        what = parts.plural(used, "subscript") if used > len(x.shape) else "two `...`"
        return Reject(None, f"at most {len(x.shape)}", what, f"{what} for a tensor of {_axes(x)}, {x}")
    axes: list[Dim] = []
    tensors: dict[int, TensorType] = {}
    at = 0
    for s in subscripts:
        if s is None:
            axes.append(1)
        elif s is ...:
            skipped = len(x.shape) - used
            axes += x.shape[at : at + skipped]
            at += skipped
        else:
            result = _one(s, x, at)
            if isinstance(result, Reject):
                return result
            if isinstance(s, TensorType) and s.shape:
                tensors[len(axes)] = s
            axes += [] if result is None else [result]
            at += 1
    return [*axes, *x.shape[at:]], tensors


def _axes(x: TensorType) -> str:
    return parts.plural(len(x.shape), "axis")


def _one(s: int | Size | Slice | TensorType, x: TensorType, at: int) -> Dim | Reject | None:
    """The size that is left of an axis; None where the subscript takes it away."""
    size = x.shape[at]
    if isinstance(s, Slice):
        return _sliced(s, size, at)
    if isinstance(s, TensorType):
        return _indexed(s, size, at)
    if isinstance(s, bool):
        return Reject(None, "a number", str(s), f"`{s}` is no subscript")
    if less(s, -size) or at_most(size, s):
        reason = f"there is no element {s}: axis {at} has {size}"
        return Reject(None, f"less than {size}", str(s), reason)
    return None


def _indexed(s: TensorType, size: Dim, at: int) -> Dim | Reject | None:
    """A tensor as a subscript; one without axes counts as a number."""
    if s.dtype in ("bool", "uint8"):
        reason = "how many elements a mask picks is known only at run time; use `where` or `masked_fill`"
        return Reject(None, "a tensor of int64", s.dtype, reason)
    if s.dtype not in (_INDICES if s.shape else parts.INTS):
        return Reject(None, "a tensor of int64", s.dtype, f"a tensor as a subscript is int64, and this one {s.dtype}")
    if size == 0 and 0 not in s.shape:
        return Reject(None, "an axis with elements", "0", f"axis {at} is empty")
    return size if s.shape else None


def _sliced(s: Slice, size: Dim, at: int) -> Dim | Reject:
    step = 1 if s.step is None else s.step
    if less(step, 1):
        return Reject(None, "1 or more", str(step), f"a step must be 1 or more, and this one is {step}; use `flip`")
    start, stop = _start(s.start, size), _stop(s.stop, size)
    for bound, given in ((start, s.start), (stop, s.stop)):
        if bound is None:
            reason = f"whether axis {at} has {str(given).lstrip('-')} elements is known only at run time: it has {size}"
            return Reject(None, "a size that is known", str(size), reason)
    assert start is not None
    assert stop is not None
    length = stop - start
    return 0 if at_most(length, 0) else (length + step - 1) // step


def _start(given: Dim | None, size: Dim) -> Dim | None:
    """Where a slice begins, counted from the start; None where a number of run time decides."""
    if given is None:
        return 0
    if not less(given, 0):
        return size if at_most(size, given) else given
    place = size + given
    if less(place, 0):
        return 0
    return place if at_most(0, place) or _taken_to_lie_within(given, size) else None


def _stop(given: Dim | None, size: Dim) -> Dim | None:
    if given is None:
        return size
    if less(given, 0):
        place = size + given
        return 0 if less(place, 0) else place
    if at_most(size, given):
        return size
    return given if at_most(given, size) or _taken_to_lie_within(given, size) else None


def _taken_to_lie_within(bound: Dim, size: Dim) -> bool:
    return isinstance(bound, Size) or parts.of_parameters(size)


def _gathered(axes: list[Dim], tensors: dict[int, TensorType]) -> tuple[Dim, ...] | Reject:
    """The tensors' common shape in place of their axes where these are neighbours, else in front of all others."""
    common: tuple[Dim, ...] = ()
    for t in tensors.values():
        stretched = broadcast_shape(common, t.shape)
        if isinstance(stretched, Reject):
            return stretched
        common = stretched
    first, last = min(tensors), max(tensors)
    if last - first + 1 == len(tensors):
        return (*axes[:first], *common, *axes[last + 1 :])
    return (*common, *(size for i, size in enumerate(axes) if i not in tensors))
