"""The surface tree: what the parser makes of a program, before any name has a meaning.

Every node carries the span of its text.
"""

from __future__ import annotations

from typing import TypeAlias

from netc.node import node
from netc.source import Span


@node
class Ident:
    """A name where it is declared or used as a key."""

    text: str
    span: Span


# --- expressions -----------------------------------------------------------------------------------------------------


@node
class Name:
    text: str
    span: Span


@node
class Number:
    """A number; `value` is None where it is too large, which is in the report."""

    value: int | float | None
    span: Span


@node
class String:
    value: str
    span: Span


@node
class Literal:
    """`True`, `False` or `None`."""

    value: bool | None
    span: Span


@node
class Tuple:
    items: tuple[Expr, ...]
    span: Span


@node
class List:
    items: tuple[Expr, ...]
    span: Span


@node
class Comprehension:
    item: Expr
    targets: tuple[Target, ...]
    iterable: Expr
    condition: Expr | None
    span: Span


@node
class Paren:
    """An expression in parentheses, kept for the formatter and for exact messages."""

    inner: Expr
    span: Span


@node
class Unary:
    """`-a`, `+a`, `not a`."""

    op: str
    operand: Expr
    span: Span


@node
class Binary:
    """Arithmetic: `+ - * / // % ** @`."""

    op: str
    left: Expr
    right: Expr
    span: Span


@node
class Boolean:
    """`a and b`, `a or b`."""

    op: str
    left: Expr
    right: Expr
    span: Span


@node
class Compare:
    """`a < b <= c`, `a not in b`, `a is None`: one operator fewer than operands."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]
    span: Span


@node
class Ternary:
    condition: Expr
    then: Expr
    otherwise: Expr
    span: Span


@node
class Attribute:
    value: Expr
    name: Ident
    span: Span


@node
class Argument:
    """One argument of a call; `name` is None for a positional one."""

    name: Ident | None
    value: Expr
    span: Span


@node
class Call:
    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


@node
class Slice:
    start: Expr | None
    stop: Expr | None
    step: Expr | None
    span: Span


@node
class Dots:
    span: Span


@node
class Index:
    value: Expr
    subscripts: tuple[Expr | Slice | Dots, ...]
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


@node
class TargetTuple:
    items: tuple[Target, ...]
    span: Span


Target: TypeAlias = Ident | TargetTuple


# --- flow ------------------------------------------------------------------------------------------------------------


@node
class Body:
    statements: tuple[Statement, ...]
    span: Span


@node
class Seq:
    """`seq { … }`: an nn.Sequential."""

    body: Body
    span: Span


@node
class Inline:
    """`module { … }`: a module written where it is used."""

    body: Body
    span: Span


@node
class Edit:
    """One edit of a layer in braces: `replace`, `append`, `remove`, or a group of settings under a pattern."""

    kind: str
    path: String
    value: Expr | tuple[Entry, ...] | None
    span: Span


@node
class Edited:
    """`vgg16(…) { replace "classifier.6" = … }`, `SGD(…) { "*.bias" { … } }`."""

    value: Expr
    edits: tuple[Edit, ...]
    span: Span


Step: TypeAlias = Expr | Seq | Inline | Edited


@node
class Link:
    """One link of a chain, with its label (a name, or a string that computes one)."""

    label: Ident | String | None
    step: Step
    span: Span


@node
class Chain:
    links: tuple[Link, ...]
    span: Span


# --- statements ------------------------------------------------------------------------------------------------------


@node
class Flow:
    chain: Chain
    span: Span


@node
class Bind:
    targets: tuple[Target, ...]
    chain: Chain
    span: Span


@node
class Input:
    name: Ident
    shape: List
    dtype: Ident | None
    span: Span


@node
class Output:
    name: Ident
    chain: Chain
    span: Span


@node
class Parameter:
    """`param name[shape] = initialiser`: an nn.Parameter."""

    name: Ident
    shape: List
    value: Expr | None
    span: Span


@node
class Buffer:
    arguments: tuple[Argument, ...]
    name: Ident
    value: Expr
    span: Span


@node
class Declare:
    """`layer name: Linear(64, in_features=32)`: a child that is applied later, or only read."""

    name: Ident
    step: Expr
    span: Span


@node
class If:
    """`if` / `elif` / `else`: conditions with their bodies, and the body of `else`."""

    branches: tuple[tuple[Expr, Body], ...]
    otherwise: Body | None
    span: Span


@node
class For:
    targets: tuple[Target, ...]
    iterable: Expr
    body: Body
    span: Span


@node
class Selector:
    """What an init rule is for: `Conv2d.weight`, or a path in quotes."""

    text: str
    is_path: bool
    span: Span


@node
class Rule:
    selector: Selector
    value: Expr
    span: Span


@node
class Init:
    rules: tuple[Rule, ...]
    span: Span


@node
class Broken:
    """A statement, definition or setting that didn't parse; its mistake is in the report."""

    span: Span


Statement: TypeAlias = Flow | Bind | Input | Output | Parameter | Buffer | Declare | If | For | Init | Broken


# --- a file ----------------------------------------------------------------------------------------------------------


@node
class Param:
    """A parameter of a module, network or formula."""

    name: Ident
    default: Expr | None
    span: Span


@node
class Import:
    path: String
    span: Span


@node
class Use:
    path: String
    span: Span


@node
class Module:
    name: Ident
    params: tuple[Param, ...]
    body: Body
    span: Span


@node
class Network:
    name: Ident
    params: tuple[Param, ...]
    body: Body
    span: Span


@node
class Variant:
    """`network ResNet18 = ResNet(BasicBlock, [2, 2, 2, 2])`."""

    name: Ident
    params: tuple[Param, ...]
    value: Expr
    span: Span


@node
class Constant:
    """`classes = 102`; with parameters (which may be none: `f() = 1`) a formula."""

    name: Ident
    params: tuple[Param, ...] | None
    value: Expr
    span: Span


@node
class Setting:
    key: Ident
    value: Chain
    span: Span


@node
class Group:
    """Settings under a key: a group within a section."""

    key: Ident
    entries: tuple[Entry, ...]
    span: Span


Entry: TypeAlias = Setting | Group | Broken


@node
class Section:
    """`data { … }`, `train { … }`."""

    name: Ident
    entries: tuple[Entry, ...]
    span: Span


Definition: TypeAlias = Import | Use | Module | Network | Variant | Constant | Section | Broken


@node
class File:
    definitions: tuple[Definition, ...]
    span: Span


def idents(targets: tuple[Target, ...]) -> list[Ident]:
    """The names of a binding or a loop, nested ones in their order."""
    out: list[Ident] = []
    for target in targets:
        out += idents(target.items) if isinstance(target, TargetTuple) else [target]
    return out
