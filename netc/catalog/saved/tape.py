"""What autograd keeps of a training step for its backward pass: a tape on which layers and functions are played.

In: values, each of them a shape with strides, a dtype and a storage. Out: the storages that are saved, each counted
once however many tensors share it.
Guarantees: views share the storage of what they are views of, and copies are made where torch makes them (`reshape` of
what isn't contiguous), so that `Tape.bytes` is what hooks on saved tensors count. Parameters and buffers aren't
counted.
Leaves to others: what each layer and function saves (the modules beside this one).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Shape = tuple[int, ...]

ITEM_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4, "int64": 8,
    "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip
DIFFERENTIABLE = frozenset({"float16", "bfloat16", "float32", "float64", "complex64", "complex128"})


class Unknown(Exception):
    """What is played here isn't known, for the reason that is given."""


class Storage:
    """The memory of a tensor and of its views. What a module holds (parameters, buffers) isn't `counted`."""

    __slots__ = ("bytes", "counted")

    def __init__(self, size: int, counted: bool = True) -> None:
        self.bytes = size
        self.counted = counted


class Value(NamedTuple):
    """A tensor: `grad` says whether it requires gradients; strides are in elements."""

    shape: Shape
    strides: Shape
    dtype: str
    storage: Storage
    grad: bool

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def dim(self) -> int:
        return len(self.shape)


def standard(shape: Sequence[int]) -> Shape:
    """The strides of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(x: Value) -> bool:
    """As torch has it: the strides of axes of one element don't matter."""
    wanted = standard(x.shape)
    return 0 in x.shape or all(
        size == 1 or a == b for size, a, b in zip(x.shape, x.strides, wanted, strict=True)
    )  # fmt: skip


def _dense(x: Value) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in any order of the axes."""
    step = 1
    for stride, size in sorted((st, n) for n, st in zip(x.shape, x.strides, strict=True) if n != 1):
        if stride != step:
            return False
        step *= size
    return True


class Tape:
    """The step of one rank. `cuda` says for which kind of device; `kept` are the storages that backward needs."""

    def __init__(self, cuda: bool = False) -> None:
        self.cuda = cuda
        self.kept: dict[int, Storage] = {}

    @property
    def bytes(self) -> int:
        """What is saved, in bytes."""
        return sum(storage.bytes for storage in self.kept.values())

    def save(self, *values: Value) -> None:
        """Keep the storages of these tensors."""
        for value in values:
            if value.storage.counted:
                self.kept[id(value.storage)] = value.storage

    # --- new tensors ---------------------------------------------------------------------------------------------

    def new(self, shape: Sequence[int], dtype: str = "float32", grad: bool = False) -> Value:
        """A contiguous tensor of its own."""
        size = tuple(shape)
        return Value(size, standard(size), dtype, Storage(prod(size) * ITEM_BYTES[dtype]),
                     grad and dtype in DIFFERENTIABLE)  # fmt: skip

    def parameter(self, shape: Sequence[int], trained: bool = True, dtype: str = "float32") -> Value:
        """A parameter or buffer, which isn't counted."""
        size = tuple(shape)
        return Value(size, standard(size), dtype, Storage(0, counted=False), trained)

    def like(self, x: Value, dtype: str | None = None, grad: bool | None = None) -> Value:
        """A tensor of the same shape; its axes lie in memory as those of `x`, where `x` has no gaps."""
        made = self.new(x.shape, dtype or x.dtype, x.grad if grad is None else grad)
        return made._replace(strides=x.strides) if _dense(x) else made

    def cast(self, x: Value, dtype: str) -> Value:
        """In another dtype; itself where it has that."""
        return x if x.dtype == dtype else self.like(x, dtype)

    # --- views ---------------------------------------------------------------------------------------------------

    def contiguous(self, x: Value) -> Value:
        """Itself, or a copy."""
        return x if is_contiguous(x) else self.new(x.shape, x.dtype, x.grad)

    def permute(self, x: Value, order: Sequence[int]) -> Value:
        """A view with the axes in this order."""
        order = [d % x.dim for d in order]
        return x._replace(shape=tuple(x.shape[d] for d in order), strides=tuple(x.strides[d] for d in order))

    def transpose(self, x: Value, a: int, b: int) -> Value:
        """A view with two axes in each other's place."""
        if not x.dim:
            return x
        order = list(range(x.dim))
        order[a], order[b] = order[b], order[a]
        return self.permute(x, order)

    def unsqueeze(self, x: Value, dim: int) -> Value:
        """A view with an axis of one element more."""
        at = dim % (x.dim + 1)
        step = x.shape[at] * x.strides[at] if at < x.dim else 1
        return x._replace(shape=(*x.shape[:at], 1, *x.shape[at:]), strides=(*x.strides[:at], step, *x.strides[at:]))

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        """A view in which axes of one element are repeated."""
        lead = len(shape) - x.dim
        sizes = [x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape)]
        strides = [0] * lead + [0 if a == 1 and b != 1 else s
                                for a, b, s in zip(x.shape, sizes[lead:], x.strides, strict=True)]  # fmt: skip
        return x._replace(shape=tuple(sizes), strides=tuple(strides))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """A view where the strides allow it, else a copy; one size may be -1."""
        rest = prod(n for n in shape if n != -1)
        sizes = tuple(x.numel // max(rest, 1) if n == -1 else n for n in shape)
        strides = _view_strides(x, sizes)
        return self.new(sizes, x.dtype, x.grad) if strides is None else x._replace(shape=sizes, strides=strides)

    def flatten(self, x: Value, start: int, end: int = -1) -> Value:
        """Some axes as one."""
        if not x.dim:
            return self.reshape(x, (1,))
        start, end = start % x.dim, end % x.dim
        return self.reshape(x, (*x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    # --- what many layers are made of ----------------------------------------------------------------------------

    def pointwise(self, x: Value, saves: str, dtype: str | None = None) -> Value:
        """A function of each element that saves its input ("x"), its result ("y"), both or neither."""
        y = self.like(x, dtype)
        if y.grad and x.grad:
            self.save(*([x] if "x" in saves else []), *([y] if "y" in saves else []))
        return y

    def broadcast(self, values: Iterable[Value], dtype: str | None = None) -> Value:
        """The result of an operation on several tensors element by element; nothing is saved."""
        several = list(values)
        shape = broadcast_shape([v.shape for v in several])
        grad = any(v.grad for v in several)
        first = next((v for v in several if v.shape == shape), None)
        kind = dtype or several[0].dtype
        return self.new(shape, kind, grad) if first is None else self.like(first, kind, grad and kind in DIFFERENTIABLE)

    def add(self, *values: Value) -> Value:
        return self.broadcast(values)

    def mul(self, a: Value, b: Value, dtype: str | None = None) -> Value:
        """A product keeps each factor for the gradient of the other."""
        y = self.broadcast((a, b), dtype)
        if y.grad:
            self.save(*([b] if a.grad else []), *([a] if b.grad else []))
        return y

    def div(self, a: Value, b: Value, dtype: str | None = None) -> Value:
        y = self.broadcast((a, b), dtype)
        if y.grad:
            self.save(*([b] if a.grad or b.grad else []), *([a] if b.grad else []))
        return y

    def mm(self, a: Value, b: Value) -> Value:
        """[n, k] by [k, m], or batches of them."""
        y = self.new((*a.shape[:-1], b.shape[-1]), a.dtype, a.grad or b.grad)
        if y.grad:
            self.save(*([b] if a.grad else []), *([a] if b.grad else []))
        return y

    def matmul(self, a: Value, b: Value) -> Value:
        """As torch.matmul takes it apart: folded into one product of matrices, or expanded into a batch of them."""
        if a.dim == 1 or b.dim == 1:
            return self._with_vector(a, b)
        if a.dim == 2 and b.dim == 2:
            return self.mm(a, b)
        if b.dim == 2 and self._folds(a, b):
            folded = self.mm(self.reshape(a, (-1, a.shape[-1])), b)
            return self.reshape(folded, (*a.shape[:-1], b.shape[-1]))
        if a.dim == 2 and self._folds(self.transpose(b, -1, -2), a):
            turned = self.transpose(b, -1, -2)
            folded = self.mm(self.reshape(turned, (-1, turned.shape[-1])), self.transpose(a, 0, 1))
            return self.transpose(self.reshape(folded, (*turned.shape[:-1], a.shape[0])), -1, -2)
        batch = broadcast_shape([a.shape[:-2], b.shape[:-2]])
        a3 = self.reshape(self.expand(a, (*batch, *a.shape[-2:])), (-1, *a.shape[-2:]))
        b3 = self.reshape(self.expand(b, (*batch, *b.shape[-2:])), (-1, *b.shape[-2:]))
        return self.reshape(self.mm(a3, b3), (*batch, a.shape[-2], b.shape[-1]))

    def _folds(self, larger: Value, smaller: Value) -> bool:
        if larger.grad or larger.dim == 2:
            return larger.grad
        pairs = zip(larger.shape[:-2], larger.strides[:-2], range(1, larger.dim), strict=False)
        return all(stride == larger.strides[i] * larger.shape[i] for _, stride, i in pairs)

    def _with_vector(self, a: Value, b: Value) -> Value:
        y = self.new((*a.shape[:-1], *(b.shape[:-2] + b.shape[-1:] if b.dim > 1 else ())), a.dtype, a.grad or b.grad)
        if y.grad:
            self.save(*([b] if a.grad else []), *([a] if b.grad else []))
        return y

    def linear(self, x: Value, weight: Value, bias: Value | None = None) -> Value:
        """x @ weight.T + bias."""
        if x.dim > 2:
            x2 = self.reshape(x, (-1, x.shape[-1]))
            return self.reshape(self.linear(x2, weight, bias), (*x.shape[:-1], weight.shape[0]))
        y = self.new((*x.shape[:-1], weight.shape[0]), x.dtype,
                     x.grad or weight.grad or (bias is not None and bias.grad))  # fmt: skip
        self.save(*([x] if weight.grad else []), *([weight] if x.grad else []))
        return y

    def dropout(self, x: Value, p: float, training: bool = True, shape: Shape | None = None) -> Value:
        """What is dropped is kept as a mask: of the values' dtype on a CPU, of truth values on a GPU."""
        if p == 0 or not training or x.numel == 0:
            return x
        y = self.like(x)
        if p == 1 and x.grad:  # a product with nothing
            self.save(self.new((), x.dtype))
        elif x.grad:
            fused = self.cuda and shape is None
            self.save(self.like(x, "bool", False) if fused else self.new(x.shape if shape is None else shape, x.dtype))
        return y

    def layer_norm(self, x: Value, axes: int, trained: bool = True) -> Value:
        """Over the last axes: the input is kept, with mean and inverse deviation of each row."""
        y = self.new(x.shape, x.dtype, x.grad or trained)
        if y.grad:
            rows = self.new(x.shape[: x.dim - axes])
            self.save(x, rows, self.new(rows.shape))
        return y


def broadcast_shape(shapes: Iterable[Shape]) -> Shape:
    """The common shape of several."""
    several = list(shapes)
    length = max(map(len, several), default=0)
    padded = [(1,) * (length - len(s)) + s for s in several]
    return tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True))


def _view_strides(x: Value, shape: Shape) -> Shape | None:
    """The strides of a view of another shape; None where there is none."""
    if x.numel == 0:
        return standard(shape)
    strides = [0] * len(shape)
    at, base = len(shape) - 1, x.strides[-1] if x.dim else 1
    elements, covered = 1, 1
    for axis in range(x.dim - 1, -1, -1):
        elements *= x.shape[axis]
        if axis and (x.shape[axis - 1] == 1 or x.strides[axis - 1] == elements * base):
            continue
        while at >= 0 and (covered < elements or shape[at] == 1):
            strides[at] = covered * base
            covered *= shape[at]
            at -= 1
        if covered != elements:
            return None
        if axis:
            base, elements, covered = x.strides[axis - 1], 1, 1
    while at >= 0:  # a scalar, as axes of one element
        strides[at] = covered * base
        covered *= shape[at]
        at -= 1
    return tuple(strides)
