"""Sizes of a layer that can only be tried: from a few runs to an expression over the symbols.

In: a function that runs the layer with numbers for the symbols, and the symbols. Out: the types of the result, in
which a size that moves with the symbols is an expression, or unknown where no simple one fits.
Guarantees: each expression is right for every run that was made, one of which changes all symbols at once. What is
tried: `k * ((s + q) // p) + r` for one symbol, and sums and products of these.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.catalog.entry import Entry
from netc.foreign import Raised, raised
from netc.shapes import Size, TensorType, substitute, symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.shapes import Dim

    Point = Mapping[str, int]
    Run = Callable[[Point], "Any"]  # types, or a `Raised`
    Sample = tuple[dict[str, int], Any]

_STARTS = (64, 224, 32, 16, 128, 8, 256, 512, 4, 2, 1, 384, 112, 28, 7, 5, 3, 12, 10, 100)
_STEPS = (1, 2, 3, 4, 8, 16, 32)
_FACTORS = (2, 3, 4)
_OFFSETS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33)
_RESTS = (0, 1, 2, -1)
_DIVISORS = (2, 3, 4, 5, 6, 7, 8, 14, 16, 32, 64)


class Fitted(NamedTuple):
    """types: what the layer gives; point: the numbers of the first run; fixed: symbols that allow no other number."""

    types: Any
    point: dict[str, int]
    fixed: tuple[str, ...]


class _Form(NamedTuple):
    """`k * ((s + q) // p) + r`."""

    k: int
    q: int
    p: int
    r: int

    def size(self, name: str) -> Dim:
        return ((symbol(name) + self.q) // self.p) * self.k + self.r


def fitted(
    run: Run, symbols: tuple[str, ...], batch: tuple[str, ...], known: Point, unknown: Callable[[int], Dim]
) -> Fitted | Raised:
    """What a layer gives in terms of symbols.

    Args:
        run: the types for some numbers, or why there are none.
        symbols: in the order in which they are met.
        batch: those of them that count samples.
        known: numbers that a symbol is sure to allow, where there are any.
        unknown: a new size for the place of a number that no expression gives; called with the place.
    """
    origin, first = start(run, symbols, batch, known)
    if isinstance(first, Raised):
        return first
    points = [(origin, first)]
    fixed: list[str] = []
    moves: dict[str, int] = {}
    for name in symbols:
        found = _variations(run, origin, name, name in batch)
        fixed += [name] * (not found)
        points += found
        if found:
            moves[name] = found[-1][0][name]
    if len(moves) > 1:
        together = {**origin, **moves}
        result = run(together)
        if not isinstance(result, Raised):
            points.append((together, result))
    flat = [(point, _flat(types)) for point, types in points]
    lengths = {tuple(len(t.shape) for t in ts) for _, ts in flat}
    if len(lengths) > 1:
        return _raised_rank(flat)
    return Fitted(_put(first, _sizes(flat, tuple(moves), unknown)), origin, tuple(fixed))


def _raised_rank(flat: list[tuple[Any, list[TensorType]]]) -> Raised:
    return raised("E0708", "the number of axes of its result depends on the sizes of its input")


def start(run: Run, symbols: tuple[str, ...], batch: tuple[str, ...], known: Point) -> tuple[dict[str, int], Any]:
    """Numbers with which the layer runs, and its result; with none of them, what it raised first."""
    open_ = [s for s in symbols if s not in known and s not in batch]
    tries = [{s: 64 + 32 * i for i, s in enumerate(open_)}]
    tries += [dict.fromkeys(open_, n) for n in _STARTS] if open_ else []
    first: tuple[dict[str, int], Any] | None = None
    for chosen in tries:
        point = {**dict.fromkeys(batch, 2), **chosen, **known}
        result = run(point)
        if not isinstance(result, Raised):
            return point, result
        first = first or (point, result)
    assert first is not None
    return first


def _variations(run: Run, start: dict[str, int], name: str, batch: bool) -> list[Sample]:
    """Further runs with another number for one symbol: near ones, far ones, and more where a size moves in steps."""
    value = start[name]
    near = _some(run, start, name, [value + step for step in _STEPS], 1 if batch else 2)
    far = _some(run, start, name, [value * f for f in _FACTORS] + [value // 2] * (value > 1), 1 if batch else 2)
    out = near + far
    first = _flat(run(start))
    samples = [(value, first), *((p[name], _flat(types)) for p, types in out)]
    if batch or not _in_steps(samples):
        return out
    numbers = [value + offset for offset in _OFFSETS if value + offset not in {n for n, _ in samples}]
    return out + _some(run, start, name, numbers, len(numbers))


def _some(run: Run, start: dict[str, int], name: str, numbers: list[int], wanted: int) -> list[Sample]:
    out: list[Sample] = []
    for number in numbers:
        if len(out) == wanted:
            break
        point = {**start, name: number}
        result = run(point)
        if not isinstance(result, Raised):
            out.append((point, result))
    return out


def _in_steps(samples: list[tuple[int, list[TensorType]]]) -> bool:
    """Whether a size is neither constant nor linear in a symbol."""
    (x, first), *others = samples
    for i, type_ in enumerate(first):
        for axis, size in enumerate(type_.shape):
            same_rank = [(n, ts[i].shape[axis]) for n, ts in others if len(ts[i].shape) == len(type_.shape)]
            moves = {(int(other) - int(size)) / (n - x) for n, other in same_rank}  # type: ignore[arg-type]
            if len(moves) > 1:
                return True
    return False


def _flat(types: Any) -> list[TensorType]:
    return [types] if isinstance(types, TensorType) else [t for part in types for t in _flat(part)]


def _put(types: Any, sizes: list[tuple[Dim, ...]]) -> Any:
    """The types with other sizes, taken one after the other."""
    if isinstance(types, TensorType):
        return types._replace(shape=sizes.pop(0))
    return tuple(_put(part, sizes) for part in types)


def _sizes(flat: list[Any], symbols: tuple[str, ...], unknown: Callable[[int], Dim]) -> list[tuple[Dim, ...]]:
    out: list[tuple[Dim, ...]] = []
    place = 0
    for i, type_ in enumerate(flat[0][1]):
        dims: list[Dim] = []
        for axis in range(len(type_.shape)):
            samples = [(point, ts[i].shape[axis]) for point, ts in flat]
            size = expression(samples, symbols)
            dims.append(unknown(place) if size is None else size)
            place += 1
        out.append(tuple(dims))
    return out


def expression(samples: list[tuple[Point, int]], symbols: tuple[str, ...]) -> Dim | None:
    """A size that is right for all samples, the first of which the others vary; None where none is found."""
    start, value = samples[0]
    if all(v == value for _, v in samples):
        return value
    forms: dict[str, _Form] = {}
    for name in symbols:
        own = [(p[name], v) for p, v in samples if all(p[s] == start[s] for s in symbols if s != name)]
        if all(v == value for _, v in own):
            continue
        form = _form(own)
        if form is None:
            return None
        forms[name] = form
    for candidate in _candidates(forms, value):
        if all(_number(candidate, p) == v for p, v in samples):
            return candidate
    return None


def _number(size: Dim, point: Point) -> Dim:
    return substitute(size, dict(point))


def _candidates(forms: dict[str, _Form], value: int) -> list[Dim]:
    """The sum of what each symbol adds, and the product of what each one multiplies."""
    added: Dim = value * (1 - len(forms))
    for name, form in forms.items():
        added = added + form.size(name)
    return [added] + [p for rest in _RESTS if (p := _product(forms, value, rest)) is not None]


def _product(forms: dict[str, _Form], value: int, rest: int) -> Dim | None:
    """The product of what each symbol multiplies, and a number that is added to it."""
    factor, over = prod(f.k for f in forms.values()), (value - rest) ** (len(forms) - 1)
    if not over or factor % over or any((f.r - rest) % f.k for f in forms.values()):
        return None
    size: Dim = factor // over
    for name, form in forms.items():
        size = size * _Form(1, form.q + (form.r - rest) // form.k * form.p, form.p, 0).size(name)
    return size + rest


def _form(samples: list[tuple[int, int]]) -> _Form | None:
    """One symbol's part: linear, else a division."""
    (x, y), *others = samples
    for k in sorted({(b - y) // (a - x) for a, b in others if (b - y) % (a - x) == 0}, key=abs):
        if k and all(b == y + k * (a - x) for a, b in others):
            return _Form(k, 0, 1, y - k * x)
    for p in _DIVISORS:
        for q in (*range(p), *range(-p + 1, 0)):
            moves = [((a + q) // p - (x + q) // p, b - y) for a, b in others]
            k = next((m // n for n, m in moves if n and m % n == 0), 0)
            if k and all(m == k * n for n, m in moves):
                return _Form(k, q, p, y - k * ((x + q) // p))
    return None


def symbols_of(value: object) -> list[str]:
    """The symbols in a value, in the order in which they are met."""
    if isinstance(value, Size):
        return sorted(value.symbols)
    if isinstance(value, Entry):
        return []
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return list(dict.fromkeys(s for item in value for s in symbols_of(item)))
    return []


def with_numbers(value: Any, point: Point) -> Any:
    """A value with numbers for its symbols."""
    if isinstance(value, Size):
        return substitute(value, dict(point))
    if isinstance(value, Entry):
        return value
    if isinstance(value, dict):
        return {n: with_numbers(v, point) for n, v in value.items()}
    if isinstance(value, list):
        return [with_numbers(v, point) for v in value]
    if isinstance(value, tuple):
        items = [with_numbers(v, point) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value
