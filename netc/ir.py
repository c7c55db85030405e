"""The checked program: what the checker gives to every backend.

Names are resolved to entries of the catalog, arguments are bound to the names of their parameters, inferred arguments
are filled in, and every value has its shape. Nothing here refers to the syntax tree; spans stay for messages and for
errors at run time. All nodes are immutable.

An argument keeps two forms: `value`, what it is for the parameters' defaults, and `code`, the Python expression over the
network's parameters that generated code prints (`repr(value)` where no parameter has a part in it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.shapes import TensorType
    from netc.source import Span


class Arg(NamedTuple):
    """One argument of a call: its value for the defaults, and the Python expression that gives it."""

    value: object
    code: str


class Call(NamedTuple):
    """A call of something in the catalog (dataset, transform, loss, optimizer, scheduler), arguments bound by name.

    `args` holds the arguments that the file gives and those that the checker filled in, in the order of the
    signature; what is left at its default is not in it.
    """

    entry: Entry
    args: Mapping[str, Arg]
    span: Span

    @property
    def name(self) -> str:
        return self.entry.name

    def get(self, name: str) -> object:
        """The value of an argument, or the default of its parameter."""
        given = self.args.get(name)
        return self.entry.default(name) if given is None else given.value


class Parameter(NamedTuple):
    """A parameter of a network with its default, a Python literal."""

    name: str
    default: object
    span: Span


class Input(NamedTuple):
    """An input of a network: `[N, 1, 32, 32]` float32; symbols are sizes known only at run time."""

    name: str
    type: TensorType
    span: Span


class Data(NamedTuple):
    """The data pipeline. `validation` and `test` are a dataset, or a fraction or count held out of `train`."""

    train: Call
    validation: Call | float | int | None
    test: Call | None
    transform: tuple[Call, ...]
    augment: tuple[Call, ...]
    batch_size: int
    span: Span


class Train(NamedTuple):
    """How the network is trained. `schedule` has what follows from the run (`T_max`) filled in."""

    loss: Call
    optimizer: Call
    schedule: Call | None
    epochs: int
    metrics: tuple[str, ...]
    seed: int
    span: Span
