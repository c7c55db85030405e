"""Short ways to write nodes of the syntax tree, none of which has a place in a text."""

from __future__ import annotations

from netc import syntax as s
from netc.source import Span

NOWHERE = Span(0, 0)


def ident(text: str) -> s.Ident:
    """A name where it is declared."""
    return s.Ident(text, NOWHERE)


def name(text: str) -> s.Expr:
    """A name in an expression."""
    return s.Name(text, NOWHERE)


def number(value: float) -> s.Expr:
    """A number; a negative one has a sign before it."""
    if value < 0:
        return s.Unary("-", number(-value), NOWHERE)
    return s.Number(value, NOWHERE)


def text(value: str) -> s.String:
    """A string."""
    return s.String(value, NOWHERE)


def items(*values: s.Expr | int) -> s.List:
    """A list."""
    return s.List(tuple(number(v) if isinstance(v, int) else v for v in values), NOWHERE)


def binary(op: str, left: s.Expr, right: s.Expr) -> s.Expr:
    """Two operands."""
    return s.Binary(op, left, right, NOWHERE)


def value(given: s.Expr | float | str | bool | None) -> s.Expr:
    """A Python value as an expression; a string is a name."""
    if given is None or isinstance(given, bool):
        return s.Literal(given, NOWHERE)
    if isinstance(given, int | float):
        return number(given)
    return name(given) if isinstance(given, str) else given


def call(callee: str, *positional: s.Expr | float | str, **named: s.Expr | float | str | bool) -> s.Expr:
    """A call; strings are names."""
    arguments = [s.Argument(None, value(v), NOWHERE) for v in positional]
    arguments += [s.Argument(ident(k), value(v), NOWHERE) for k, v in named.items()]
    return s.Call(name(callee), tuple(arguments), NOWHERE)


def link(step: s.Step | str, label: str | None = None) -> s.Link:
    """A step with its label, which is computed where it holds a brace."""
    named: s.Ident | s.String | None = None
    if label is not None:
        named = text(label) if "{" in label else ident(label)
    return s.Link(named, name(step) if isinstance(step, str) else step, NOWHERE)


def chain(*links: s.Link) -> s.Chain:
    """Links with arrows between."""
    return s.Chain(links, NOWHERE)


def flow(*links: s.Link) -> s.Statement:
    """A chain as a statement."""
    return s.Flow(chain(*links), NOWHERE)


def bind(names: str, *links: s.Link) -> s.Statement:
    """`a, b = …`."""
    return s.Bind(tuple(ident(n) for n in names.split(", ")), chain(*links), NOWHERE)


def body(*statements: s.Statement) -> s.Body:
    """Statements in braces."""
    return s.Body(statements, NOWHERE)


def seq(*statements: s.Statement) -> s.Seq:
    """`seq { … }`."""
    return s.Seq(body(*statements), NOWHERE)


def loop(variable: str, iterable: s.Expr, *statements: s.Statement) -> s.Statement:
    """`for variable in iterable { … }`."""
    return s.For((ident(variable),), iterable, body(*statements), NOWHERE)


def condition(test: s.Expr, then: tuple[s.Statement, ...], otherwise: tuple[s.Statement, ...] = ()) -> s.Statement:
    """`if test { … } else { … }`."""
    return s.If(((test, body(*then)),), body(*otherwise) if otherwise else None, NOWHERE)


def compare(left: s.Expr, op: str, right: s.Expr) -> s.Expr:
    """A comparison."""
    return s.Compare((op,), (left, right), NOWHERE)


def index(base: s.Expr, *subscripts: s.Expr | s.Slice | s.Dots) -> s.Expr:
    """`base[…]`."""
    return s.Index(base, subscripts, NOWHERE)


def until(stop: s.Expr | None, start: s.Expr | None = None) -> s.Slice:
    """`start:stop`."""
    return s.Slice(start, stop, None, NOWHERE)


def inputs(label: str, *sizes: s.Expr | int, dtype: str | None = None) -> s.Statement:
    """`input label: [N, …] dtype`."""
    return s.Input(ident(label), items(name("N"), *sizes), ident(dtype) if dtype else None, NOWHERE)


def section(title: str, **settings: s.Chain) -> s.Section:
    """`title { key = … }`."""
    entries = tuple(s.Setting(ident(k), v, NOWHERE) for k, v in settings.items())
    return s.Section(ident(title), entries, NOWHERE)


def param(label: str, default: s.Expr | None = None) -> s.Param:
    """A parameter of a module, network or formula."""
    return s.Param(ident(label), default, NOWHERE)
