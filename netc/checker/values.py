"""Values as the checker sees them: tensors of run time, and layers, formulas and dtypes as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from netc.shapes import Size

if TYPE_CHECKING:
    from netc import ir
    from netc import syntax as s
    from netc.catalog.entry import Entry
    from netc.checker.units import Definition
    from netc.shapes import TensorType
    from netc.source import Span


class Made(NamedTuple):
    """What made a value, for the labels of messages: what it is called, and where it stands."""

    name: str
    span: Span


class Tensor(NamedTuple):
    """A tensor: the expression that computes it, its type, and the layer or function that made it.

    `constant` says that no input has a part in it, so that a constructor can compute it. `source` is where it comes
    from in an instance (see `sources`).
    """

    expr: ir.Expr
    type: TensorType
    made: Made | None = None
    constant: bool = False
    source: ir.Source = None


class TensorTuple(NamedTuple):
    """Several values at once, nested as torch nests them. `expr` computes all of them, where one expression does.

    Those `of_layer` of torch stand for the first one where they are not taken apart. `names` are the keys of a
    dictionary, whose values they are.
    """

    items: tuple[Any, ...]
    expr: ir.Expr | None = None
    made: Made | None = None
    of_layer: bool = False
    names: tuple[str, ...] = ()


class LayerRef(NamedTuple):
    """A layer or module as a value: `Act=ReLU`, `Norm=BatchNorm2d(eps=0.001)`, and the Python that names it.

    `args` are what the value already gives, by name, each with its code.
    """

    target: Entry | Definition
    args: tuple[tuple[str, Any, str], ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerRef) and self.target is other.target and self.args == other.args

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((id(self.target), *(name for name, _, _ in self.args)))  # values may be lists

    @property
    def name(self) -> str:
        return self.target.name


class Formula(NamedTuple):
    """A small function at the top of a file: `divisible(v, by = 8) = …`."""

    name: str
    params: tuple[s.Param, ...]
    body: s.Expr
    env: dict[str, Any]


class DType(NamedTuple):
    """A type of tensor as a value: `arange(8, dtype=int64)`."""

    name: str


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")


def alone(value: Any) -> Any:
    """The value that a step passes on: of several results of a layer the first."""
    return alone(value.items[0]) if isinstance(value, TensorTuple) and value.of_layer else value


def tensors(value: Any) -> tuple[Tensor, ...]:
    """The tensors of a value, nested ones in their order."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, TensorTuple):
        return tuple(t for item in value.items for t in tensors(item))
    if isinstance(value, (list, tuple)) and not isinstance(value, (LayerRef, Formula, DType)):
        return tuple(t for item in value for t in tensors(item))
    return ()


def key_of(value: Any) -> Any:
    """A value as a key: what can be hashed, and tells 1 from True and 1.0."""
    if isinstance(value, dict):
        return tuple((n, key_of(v)) for n, v in sorted(value.items()))
    if isinstance(value, LayerRef):
        return value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return (type(value).__name__, *map(key_of, value))
    if isinstance(value, Formula):
        return ("Formula", value.name, id(value.body))
    return (type(value).__name__, value)


def has_size(value: Any) -> bool:
    """Whether a size that is no number is in a value."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return any(map(has_size, value))
    return isinstance(value, Size)
