"""The checked program: what the checker gives to every backend.

It says two things. A `Network` is what one network is made of: every layer with its arguments and shapes, modules and
loops unrolled, for the summary, the export and the training script. A `Class` is how its Python is written: one class
for each module of the file, with its parameters, loops and conditions kept, for model.py. Names are resolved to entries
of the catalog, arguments are bound to the names of their parameters, and inferred ones are filled in. Nothing here
refers to the syntax tree; spans stay for messages and for errors at run time. All nodes are immutable.

Text in a `Class` that is called code is Python. An argument keeps two forms: `value`, what it is in this network, and
`code`, the Python expression that generated code prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from netc.ir.sections import Checkpoints, Computed, Data, EarlyStop, Options, ParameterGroup, Rate, Train
from netc.node import node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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


# --- a network: what it is made of, modules and loops unrolled --------------------------------------------------------


@node
class Layer:
    """A child that is one layer of torch: its label, its call, and the shapes that it was checked with.

    `label` is the name in the state dict; in a Sequential an unnamed child has its position.
    """

    label: str
    call: Call
    inputs: tuple[TensorType, ...]
    output: Types
    span: Span


@node
class Sequential:
    """A child that is an nn.Sequential."""

    label: str
    children: tuple[Child, ...]
    inputs: tuple[TensorType, ...]
    output: Types
    span: Span


class Held(NamedTuple):
    """A parameter or buffer that a module holds itself. Buffers that aren't `persistent` are not in the state dict."""

    name: str
    type: TensorType
    trained: bool
    persistent: bool = True


@node
class Instance:
    """A child that is a module of the file, and what it holds. `name` is the module's."""

    label: str
    name: str
    held: tuple[Held, ...]
    children: tuple[Child, ...]
    inputs: tuple[TensorType, ...]
    output: Types
    span: Span


Child: TypeAlias = Layer | Sequential | Instance
Types: TypeAlias = "TensorType | tuple[Types, ...]"


# A row's number or a parameter's path, and which of its results; the inputs are -1, -2, …; None where it isn't known.
Source: TypeAlias = "tuple[int | str, tuple[object, ...]] | None"


class Row(NamedTuple):
    """One application for the summary: path of the child ("" for a function), what it is, result, multiply-adds.

    `values` are the arguments of a function by name, a tensor as its type; a layer's stand in its call. `sources` say
    where the tensors come from that each argument takes, under "" those that a layer is applied to.
    """

    path: str
    name: str
    output: TensorType
    macs: Dim
    span: Span
    values: Mapping[str, object] = {}
    sources: Mapping[str, tuple[Source, ...]] = {}


class Output(NamedTuple):
    """A result of a network. One of `training` exists only while the network trains."""

    name: str
    type: TensorType
    training: bool = False
    source: Source = None


class Network(NamedTuple):
    """A network that can be built without arguments.

    `outputs` are its results in evaluation and training, one of them without a name where it has no `output` lines.
    `looked_up` gives for an input of indices how many entries the table has that it is looked up in.
    """

    name: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[Input, ...]
    held: tuple[Held, ...]
    children: tuple[Child, ...]
    outputs: tuple[Output, ...]
    rows: tuple[Row, ...]
    looked_up: Mapping[str, int]
    span: Span

    @property
    def output(self) -> TensorType:
        """The one result, or the first of several."""
        return self.outputs[0].type

    @property
    def layers(self) -> dict[str, Layer]:
        """Every layer by its path, `features.0`."""
        return dict(_layers(self.children, ""))


def _layers(children: Iterable[Child], prefix: str) -> Iterator[tuple[str, Layer]]:
    for child in children:
        if isinstance(child, Layer):
            yield prefix + child.label, child
        else:
            yield from _layers(child.children, f"{prefix}{child.label}.")


# --- a class: the constructor -----------------------------------------------------------------------------------------


class Argument(NamedTuple):
    """A parameter of a constructor: its name, annotation, and default (None where it has none), all Python."""

    name: str
    annotation: str
    default: str | None = None


@node
class New:
    """A call that builds a child: `nn.Conv2d(3, 8, 5)`, `BasicBlock(channels, 64)`."""

    callee: str
    arguments: tuple[tuple[str | None, Made], ...]


@node
class Code:
    """An expression that is Python text already."""

    code: str


@node
class Series:
    """An nn.Sequential: the statements that fill it, in which `owner` stands for it."""

    owner: str
    body: tuple[Build, ...]


Made: TypeAlias = New | Code | Series


@node
class Let:
    """`target = code`, in the constructor or in `forward`."""

    target: str
    code: str


@node
class Register:
    """`self.conv1 = nn.Conv2d(…)`: a child of `owner` under a label, Python that gives a string; None appends."""

    owner: str
    label: str | None
    made: Made


@node
class Replace:
    """`self.backbone.fc = nn.Linear(…)`: another layer in the place of a part of a child."""

    target: str
    made: Made


@node
class Remove:
    """`del self.backbone.classifier[6]`; with a name `delattr(self.backbone.classifier, name)`."""

    target: str
    name: str | None = None


@node
class Absent:
    """`self.downsample = None`: a child that only one branch builds."""

    label: str


@node
class Store:
    """`self.attribute = code`, what `forward` reads."""

    attribute: str
    code: str


@node
class Hold:
    """`self.name = nn.Parameter(…)` with its initialiser, or a buffer."""

    name: str
    shape: str
    value: Expr | None
    initialiser: New | None
    trained: bool
    persistent: bool = True


@node
class Fill:
    """Initialisers of a module: `rules` are (class, attribute, call, optional), or a path and its call.

    `kept` are the classes of children whose own weights the rules for types leave as they are.
    """

    rules: tuple[FillRule, ...]
    kept: tuple[str, ...] = ()


class FillRule(NamedTuple):
    """`attribute` of each module that is a `kind`, or where `kind` is None the parameters of that path.

    `optional` says that some module of the kind has none; `instead` are the paths of modules that are filled by
    another call. `by_name` says that the path leads into a model whose positions may not be its names.
    """

    kind: str | None
    attribute: str
    call: New
    optional: bool = False
    instead: tuple[tuple[str, New], ...] = ()
    by_name: bool = False


@node
class BuildIf:
    """`if` in the constructor."""

    condition: str
    then: tuple[Build, ...]
    otherwise: tuple[Build, ...]


@node
class BuildFor:
    """`for` in the constructor; `kept` are those of its names that are read behind it."""

    targets: str
    iterable: str
    body: tuple[Build, ...]
    kept: tuple[str, ...] = ()


@node
class Refuse:
    """`raise ValueError(…)`: a branch that the file never takes, and that can't be followed."""

    message: str


Line: TypeAlias = "Register | Replace | Remove | Absent | Store | Hold | Fill"
Build: TypeAlias = "Refuse | Let | Assign | Line | BuildIf | BuildFor"

# --- a class: `forward` -----------------------------------------------------------------------------------------------


@node
class Var:
    """An input or a bound value; `_` is the current value."""

    name: str
    type: TensorType


@node
class Apply:
    """A child applied; `callee` is the Python that names it."""

    callee: str
    inputs: tuple[Expr, ...]
    keywords: tuple[tuple[str, Expr], ...]
    type: Types
    span: Span


@node
class Function:
    """A function applied: `torch.cat([a, b], 1)`; a method of its first argument where `callee` begins with a point."""

    callee: str
    arguments: tuple[tuple[str | None, Expr], ...]
    type: Types
    span: Span


@node
class Operation:
    """Arithmetic or comparison with at least one tensor; a unary minus has no `left`."""

    op: str
    left: Expr | None
    right: Expr
    type: TensorType
    span: Span


@node
class Value:
    """A number or another literal among tensors, as Python text."""

    code: str


@node
class Items:
    """A list or tuple of expressions, as `cat` takes it."""

    items: tuple[Expr, ...]
    is_list: bool


@node
class Item:
    """One of several results, or a part of a tensor: `value[subscripts]`."""

    value: Expr
    subscripts: tuple[Expr, ...]
    type: Types


@node
class Spread:
    """Several results as so many arguments: `*self.backbone(x)`."""

    value: Expr


Expr: TypeAlias = Var | Apply | Function | Operation | Value | Items | Item | Spread


class Assign(NamedTuple):
    """One line of `forward`: `target` is `_` where the current value moves, else a name of the user's, or a tuple."""

    target: Target
    value: Expr
    span: Span


Target: TypeAlias = "str | tuple[Target, ...]"


@node
class FlowIf:
    """`if` in `forward`."""

    condition: str
    then: tuple[Flow, ...]
    otherwise: tuple[Flow, ...]


@node
class FlowFor:
    """`for` in `forward`; `kept` are those of its names that are read behind it."""

    targets: str
    iterable: str
    body: tuple[Flow, ...]
    kept: tuple[str, ...] = ()


@node
class Return:
    """The results, by the names of their outputs where they have any."""

    values: tuple[tuple[str, Expr], ...]


Flow: TypeAlias = Let | Assign | FlowIf | FlowFor | Return


class Class(NamedTuple):
    """A class of model.py. `base` is nn.Module, nn.Sequential or, for a variant, another class with `forwarded` to it.

    `fields` are the results by name, where there are several, each with the condition under which `forward` has it
    (`self.training`, say), or "" where it always has. `version`
    is that of the state dict, where the program says one.
    """

    name: str
    base: str
    arguments: tuple[Argument, ...]
    forwarded: tuple[str, ...]
    inputs: tuple[tuple[str, TensorType], ...]
    build: tuple[Build, ...]
    flow: tuple[Flow, ...]
    fields: tuple[tuple[str, str], ...]
    uses: frozenset[str]
    doc: str | None = None
    version: int | None = None


# --- a file -----------------------------------------------------------------------------------------------------------


class Constant(NamedTuple):
    """A name for a value at the top of the file; with `parameters` a small function, `value` where it is of tensors."""

    name: str
    code: str
    parameters: tuple[Argument, ...] | None = None
    value: Expr | None = None


class PythonFile(NamedTuple):
    """A file that model.py imports: its module's name, its path with those that it needs, and what is taken from it.

    `names` are (name, name in model.py), and `entries` what they stand for.
    """

    module: str
    paths: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]


class Program(NamedTuple):
    """A checked file. `trained` is the network that `train` is for, where there is one.

    `classes` stand in an order in which each one's base comes before it; `uses` of a class names what else it needs.
    """

    stem: str
    constants: tuple[Constant, ...]
    classes: tuple[Class, ...]
    networks: tuple[Network, ...]
    trained: Network | None
    data: Data | None
    train: Train | None
    python: tuple[PythonFile, ...] = ()


__all__ = [
    "Absent",
    "Apply",
    "Arg",
    "Argument",
    "Assign",
    "Build",
    "BuildFor",
    "BuildIf",
    "Call",
    "Checkpoints",
    "Child",
    "Class",
    "Code",
    "Computed",
    "Constant",
    "Data",
    "EarlyStop",
    "Expr",
    "Fill",
    "FillRule",
    "Flow",
    "FlowFor",
    "FlowIf",
    "Function",
    "Held",
    "Hold",
    "Input",
    "Instance",
    "Item",
    "Items",
    "Layer",
    "Let",
    "Line",
    "Made",
    "Network",
    "New",
    "Operation",
    "Options",
    "Output",
    "Parameter",
    "ParameterGroup",
    "Program",
    "PythonFile",
    "Rate",
    "Refuse",
    "Register",
    "Remove",
    "Replace",
    "Return",
    "Row",
    "Sequential",
    "Series",
    "Source",
    "Spread",
    "Store",
    "Target",
    "Train",
    "Types",
    "Value",
    "Var",
]
