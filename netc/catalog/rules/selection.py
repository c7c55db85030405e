"""What picks, replaces or lays out elements by other tensors: where, gather, lerp, scatter, meshgrid …

In: arguments, tensors among them, and the types of the inputs. Out: shapes, or the reason of a refusal.
Guarantees: the sizes, dtypes and refusals of torch on the CPU; what lies in an index isn't looked at.
Leaves to others: brackets (`indexing`), `index_select` (`reshaping`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast_shape, promoted
from netc.catalog.rules.padding import unheld
from netc.catalog.rules.reshaping import axes, flip
from netc.shapes import Dim, Reject, Size, TensorType, at_most, less, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs, Result
    from netc.catalog.rules.arithmetic import Operand

LONG = frozenset({"int64"})
INDEX = frozenset({"int64", "int32"})


def _stretched(*operands: Operand) -> TensorType | Reject:
    """The type to which tensors and numbers stretch."""
    shape: tuple[Dim, ...] = ()
    for x in operands:
        found = broadcast_shape(shape, x.shape if isinstance(x, TensorType) else ())
        if isinstance(found, Reject):
            return found
        shape = found
    return TensorType(shape, promoted(*operands))


def _where(args: Args, inputs: Inputs) -> TensorType | Reject:
    condition = inputs[0]
    if condition.dtype not in ("bool", "uint8"):
        reason = f"`condition` is bool, as a comparison gives it, and this one {condition.dtype}"
        return Reject("condition", "bool", condition.dtype, reason)
    values: tuple[Operand, ...] = (args["input"], args["other"])  # type: ignore[assignment]
    both = _stretched(*values)
    return both if isinstance(both, Reject) else _of_shape(both, condition)


def _of_shape(x: TensorType, other: TensorType) -> TensorType | Reject:
    shape = broadcast_shape(x.shape, other.shape)
    return shape if isinstance(shape, Reject) else x._replace(shape=shape)


def _masked_fill(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, mask = inputs[:2]
    value = args["value"]
    if mask.dtype != "bool":
        return Reject(
            "mask", "bool", mask.dtype, f"`mask` is bool, as a comparison gives it, and this one {mask.dtype}"
        )
    if isinstance(value, TensorType) and value.shape:
        return Reject("value", "a number", str(value), f"`value` is one number, and this is a tensor of {value}")
    if isinstance(value, TensorType) and value.dtype in parts.COMPLEX and x.dtype not in parts.COMPLEX:
        reason = f"the input is {x.dtype}, which can't hold {value.dtype}"
        return Reject("value", x.dtype, value.dtype, reason)
    return unheld(value, x) or _of_shape(x, mask)


def _lerp(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, end, weight = inputs[0], inputs[1], args["weight"]
    tensors = (x, end, weight) if isinstance(weight, TensorType) else (x, end)
    for name, other in zip(("end", "weight"), tensors[1:], strict=False):
        if other.dtype != x.dtype:
            return Reject(name, x.dtype, other.dtype, f"the input is {x.dtype}, and `{name}` {other.dtype}")
    both = parts.dtype_in(x, parts.FLOATS | parts.COMPLEX) or _stretched(*tensors)
    return both if isinstance(both, Reject) else both._replace(dtype=x.dtype)


# --- by an index ------------------------------------------------------------------------------------------------------


def _aligned(
    x: TensorType, index: TensorType, dim: object, what: str = "index", allowed: frozenset[str] = INDEX
) -> int | Reject:
    """The axis along which an index with as many axes as the input picks."""
    axis = axes(x, dim, "dim")
    problem = parts.dtype_in(index, allowed)
    if isinstance(axis, Reject) or problem:
        return problem or axis  # type: ignore[return-value]
    if max(len(index.shape), 1) != max(len(x.shape), 1):
        reason = f"`{what}` needs {parts.plural(len(x.shape), 'axis')}, as many as the input, and is {index}"
        return Reject(what, parts.plural(len(x.shape), "axis"), str(index), reason)
    return axis[0]


def _gather(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs
    axis = _aligned(x, index, args["dim"])
    if isinstance(axis, Reject):
        return axis
    return _within(x, index, axis, "index") or x._replace(shape=index.shape)


def _within(x: TensorType, index: TensorType, axis: int | None, name: str) -> Reject | None:
    """Refuses an index that is longer than the tensor, in another axis than the one along which it picks."""
    if same(product(index.shape), 0):
        return None
    for i, (size, room) in enumerate(zip(index.shape, x.shape, strict=False)):
        if i != axis and less(room, size):
            reason = f"`{name}` is {index} and the tensor {x}: axis {i} must not be longer"
            return Reject(name, f"at most {room}", str(size), reason)
    return None


def _scatter(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs[:2]
    source = args["src"]
    axis = _aligned(x, index, args["dim"], allowed=LONG)
    if isinstance(axis, Reject):
        return axis
    problem = _within(x, index, axis, "index")
    if problem or not isinstance(source, TensorType):
        return problem or x
    if source.dtype != x.dtype:
        return Reject("src", x.dtype, source.dtype, f"the input is {x.dtype}, and `src` {source.dtype}")
    if max(len(source.shape), 1) != max(len(x.shape), 1):
        return Reject("src", str(index), str(source), f"`src` is {source}, and needs an element for each of {index}")
    return _within(source, index, None, "index") or x


def _take(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs
    if same(product(x.shape), 0) and same(product(index.shape), 0) is False:
        return Reject(None, "elements", str(x), "there is nothing to take")
    return parts.dtype_in(index, LONG) or x._replace(shape=index.shape)


def _take_along(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs
    if args["dim"] is None:
        return parts.dtype_in(index, INDEX) or x._replace(shape=(product(index.shape),))
    axis = _aligned(x, index, args["dim"], "indices")
    if isinstance(axis, Reject):
        return axis
    others = (t.shape[:axis] + t.shape[axis + 1 :] for t in (x, index))
    shape = broadcast_shape(*others)
    if isinstance(shape, Reject):
        return shape
    return x._replace(shape=(*shape[:axis], *index.shape[axis : axis + 1], *shape[axis:]))


# --- laying out -------------------------------------------------------------------------------------------------------


def _meshgrid(args: Args, inputs: Inputs) -> Result:
    indexing = args["indexing"]
    if indexing not in ("ij", "xy"):
        return Reject("indexing", '"ij" or "xy"', repr(indexing), f'`indexing` is "ij" or "xy", not {indexing!r}')
    if not inputs:
        return Reject("tensors", "one tensor or more", "none", "there is nothing to lay out")
    for x in inputs:
        problem = parts.number_of_axes(x, (0, 1), "[n]")
        if problem or x.dtype != inputs[0].dtype:
            reason = f"the tensors must share a dtype, and these are {inputs[0].dtype} and {x.dtype}"
            return problem or Reject("tensors", inputs[0].dtype, x.dtype, reason)
    shape = [x.shape[0] if x.shape else 1 for x in inputs]
    if indexing == "xy" and len(shape) > 1:
        shape[:2] = shape[1::-1]
    return (TensorType(tuple(shape), inputs[0].dtype),) * len(inputs)


def _repeat_interleave(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, count = inputs[0], parts.size(args, "repeats")
    problem = parts.at_least(args, 0, "repeats")
    if problem or args["dim"] is None:
        return problem or x._replace(shape=(product(x.shape) * count,))
    axis = axes(x, args["dim"], "dim")
    if isinstance(axis, Reject):
        return axis
    if not x.shape:
        return Reject("dim", "left out", str(args["dim"]), f"there is no axis {args['dim']}: the input is one number")
    at = axis[0]
    return x._replace(shape=(*x.shape[:at], x.shape[at] * count, *x.shape[at + 1 :]))


def _rotate(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, k, dims = inputs[0], args["k"], parts.dims(args["dims"])
    if len(dims) != 2:
        return Reject("dims", "2 axes", str(len(dims)), f"I turn in the plane of 2 axes, and `dims` names {len(dims)}")
    found = parts.number_of_axes(x, range(2, 20), "two axes or more") or axes(x, dims, "dims")
    if isinstance(found, Reject):
        return found
    if isinstance(k, Size) or not isinstance(k, int):
        return Reject("k", "a number", str(k), f"how often I turn is {k}, which isn't known yet")
    if k % 2 == 0:
        return x
    shape = list(x.shape)
    a, b = found
    shape[a], shape[b] = shape[b], shape[a]
    return x._replace(shape=tuple(shape))


def _diagonal(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, offset = inputs[0], parts.size(args, "offset")
    """Symbolic sizes are taken to be larger than the offset."""
    first, second = (axes(x, args[name], name) for name in ("dim1", "dim2"))
    if isinstance(first, Reject) or isinstance(second, Reject):
        return first if isinstance(first, Reject) else second  # type: ignore[return-value]
    a, b = first[0], second[0]
    if a == b:
        return Reject("dim2", f"another axis than {a}", str(b), "a diagonal lies between two different axes")
    rows, columns = x.shape[a], x.shape[b]
    size = _shorter(rows + offset, columns) if less(offset, 0) else _shorter(rows, columns - offset)
    if size is None:
        reason = f"how long the diagonal of {rows} × {columns} is isn't known before it runs"
        return Reject("offset", "sizes that are known", f"{rows} × {columns}", reason)
    rest = tuple(s for i, s in enumerate(x.shape) if i not in (a, b))
    return x._replace(shape=(*rest, 0 if less(size, 0) else size))


def _shorter(a: Dim, b: Dim) -> Dim | None:
    """The smaller size; None where it depends on symbols of run time."""
    return a if at_most(a, b) else b if at_most(b, a) else None


def _ravel(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(shape=(product(inputs[0].shape),))


def _transposed(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return parts.number_of_axes(x, (0, 1, 2), "[rows, columns]") or x._replace(shape=x.shape[::-1])


def _flipped(axis: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    """fliplr and flipud."""
    problem = parts.number_of_axes(inputs[0], range(axis + 1, 20), f"{axis + 1} axes or more")
    return problem or flip("dims", {"dims": (axis,)}, inputs)


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    "where": Rule(_where, function=Function("torch.where")),
    "masked_fill": Rule(_masked_fill, function=Function(".masked_fill")),
    "lerp": Rule(_lerp, function=Function("torch.lerp")),
    "gather": Rule(_gather, function=Function(".gather")),
    "scatter": Rule(_scatter, function=Function(".scatter")),
    "scatter_add": Rule(_scatter, function=Function(".scatter_add")),
    "take": Rule(_take, function=Function("torch.take")),
    "take_along_dim": Rule(_take_along, function=Function("torch.take_along_dim")),
    "meshgrid": Rule(_meshgrid, function=Function("torch.meshgrid")),
    "repeat_interleave": Rule(_repeat_interleave, function=Function(".repeat_interleave")),
    "rot90": Rule(_rotate, function=Function("torch.rot90")),
    "diagonal": Rule(_diagonal, function=Function(".diagonal")),
    "ravel": Rule(_ravel, function=Function(".ravel")),
    "t": Rule(_transposed, function=Function(".t")),
    "fliplr": Rule(partial(_flipped, 1), function=Function("torch.fliplr")),
    "flipud": Rule(partial(_flipped, 0), function=Function("torch.flipud")),
    "clone": Rule(parts.same_type, function=Function(".clone")),
}
