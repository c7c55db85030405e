"""What moves, joins, splits or renames axes and computes nothing: Flatten, Unflatten and the functions around them.

In: arguments and the types of the inputs. Out: shapes, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch; sizes may be symbolic wherever torch reads them at run time.
Leaves to others: indexing with brackets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import promoted
from netc.shapes import Dim, Reject, Size, TensorType, less, product, same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netc.catalog.entry import Args, Inputs, Result


def _flatten(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    count = max(len(x.shape), 1)
    start = parts.wrapped(parts.size(args, "start_dim"), count, "start_dim")
    end = parts.wrapped(parts.size(args, "end_dim"), count, "end_dim")
    if isinstance(start, Reject) or isinstance(end, Reject):
        return start if isinstance(start, Reject) else end  # type: ignore[return-value]
    if start > end:
        reason = f"`start_dim` is axis {start}, and lies behind `end_dim`, axis {end}"
        return Reject("start_dim", f"at most {end}", str(start), reason)
    if not x.shape:
        return x._replace(shape=(1,))
    return x._replace(shape=(*x.shape[:start], product(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def _unflatten(sizes_name: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    x, given = inputs[0], args[sizes_name]
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    if isinstance(axis, Reject):
        return axis
    if not isinstance(given, tuple | list) or not given:
        return Reject(
            sizes_name, "a tuple of sizes", str(given), f"`{sizes_name}` must be a tuple of sizes, not {given}"
        )
    sizes = _filled(tuple(given), x.shape[axis], sizes_name)
    return sizes if isinstance(sizes, Reject) else x._replace(shape=(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def _filled(sizes: tuple[Dim, ...], total: Dim, argument: str) -> tuple[Dim, ...] | Reject:
    """Sizes with a -1 worked out, refused where they certainly don't make up the total."""
    shown = f"({', '.join(map(str, sizes))})"
    if any(less(s, 0) and s != -1 for s in sizes) or sum(s == -1 for s in sizes) > 1:
        reason = f"{shown} has more than one size to work out, or a negative one"
        return Reject(argument, "one -1 at most", shown, reason)
    known = product(s for s in sizes if s != -1)
    if -1 not in sizes:
        if same(known, total) is not False:
            return sizes
        return Reject(argument, str(total), str(known), f"{shown} makes {known} elements, and there are {total}")
    if known == 0 or same(total % known, 0) is False:
        return Reject(argument, f"a divisor of {total}", str(known), f"{total} elements can't be split by {known}")
    return tuple(total // known if s == -1 else s for s in sizes)


def _reshape(name: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    sizes = _filled(parts.dims(args[name]), product(inputs[0].shape), name)
    return sizes if isinstance(sizes, Reject) else inputs[0]._replace(shape=sizes)


def _reshape_as(args: Args, inputs: Inputs) -> TensorType | Reject:
    sizes = _filled(inputs[1].shape, product(inputs[0].shape), "other")
    return sizes if isinstance(sizes, Reject) else inputs[0]._replace(shape=sizes)


def axes(x: TensorType, given: object, argument: str) -> list[int] | Reject:
    """Axes counted from the start, none of them twice; a tensor without axes counts as having one."""
    found = []
    for dim in parts.dims(given):
        axis = parts.wrapped(dim, max(len(x.shape), 1), argument)
        if isinstance(axis, Reject):
            return axis
        if axis in found:
            return Reject(argument, "each axis once", str(dim), f"axis {dim} is named twice in `{argument}`")
        found.append(axis)
    return found


def permute(args: Args, inputs: Inputs) -> TensorType | Reject:
    """The axes in the order that `dims` names."""
    x = inputs[0]
    order = axes(x, args["dims"], "dims")
    if isinstance(order, Reject):
        return order
    if len(order) != len(x.shape):
        reason = f"`dims` names {parts.plural(len(order), 'axis')}, and the input has {len(x.shape)}"
        return Reject("dims", f"{len(x.shape)} axes", str(len(order)), reason)
    return x._replace(shape=tuple(x.shape[i] for i in order))


def _transpose(first: str, second: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    a = parts.wrapped(parts.size(args, first), max(len(x.shape), 1), first)
    b = parts.wrapped(parts.size(args, second), max(len(x.shape), 1), second)
    if isinstance(a, Reject) or isinstance(b, Reject):
        return a if isinstance(a, Reject) else b  # type: ignore[return-value]
    if not x.shape:
        return x
    shape = list(x.shape)
    shape[a], shape[b] = shape[b], shape[a]
    return x._replace(shape=tuple(shape))


def _movedim(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    source, target = axes(x, args["source"], "source"), axes(x, args["destination"], "destination")
    if isinstance(source, Reject) or isinstance(target, Reject):
        return source if isinstance(source, Reject) else target  # type: ignore[return-value]
    if len(source) != len(target):
        reason = f"`source` names {len(source)} axes, and `destination` {len(target)}"
        return Reject("destination", str(len(source)), str(len(target)), reason)
    if not x.shape:
        return x
    rest = [i for i in range(len(x.shape)) if i not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        rest.insert(place, axis)
    return x._replace(shape=tuple(x.shape[i] for i in rest))


def _squeeze(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    given = range(len(x.shape)) if args["dim"] is None else axes(x, args["dim"], "dim")
    if isinstance(given, Reject):
        return given
    return x._replace(shape=tuple(s for i, s in enumerate(x.shape) if i not in given or s != 1))


def _unsqueeze(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    place = parts.wrapped(parts.size(args, "dim"), len(x.shape) + 1)
    return place if isinstance(place, Reject) else x._replace(shape=(*x.shape[:place], 1, *x.shape[place:]))


def _cat(args: Args, inputs: Inputs) -> TensorType | Reject:
    if not inputs:
        return Reject("tensors", "one tensor or more", "none", "there is nothing to join")
    first = inputs[0]
    axis = parts.wrapped(parts.size(args, "dim"), len(first.shape))
    if isinstance(axis, Reject):
        return axis
    for other in inputs[1:]:
        if (problem := _unlike(first, other, axis)) is not None:
            return problem
    total: Dim = 0
    for x in inputs:
        total = total + x.shape[axis]
    return TensorType((*first.shape[:axis], total, *first.shape[axis + 1 :]), promoted(*inputs))


def _unlike(first: TensorType, other: TensorType, axis: int | None) -> Reject | None:
    """Refuses to join tensors that differ in an axis other than the one along which they are joined."""
    if len(first.shape) != len(other.shape):
        reason = f"{first} and {other} have different numbers of axes"
        return Reject("tensors", str(first), str(other), reason)
    for i, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)):
        if i != axis and same(a, b) is False:
            return Reject("tensors", str(first), str(other), f"{first} and {other} differ in axis {i}: {a} and {b}")
    return None


def _stack(args: Args, inputs: Inputs) -> TensorType | Reject:
    if not inputs:
        return Reject("tensors", "one tensor or more", "none", "there is nothing to join")
    first = inputs[0]
    place = parts.wrapped(parts.size(args, "dim"), len(first.shape) + 1)
    if isinstance(place, Reject):
        return place
    problem = next((p for x in inputs[1:] if (p := _unlike(first, x, None)) is not None), None)
    return problem or TensorType((*first.shape[:place], len(inputs), *first.shape[place:]), promoted(*inputs))


def _chunk(args: Args, inputs: Inputs) -> Result:
    """Symbolic sizes are taken to give as many chunks as are asked for, those of parameters equal ones."""
    x, count = inputs[0], args["chunks"]
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    problem = parts.at_least(args, 1, "chunks")
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    whole = x.shape[axis]
    problem = _too_many(whole, count)
    if problem:
        return problem
    if not isinstance(count, int):
        return Reject("chunks", "a number", str(count), f"how many chunks {count} are isn't known yet")
    if isinstance(whole, Size):
        part = whole // count
        if same(part * count, whole) or parts.of_parameters(whole):
            return (_resized(x, axis, part),) * count
        part = (whole + count - 1) // count
        return _split_by([part] * (count - 1) + [whole - part * (count - 1)], x, axis)
    part = -(-whole // count)
    return _split_by([part] * (whole // part) + [whole % part] * (whole % part > 0), x, axis)


def _too_many(whole: Dim, count: object) -> Reject | None:
    if not isinstance(count, int):
        return None
    return parts.split(min(whole, count) if isinstance(whole, int) else count, "chunks")


def _split(args: Args, inputs: Inputs) -> Result:
    x, given = inputs[0], args["split_size"]
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    problem = parts.at_least(args, 0, "split_size")
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    whole = x.shape[axis]
    if isinstance(given, tuple | list):
        total: Dim = sum(given)
        if same(total, whole) is False:
            return Reject(
                "split_size", str(whole), str(total), f"the parts make up {total}, and axis {axis} has {whole}"
            )
        return _split_by(list(given), x, axis)
    assert isinstance(given, int | Size)
    count = whole // given if given != 0 else 0
    uneven = isinstance(whole, Size) and same(count * given, whole) is not True
    if given == 0 or not isinstance(count, int) or uneven:
        why = f"how many parts of {given} make up {whole} isn't known" if given != 0 else "parts of 0 make up nothing"
        return Reject("split_size", f"a part of {whole}", str(given), why)
    problem = parts.split(count, "split_size")
    if problem:
        return problem
    rest = whole - count * given
    return _split_by([given] * count + ([] if rest == 0 else [rest]), x, axis)


def _split_by(sizes: Sequence[Dim], x: TensorType, axis: int) -> tuple[TensorType, ...]:
    return tuple(_resized(x, axis, s) for s in sizes)


def _resized(x: TensorType, axis: int, size: Dim) -> TensorType:
    return x._replace(shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]))


def _unbind(args: Args, inputs: Inputs) -> Result:
    x = inputs[0]
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    if isinstance(axis, Reject):
        return axis
    count = x.shape[axis]
    if isinstance(count, Size):
        return Reject(
            "dim", "an axis of a known size", str(count), f"I can't unbind axis {axis}, whose size is {count}"
        )
    problem = parts.split(count, "dim")
    return problem or (x._replace(shape=(*x.shape[:axis], *x.shape[axis + 1 :])),) * count


def _expand(name: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    return _expanded(inputs[0], parts.dims(args[name]), name)


def _expand_as(args: Args, inputs: Inputs) -> TensorType | Reject:
    return _expanded(inputs[0], inputs[1].shape, "other")


def _expanded(x: TensorType, sizes: tuple[Dim, ...], name: str) -> TensorType | Reject:
    lead = len(sizes) - len(x.shape)
    if lead < 0:
        reason = f"`{name}` has {len(sizes)} sizes, and the input {parts.plural(len(x.shape), 'axis')}"
        return Reject(name, f"{len(x.shape)} sizes or more", str(len(sizes)), reason)
    shape = list(sizes)
    for i, new in enumerate(sizes):
        old = x.shape[i - lead] if i >= lead else None
        if new == -1 and old is not None:
            shape[i] = old
        elif less(new, 0) or (old is not None and old != 1 and same(old, new) is False):
            reason = f"axis {i} can't be expanded to {new}" + ("" if old is None else f" from {old}")
            return Reject(name, "1, or the same size" if old is None else str(old), str(new), reason)
    return x._replace(shape=tuple(shape))


def _repeat(name: str, pads: bool, args: Args, inputs: Inputs) -> TensorType | Reject:
    x, counts = inputs[0], parts.dims(args[name])
    if pads and len(counts) < len(x.shape):
        counts = (1,) * (len(x.shape) - len(counts)) + counts
    lead = len(counts) - len(x.shape)
    if lead < 0:
        reason = f"`{name}` has {len(counts)} numbers, and the input {parts.plural(len(x.shape), 'axis')}"
        return Reject(name, f"{len(x.shape)} numbers or more", str(len(counts)), reason)
    problem = parts.at_least({name: counts}, 0, name)
    return problem or x._replace(shape=tuple(a * b for a, b in zip((1,) * lead + x.shape, counts, strict=True)))


def flip(name: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    """The same shape, where the named axes are axes of the input."""
    found = axes(inputs[0], args[name], name)
    return found if isinstance(found, Reject) else inputs[0]


def _roll(args: Args, inputs: Inputs) -> TensorType | Reject:
    shifts, dims = parts.dims(args["shifts"]), parts.dims(args["dims"])
    if len(shifts) != len(dims) and (dims or len(shifts) != 1):
        reason = f"`shifts` has {len(shifts)} numbers, and `dims` {len(dims)}"
        return Reject("dims", str(len(shifts)), str(len(dims)), reason)
    wrapped = (parts.wrapped(d, len(inputs[0].shape), "dims") for d in dims)
    return next((w for w in wrapped if isinstance(w, Reject)), inputs[0])


def _narrow(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, start, length = inputs[0], parts.size(args, "start"), parts.size(args, "length")
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    problem = parts.at_least(args, 0, "length")
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    whole = x.shape[axis]
    first = whole + start if less(start, 0) else start
    if less(first, 0) or less(whole, first + length):
        reason = f"axis {axis} has {whole}, and {length} from {start} on reach outside of it"
        return Reject("length", f"at most {whole - first}", str(length), reason)
    return _resized(x, axis, length)


def _select(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs[0], parts.size(args, "index")
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    if isinstance(axis, Reject):
        return axis
    whole = x.shape[axis]
    if less(index, -whole) or less(whole - 1, index):
        return Reject("index", f"0 to {whole - 1}", str(index), f"there is no element {index}: axis {axis} has {whole}")
    return x._replace(shape=(*x.shape[:axis], *x.shape[axis + 1 :]))


def _index_select(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, index = inputs
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    problem = parts.dtype_in(index, frozenset({"int64", "int32"})) or parts.number_of_axes(index, (0, 1), "[n]")
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    return _resized(x, axis, index.shape[0] if index.shape else 1)


def _method(shape: Callable[[Args, Inputs], Result], name: str) -> Rule:
    return Rule(shape, function=Function(f".{name}"))


FLATTEN = Function(".flatten", always=("start_dim",))
LAYERS = {
    "Flatten": Rule(_flatten, function=FLATTEN),
    "Unflatten": Rule(partial(_unflatten, "unflattened_size"), function=Function(".unflatten")),
}
FUNCTIONS = {
    "flatten": _method(_flatten, "flatten"),
    "unflatten": _method(partial(_unflatten, "sizes"), "unflatten"),
    "reshape": _method(partial(_reshape, "shape"), "reshape"),
    "view": _method(partial(_reshape, "size"), "view"),
    "reshape_as": _method(_reshape_as, "reshape_as"),
    "view_as": _method(_reshape_as, "view_as"),
    "permute": _method(permute, "permute"),
    "transpose": _method(partial(_transpose, "dim0", "dim1"), "transpose"),
    "swapaxes": _method(partial(_transpose, "axis0", "axis1"), "swapaxes"),
    "movedim": _method(_movedim, "movedim"),
    "squeeze": _method(_squeeze, "squeeze"),
    "unsqueeze": _method(_unsqueeze, "unsqueeze"),
    "cat": Rule(_cat, function=Function("torch.cat")),
    "concat": Rule(_cat, function=Function("torch.concat")),
    "stack": Rule(_stack, function=Function("torch.stack")),
    "chunk": _method(_chunk, "chunk"),
    "split": _method(_split, "split"),
    "unbind": _method(_unbind, "unbind"),
    "expand": _method(partial(_expand, "size"), "expand"),
    "broadcast_to": _method(partial(_expand, "size"), "broadcast_to"),
    "expand_as": _method(_expand_as, "expand_as"),
    "repeat": _method(partial(_repeat, "repeats", False), "repeat"),
    "tile": _method(partial(_repeat, "dims", True), "tile"),
    "flip": _method(partial(flip, "dims"), "flip"),
    "roll": _method(_roll, "roll"),
    "narrow": _method(_narrow, "narrow"),
    "select": _method(_select, "select"),
    "index_select": _method(_index_select, "index_select"),
}
