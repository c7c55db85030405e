"""What functions that move elements save: mostly nothing, for their results are views; indices of what is picked.

In: a call. Out: its result, which shares the storage of its input where torch gives a view; strides are followed, since
a later `reshape` copies what isn't contiguous.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netc.catalog.saved.call import Call, made, results, saving, view_of
from netc.catalog.saved.tape import Value, standard

if TYPE_CHECKING:
    from netc.catalog.saved.call import Fact, Results
    from netc.catalog.saved.tape import Tape


def _sizes(c: Call) -> tuple[int, ...]:
    return tuple(c.result.shape)


def _reshape(t: Tape, c: Call) -> Results:
    return t.reshape(c.x, _sizes(c))


def _expand(t: Tape, c: Call) -> Results:
    return t.expand(c.x, _sizes(c))


def _permute(t: Tape, c: Call) -> Results:
    dims = c["dims"] if isinstance(c["dims"], tuple) else (c["dims"],)
    return t.permute(c.x, dims)


def _transpose(first: str, second: str, t: Tape, c: Call) -> Results:
    return t.transpose(c.x, c[first], c[second])


def _t(t: Tape, c: Call) -> Results:
    return t.transpose(c.x, 0, 1) if c.x.dim == 2 else c.x


def _movedim(t: Tape, c: Call) -> Results:
    several = [tuple(d % c.x.dim for d in (v if isinstance(v, tuple) else (v,)))
               for v in (c["source"], c["destination"])]  # fmt: skip
    order: list[int | None] = [None] * c.x.dim
    for source, target in zip(*several, strict=True):
        order[target] = source
    rest = iter(d for d in range(c.x.dim) if d not in several[0])
    return t.permute(c.x, [next(rest) if d is None else d for d in order])


def _squeeze(t: Tape, c: Call) -> Results:
    dim = c["dim"]
    several = dim if isinstance(dim, tuple) else (dim,)
    chosen = range(c.x.dim) if dim is None else [d % max(c.x.dim, 1) for d in several]
    return _picked(c.x, [d for d in range(c.x.dim) if d not in chosen or c.x.shape[d] != 1])


def _picked(x: Value, axes: list[int]) -> Value:
    return x._replace(shape=tuple(x.shape[d] for d in axes), strides=tuple(x.strides[d] for d in axes))


def _unsqueeze(t: Tape, c: Call) -> Results:
    return t.unsqueeze(c.x, c["dim"])


def _parts(dim_name: str, t: Tape, c: Call) -> Results:
    """chunk and split: views along an axis."""
    return tuple(c.x._replace(shape=tuple(part.shape)) for part in c.result)


def _unbind(t: Tape, c: Call) -> Results:
    dim = (c["dim"] or 0) % c.x.dim
    rest = _picked(c.x, [d for d in range(c.x.dim) if d != dim])
    return (rest,) * len(c.result)


def _select(t: Tape, c: Call) -> Results:
    dim = c["dim"] % c.x.dim
    return _picked(c.x, [d for d in range(c.x.dim) if d != dim])


def _narrow(t: Tape, c: Call) -> Results:
    return c.x._replace(shape=_sizes(c))


def _diagonal(t: Tape, c: Call) -> Results:
    a, b = ((c["dim1"] or 0) % c.x.dim, (1 if c["dim2"] is None else c["dim2"]) % c.x.dim)
    rest = [d for d in range(c.x.dim) if d not in (a, b)]
    kept = _picked(c.x, rest)
    return kept._replace(shape=_sizes(c), strides=(*kept.strides, c.x.strides[a] + c.x.strides[b]))


def _meshgrid(t: Tape, c: Call) -> Results:
    return tuple(view_of(x, r) for x, r in zip(c.inputs, results(c), strict=True))


def _view(t: Tape, c: Call) -> Results:
    return view_of(c.x, c.result)


def _copied(t: Tape, c: Call) -> Results:
    return made(t, c)


def _cat(t: Tape, c: Call) -> Results:
    return made(t, c)


def _clone(t: Tape, c: Call) -> Results:
    return t.like(c.x)


def _index(t: Tape, c: Call) -> Results:
    """`x[…]`: whole numbers and slices give a view, tensors of indices a copy for which they are kept."""
    x, subscripts = c.x, c["subscripts"]
    given = [s for s in subscripts if s is not None and s is not ...]
    used = sum(max(len(s.shape), 1) if isinstance(s, Value) and s.dtype == "bool" else 1 for s in given)
    full: list[Any] = []
    for s in subscripts:
        full += [slice(None)] * (x.dim - used) if s is ... else [s]
    if ... not in subscripts:
        full += [slice(None)] * (x.dim - used)
    picked = [s for s in full if isinstance(s, Value)]
    if picked:
        if x.grad:
            t.save(*picked)
        return t.new(_sizes(c), x.dtype, x.grad)
    shape, strides, axis = [], [], 0
    for s in full:
        if s is None:
            shape.append(1)
            strides.append(0)
            continue
        if not isinstance(s, int):
            shape.append(-1)
            strides.append(x.strides[axis] * (getattr(s, "step", None) or 1))
        axis += 1
    return x._replace(shape=_sizes(c), strides=tuple(strides))


def _gather(t: Tape, c: Call) -> Results:
    y = made(t, c)
    if c.x.grad:
        t.save(c.x, c["index"])
    return y


def _take_along(t: Tape, c: Call) -> Results:
    """With an axis the indices are copied, expanded to the input's size on the others."""
    y = made(t, c)
    if c.x.grad:
        t.save(c.x, c["indices"] if c["dim"] is None else t.new(c.result.shape, "int64"))
    return y


def _scatter(t: Tape, c: Call) -> Results:
    y = made(t, c)
    if c.grad:
        t.save(c["index"])
    return y


def _scatter_add(t: Tape, c: Call) -> Results:
    if c["src"].grad:
        t.save(c["index"])
    return made(t, c)


def _index_select(t: Tape, c: Call) -> Results:
    if c.x.grad:
        t.save(c["index"])
    return made(t, c)


def _repeat_interleave(t: Tape, c: Call) -> Results:
    return made(t, c)


def _shuffle(t: Tape, c: Call) -> Results:
    return made(t, c)


def _stacked(t: Tape, c: Call) -> Results:
    return made(t, c)


def _view_as_complex(t: Tape, c: Call) -> Results:
    shape = _sizes(c)
    return c.x._replace(shape=shape, strides=standard(shape), dtype=c.result.dtype)


_RESHAPES = "view view_as reshape reshape_as flatten unflatten ravel"
_COPIES = (
    "cat concat stack flip fliplr flipud rot90 roll repeat tile repeat_interleave pixel_shuffle pixel_unshuffle "
    "channel_shuffle one_hot"
)
FUNCTIONS: dict[str, Fact] = {
    **dict.fromkeys(_RESHAPES.split(), _reshape),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expand),
    **dict.fromkeys(_COPIES.split(), _copied),
    "permute": _permute, "transpose": partial(_transpose, "dim0", "dim1"),
    "swapaxes": partial(_transpose, "axis0", "axis1"), "t": _t, "movedim": _movedim, "squeeze": _squeeze,
    "unsqueeze": _unsqueeze, "chunk": partial(_parts, "dim"), "split": partial(_parts, "dim"), "unbind": _unbind,
    "select": _select, "narrow": _narrow, "diagonal": _diagonal, "meshgrid": _meshgrid, "clone": _clone,
    "index": _index, "gather": _gather, "take_along_dim": _take_along, "take": saving("xz"), "scatter": _scatter,
    "scatter_add": _scatter_add, "index_select": _index_select, "view_as_complex": _view_as_complex,
    "view_as_real": _view_as_complex, "real": _view_as_complex, "imag": _view_as_complex, "conj": _view,
}  # fmt: skip
LAYERS: dict[str, Fact] = {
    "Flatten": _reshape, "Unflatten": _reshape, "Permute": _permute,
    **dict.fromkeys(("PixelShuffle", "PixelUnshuffle", "ChannelShuffle"), _copied),
}  # fmt: skip
