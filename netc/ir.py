"""The checked program: what the checker gives to every backend.

Names are resolved to entries of the catalog, arguments are bound to the names of their parameters, inferred arguments
are filled in, and every value has its shape. Nothing here refers to the syntax tree; spans stay for messages and for
errors at run time. All nodes are immutable.

An argument keeps two forms: `value`, what it is for the parameters' defaults, and `code`, the Python expression over
the network's parameters that generated code prints (`repr(value)` where no parameter has a part in it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from netc.node import node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.shapes import Dim, TensorType
    from netc.source import Span


class Arg(NamedTuple):
    """One argument of a call: its value for the defaults, and the Python expression that gives it.

    `positional` says how generated code writes it; positional ones come first, in the order of the signature.
    """

    value: object
    code: str
    positional: bool = False


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

    @property
    def arguments(self) -> str:
        """The arguments as Python text, without the parentheses."""
        return ", ".join(a.code if a.positional else f"{name}={a.code}" for name, a in self.args.items())

    def get_or(self, name: str, otherwise: object) -> object:
        """The value of an argument, or `otherwise` where there is no parameter of that name."""
        return self.get(name) if any(p.name == name for p in self.entry.params) else otherwise

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


# --- layers: what the constructor builds ------------------------------------------------------------------------------


@node
class Layer:
    """A child that is one layer of torch: its label, its call, and the shapes that it was checked with.

    `label` is the name in the state dict; in a Sequential an unnamed child has its position.
    """

    label: str
    call: Call
    inputs: tuple[TensorType, ...]
    output: TensorType
    span: Span


@node
class Sequential:
    """A child that is an nn.Sequential. `named` says whether any of its children has a name of its own."""

    label: str
    children: tuple[Child, ...]
    named: bool
    inputs: tuple[TensorType, ...]
    output: TensorType
    span: Span


Child: TypeAlias = Layer | Sequential


# --- flow: what `forward` computes ------------------------------------------------------------------------------------


@node
class Var:
    """An input or a bound value; `_` is the current value."""

    name: str
    type: TensorType


@node
class Apply:
    """A child applied; the same child may be applied again, which shares its weights."""

    label: str
    inputs: tuple[Expr, ...]
    type: TensorType
    span: Span


@node
class Function:
    """A function applied: `torch.cat([a, b], 1)`; a method of its first argument where `callee` begins with a point."""

    callee: str
    arguments: tuple[tuple[str | None, Expr], ...]
    type: TensorType
    span: Span


@node
class Operation:
    """Arithmetic with at least one tensor; a unary minus has no `left`."""

    op: str
    left: Expr | None
    right: Expr
    type: TensorType
    span: Span


@node
class Value:
    """A number or another literal among tensors, as Python text; `{name}.shape[i]` stands for a size of run time."""

    code: str


@node
class Items:
    """A list or tuple of expressions, as `cat` takes it."""

    items: tuple[Expr, ...]
    is_list: bool


Expr: TypeAlias = Var | Apply | Function | Operation | Value | Items


class Assign(NamedTuple):
    """One line of `forward`: `target` is `_` where the current value moves, else a name of the user's."""

    target: str
    value: Expr
    span: Span


class Row(NamedTuple):
    """One application for the summary: path of the child ("" for a function), what it is, result, multiply-adds."""

    path: str
    name: str
    output: TensorType
    macs: Dim
    span: Span


class Constant(NamedTuple):
    """A name for a value that is known when the network is built: in the constructor, or at the top of the file."""

    name: str
    code: str


class Network(NamedTuple):
    """A network: its constructor (`parameters`, `constants`, `children`) and its `forward` (`body`, `result`).

    `stored` are the parameters and constants that `forward` reads, each with the attribute that holds it.
    """

    name: str
    parameters: tuple[Parameter, ...]
    constants: tuple[Constant, ...]
    stored: tuple[tuple[str, str], ...]
    inputs: tuple[Input, ...]
    children: tuple[Child, ...]
    body: tuple[Assign, ...]
    result: Expr
    output: TensorType
    rows: tuple[Row, ...]
    span: Span


class Program(NamedTuple):
    """A checked file. `trained` is the network that `train` is for, where there is one."""

    stem: str
    constants: tuple[Constant, ...]
    networks: tuple[Network, ...]
    trained: Network | None
    data: Data | None
    train: Train | None


# --- data and training ------------------------------------------------------------------------------------------------


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
