"""Tensors that have a type and no numbers, and the functions of torch on them.

In: a call as generated code writes it. Out: a `Tensor` of the type that the catalog's rule gives, and a `Step` of the
trace. Guarantees: arguments are bound by the signature of the function, and what its rule refuses raises `Refused`.
Leaves to others: layers and modules (`modules`), and which names there are (`libraries`).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import catalog
from netc.catalog.entry import REQUIRED, Entry, LayerValue
from netc.catalog.rules.arithmetic import binary
from netc.catalog.rules.indexing import Slice, index
from netc.shapes import Reject, Size, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.ir import Source


class Refused(Exception):
    """Generated code did what torch refuses."""


class Step(NamedTuple):
    """One application: the module in which it stands and the child, both as paths, what it is, and what it gives.

    `values` and `sources` are those of an `ir.Row`.
    """

    frame: str
    path: str
    name: str
    output: TensorType
    values: Mapping[str, object]
    sources: Mapping[str, tuple[Source, ...]]


class Frame:
    """One call of a module: its steps, and which children have been applied in it."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.steps: list[Step] = []
        self.applied: set[str] = set()


class Stage:
    """What a rehearsal keeps between the calls of generated code."""

    def __init__(self) -> None:
        self.training = False
        self.frame = Frame(None)
        self.built: dict[Any, Any] = {}  # class and arguments -> the instance that they gave
        self.seen: dict[Any, tuple[list[Step], Any]] = {}  # instance, inputs and mode -> steps and result


stage = Stage()


def restart() -> None:
    """Forget everything, for the next rehearsal."""
    stage.__init__()  # type: ignore[misc]


class DType(str):
    """A type of tensor, by torch's name."""

    __slots__ = ()


class Device:
    """Where a tensor is; a tensor of numbers alone is made where an input is."""

    __slots__ = ()


class Tensor:
    """A tensor's type; a `constant` one hangs on no input and no parameter, so that its computation is no step."""

    __slots__ = ("constant", "source", "type")

    def __init__(self, type_: TensorType, constant: bool = False, source: Source = None) -> None:
        self.type = type_
        self.constant = constant
        self.source = source

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return DType(self.type.dtype)

    @property
    def device(self) -> Device:
        return Device()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        entry = catalog.function(name)
        if entry is None or entry.home == "torch.nn.functional" or entry.params[0].name not in ("input", "self"):
            raise AttributeError(f"a tensor has no attribute `{name}`")
        return lambda *args, **kwargs: call(entry, (self, *args), kwargs)

    def __getitem__(self, subscripts: Any) -> Tensor:
        items = subscripts if isinstance(subscripts, tuple) else (subscripts,)
        given = tuple(_subscript(item) for item in items)
        constant = self.constant and all(i.constant for i in items if isinstance(i, Tensor))
        came = {"": tuple(t.source for t in (self, *tensors(list(items))))}
        result: Tensor = noted("index", index(self.type, given), constant, {"subscripts": given}, came)
        return result

    def __neg__(self) -> Tensor:
        return Tensor(self.type, self.constant, inside(self.source, "-"))

    def __bool__(self) -> bool:
        raise Refused("the truth of a tensor is known only at run time")

    __hash__ = object.__hash__


def _subscript(item: Any) -> Any:
    if isinstance(item, slice):
        return Slice(item.start, item.stop, item.step)
    return item.type if isinstance(item, Tensor) else item


def _operator(op: str, turned: bool) -> Callable[[Tensor, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        if not isinstance(other, (Tensor, int, float, Size)):
            raise Refused(f"`{op}` of a tensor and {other!r}")
        sides = (other, self) if turned else (self, other)
        types = [s.type if isinstance(s, Tensor) else s for s in sides]
        constant = all(s.constant for s in sides if isinstance(s, Tensor))
        came = {"": tuple(s.source for s in sides if isinstance(s, Tensor))}
        result: Tensor = noted(op, binary(op, *types), constant, {"operands": tuple(types)}, came)
        return result

    return method


for _name, _op in {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@",
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", _operator(_op, turned=False))
    setattr(Tensor, f"__r{_name}__", _operator(_op, turned=True))
for _name, _op in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Tensor, f"__{_name}__", _operator(_op, turned=False))


def noted(
    name: str, result: Any, constant: bool, values: Mapping[str, object],
    sources: Mapping[str, tuple[Source, ...]] | None = None,
) -> Any:  # fmt: skip
    """The result of a function, which becomes a step unless only constants have a part in it."""
    if isinstance(result, Reject):
        raise Refused(f"`{name}`: {result.reason}")
    if constant:
        return wrapped(result, constant)
    return stepped(Step("", "", name, first(result), values, sources or {}), result)


def stepped(step: Step, result: Any) -> Any:
    """The result of a step, which is added to those of the frame."""
    stage.frame.steps.append(step)
    return wrapped(result, source=(len(stage.frame.steps) - 1, ()))


def inside(source: Source, part: object) -> Source:
    """A part of several results."""
    return None if source is None else (source[0], (*source[1], part))


def first(result: Any) -> TensorType:
    """The first type of several."""
    return result if isinstance(result, TensorType) else first(result[0])


def wrapped(result: Any, constant: bool = False, source: Source = None) -> Any:
    """Types as tensors, nested as they are."""
    if isinstance(result, TensorType):
        return Tensor(result, constant, source)
    places = count()
    return nested(result, lambda part: wrapped(part, constant, inside(source, next(places))))


def types_of(value: Any) -> Any:
    """Tensors as their types, nested as they are."""
    return value.type if isinstance(value, Tensor) else nested(value, types_of)


def nested(value: Any, change: Callable[[Any], Any]) -> Any:
    """The parts of several results changed; a result that is missing stays None."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)):
        raise Refused(f"{value!r} is no tensor")
    parts = map(change, value)
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def tensors(value: Any) -> list[Tensor]:
    """The tensors in a value, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)) and not isinstance(value, LayerValue):
        return [t for item in value for t in tensors(item)]
    return []


# --- functions --------------------------------------------------------------------------------------------------------


def call(entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function gives for the arguments of a call; one that takes no tensor may be told the device."""
    if isinstance(kwargs.get("device"), Device) and not tensors(args):
        kwargs = {n: v for n, v in kwargs.items() if n != "device"}
    bound = bind(entry, args, kwargs)
    found = [t for value in bound.values() for t in tensors(value)]
    values = {p.name: p.default for p in entry.params}
    values |= {n: v.type if isinstance(v, Tensor) else v for n, v in bound.items()}
    if entry.rule is None:
        raise Refused(f"`{entry.name}` is not known")
    result = entry.rule.shape(values, tuple(t.type for t in found))
    shown = {n: tuple(t.type for t in parts) if (parts := tensors(v)) else v for n, v in values.items()}
    came = {n: tuple(t.source for t in parts) for n, v in bound.items() if (parts := tensors(v))}
    return noted(entry.name, result, all(t.constant for t in found), shown, came)


class Signature(NamedTuple):
    """The parameters of an entry: those by position, the one that takes what is left, all, and those needed."""

    entry: Entry
    positions: tuple[str, ...]
    rest: str | None
    names: frozenset[str]
    needed: frozenset[str]


_signatures: dict[int, Signature] = {}


def _signature(entry: Entry) -> Signature:
    found = _signatures.get(id(entry))
    if found is None or found.entry is not entry:
        params = [p for p in entry.params if not p.keyword_only]
        rest = next((p.name for p in params if p.type.startswith("*")), None)
        names = [p.name for p in params]
        needed = frozenset(p.name for p in entry.params if p.default is REQUIRED)
        positions = tuple(names[: names.index(rest)] if rest else names)
        found = Signature(entry, positions, rest, frozenset(p.name for p in entry.params), needed)
        _signatures[id(entry)] = found
    return found


def bind(entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by parameter, as Python binds them. Raises TypeError for what doesn't fit."""
    _, names, rest, known, needed = _signature(entry)
    bound = dict(zip(names, args, strict=False))
    left = args[len(names) :]
    if left and rest is None:
        raise TypeError(f"`{entry.name}` takes {len(names)} positional arguments, and {len(args)} are given")
    if left and rest is not None:
        bound[rest] = left[0] if len(left) == 1 and isinstance(left[0], (list, tuple)) else left
    for name, value in kwargs.items():
        if name in bound or name not in known:
            raise TypeError(f"`{entry.name}` has no argument `{name}`, or is given it twice")
        bound[name] = value
    if not needed <= bound.keys():
        raise TypeError(f"`{entry.name}` needs `{min(needed - bound.keys())}`")
    return bound
