"""Values of run time, as the checker sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from netc import ir
    from netc.shapes import TensorType
    from netc.source import Span


class Made(NamedTuple):
    """What made a value, for the labels of messages: what it is called, and where it stands."""

    name: str
    span: Span


class Tensor(NamedTuple):
    """A tensor: the expression that computes it, its type, and the layer or function that made it."""

    expr: ir.Expr
    type: TensorType
    made: Made | None = None


class TensorTuple(NamedTuple):
    """Several tensors at once."""

    items: tuple[Tensor, ...]
