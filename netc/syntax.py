"""The surface tree: what the parser makes of a program, before any name has a meaning.

Every node carries the span of its text. Nodes are immutable named tuples: they cost a tenth of a frozen dataclass to
define, which is felt at every start of a program that runs for a tenth of a second. Two nodes of different kinds with
equal fields compare equal, so trees are compared by `repr`, which names the kinds.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from netc.source import Span


class Ident(NamedTuple):
    """A name where it is declared or used as a key."""

    text: str
    span: Span


# --- expressions -----------------------------------------------------------------------------------------------------


class Name(NamedTuple):
    text: str
    span: Span


class Number(NamedTuple):
    value: int | float
    span: Span


class String(NamedTuple):
    value: str
    span: Span


class Literal(NamedTuple):
    """`True`, `False` or `None`."""

    value: bool | None
    span: Span


class Tuple(NamedTuple):
    items: tuple[Expr, ...]
    span: Span


class List(NamedTuple):
    items: tuple[Expr, ...]
    span: Span


class Comprehension(NamedTuple):
    item: Expr
    targets: tuple[Target, ...]
    iterable: Expr
    condition: Expr | None
    span: Span


class Paren(NamedTuple):
    """An expression in parentheses, kept for the formatter and for exact messages."""

    inner: Expr
    span: Span


class Unary(NamedTuple):
    """`-a`, `+a`, `not a`."""

    op: str
    operand: Expr
    span: Span


class Binary(NamedTuple):
    """Arithmetic: `+ - * / // % ** @`."""

    op: str
    left: Expr
    right: Expr
    span: Span


class Boolean(NamedTuple):
    """`a and b`, `a or b`."""

    op: str
    left: Expr
    right: Expr
    span: Span


class Compare(NamedTuple):
    """`a < b <= c`, `a not in b`, `a is None`: one operator fewer than operands."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]
    span: Span


class Ternary(NamedTuple):
    condition: Expr
    then: Expr
    otherwise: Expr
    span: Span


class Attribute(NamedTuple):
    value: Expr
    name: Ident
    span: Span


class Argument(NamedTuple):
    """One argument of a call; `name` is None for a positional one."""

    name: Ident | None
    value: Expr
    span: Span


class Call(NamedTuple):
    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


class Slice(NamedTuple):
    start: Expr | None
    stop: Expr | None
    step: Expr | None
    span: Span


class Ellipsis_(NamedTuple):
    span: Span


class Index(NamedTuple):
    value: Expr
    subscripts: tuple[Expr | Slice | Ellipsis_, ...]
    span: Span


Expr: TypeAlias = (
    Name
    | Number
    | String
    | Literal
    | Tuple
    | List
    | Comprehension
    | Paren
    | Unary
    | Binary
    | Boolean
    | Compare
    | Ternary
    | Attribute
    | Call
    | Index
)


class TargetTuple(NamedTuple):
    items: tuple[Target, ...]
    span: Span


Target: TypeAlias = Ident | TargetTuple


# --- flow ------------------------------------------------------------------------------------------------------------


class Body(NamedTuple):
    statements: tuple[Statement, ...]
    span: Span


class Seq(NamedTuple):
    """`seq { … }`: an nn.Sequential."""

    body: Body
    span: Span


class Inline(NamedTuple):
    """`module { … }`: a module written where it is used."""

    body: Body
    span: Span


class Edit(NamedTuple):
    """One edit of a layer in braces: `replace`, `append`, `remove`, or a group of settings under a pattern."""

    kind: str
    path: String
    value: Expr | tuple[Entry, ...] | None
    span: Span


class Edited(NamedTuple):
    """`vgg16(…) { replace "classifier.6" = … }`, `SGD(…) { "*.bias" { … } }`."""

    value: Expr
    edits: tuple[Edit, ...]
    span: Span


Step: TypeAlias = Expr | Seq | Inline | Edited


class Link(NamedTuple):
    """One link of a chain, with its label (a name, or a string that computes one)."""

    label: Ident | String | None
    step: Step
    span: Span


class Chain(NamedTuple):
    links: tuple[Link, ...]
    span: Span


# --- statements ------------------------------------------------------------------------------------------------------


class Flow(NamedTuple):
    chain: Chain
    span: Span


class Bind(NamedTuple):
    targets: tuple[Target, ...]
    chain: Chain
    span: Span


class Input(NamedTuple):
    name: Ident
    shape: List
    dtype: Ident | None
    span: Span


class Output(NamedTuple):
    name: Ident
    chain: Chain
    span: Span


class Parameter(NamedTuple):
    """`param name[shape] = initialiser`: an nn.Parameter."""

    name: Ident
    shape: List
    value: Expr | None
    span: Span


class Buffer(NamedTuple):
    arguments: tuple[Argument, ...]
    name: Ident
    value: Expr
    span: Span


class If(NamedTuple):
    """`if` / `elif` / `else`: conditions with their bodies, and the body of `else`."""

    branches: tuple[tuple[Expr, Body], ...]
    otherwise: Body | None
    span: Span


class For(NamedTuple):
    targets: tuple[Target, ...]
    iterable: Expr
    body: Body
    span: Span


class Selector(NamedTuple):
    """What an init rule is for: `Conv2d.weight`, or a path in quotes."""

    text: str
    is_path: bool
    span: Span


class Rule(NamedTuple):
    selector: Selector
    value: Expr
    span: Span


class Init(NamedTuple):
    rules: tuple[Rule, ...]
    span: Span


class Broken(NamedTuple):
    """A statement, definition or setting that didn't parse; its mistake is in the report."""

    span: Span


Statement: TypeAlias = Flow | Bind | Input | Output | Parameter | Buffer | If | For | Init | Broken


# --- a file ----------------------------------------------------------------------------------------------------------


class Param(NamedTuple):
    """A parameter of a module, network or formula."""

    name: Ident
    default: Expr | None
    span: Span


class Import(NamedTuple):
    path: String
    span: Span


class Use(NamedTuple):
    path: String
    span: Span


class Module(NamedTuple):
    name: Ident
    params: tuple[Param, ...]
    body: Body
    span: Span


class Network(NamedTuple):
    name: Ident
    params: tuple[Param, ...]
    body: Body
    span: Span


class Variant(NamedTuple):
    """`network ResNet18 = ResNet(BasicBlock, [2, 2, 2, 2])`."""

    name: Ident
    params: tuple[Param, ...]
    value: Expr
    span: Span


class Constant(NamedTuple):
    """`classes = 102`; with parameters (which may be none: `f() = 1`) a formula."""

    name: Ident
    params: tuple[Param, ...] | None
    value: Expr
    span: Span


class Setting(NamedTuple):
    key: Ident
    value: Chain
    span: Span


class Group(NamedTuple):
    """Settings under a key: a group within a section."""

    key: Ident
    entries: tuple[Entry, ...]
    span: Span


Entry: TypeAlias = Setting | Group | Broken


class Section(NamedTuple):
    """`data { … }`, `train { … }`."""

    name: Ident
    entries: tuple[Entry, ...]
    span: Span


Definition: TypeAlias = Import | Use | Module | Network | Variant | Constant | Section | Broken


class File(NamedTuple):
    definitions: tuple[Definition, ...]
    span: Span
