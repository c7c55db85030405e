"""Expressions of the language as Python text, for the arguments of generated code.

Guarantees: what comes out is Python that computes the same value; names are checked identifiers, and everything else of
the user's text goes through `repr`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import syntax as s
from netc.identifiers import python_name
from netc.literals import literal
from netc.literals import subscript as laid_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_RENAMED: Mapping[str, str] = {"ceil": "math.ceil", "floor": "math.floor", "sqrt": "math.sqrt", "log": "math.log"}


def text(
    expr: s.Expr, rename: Callable[[str], str] = str, layer: Callable[[s.Expr], str | None] = lambda _: None
) -> str:
    """The Python of an expression.

    `rename` gives the Python name of a name of the program, `layer` the Python of a layer as a value, or None.
    """

    def end(e: s.Expr | None) -> str:
        return "" if e is None else go(e)

    def subscript(e: s.Expr | s.Slice | s.Dots) -> str:
        if isinstance(e, s.Slice):
            return laid_out(f"{end(e.start)}:{end(e.stop)}" + (f":{go(e.step)}" if e.step is not None else ""))
        return "..." if isinstance(e, s.Dots) else go(e)

    def go(e: s.Expr) -> str:
        match e:
            case s.Number() | s.Literal():
                return literal(e.value)
            case s.String():
                return quoted(e.value)
            case s.Name():
                return layer(e) or rename(e.text)
            case s.Paren():
                return f"({go(e.inner)})"
            case s.Tuple():
                return f"({', '.join(map(go, e.items))}{',' if len(e.items) == 1 else ''})"
            case s.List():
                return f"[{', '.join(map(go, e.items))}]"
            case s.Unary():
                return f"{'not ' if e.op == 'not' else e.op}{go(e.operand)}"
            case s.Binary():
                tight = e.op == "**" and all(isinstance(o, (s.Name, s.Number)) for o in (e.left, e.right))
                return f"{go(e.left)}**{go(e.right)}" if tight else f"{go(e.left)} {e.op} {go(e.right)}"
            case s.Boolean():
                return f"{go(e.left)} {e.op} {go(e.right)}"
            case s.Compare():
                pairs = zip(e.ops, e.operands[1:], strict=True)
                return go(e.operands[0]) + "".join(f" {op} {go(operand)}" for op, operand in pairs)
            case s.Ternary():
                return f"{go(e.then)} if {go(e.condition)} else {go(e.otherwise)}"
            case s.Call():
                found = layer(e)
                if found is not None:
                    return found
                callee = e.callee.text if isinstance(e.callee, s.Name) else go(e.callee)
                arguments = (
                    f"{python_name(a.name.text)}={go(a.value)}" if a.name else go(a.value) for a in e.arguments
                )
                return f"{_RENAMED.get(callee, callee)}({', '.join(arguments)})"
            case s.Index():
                return f"{go(e.value)}[{', '.join(map(subscript, e.subscripts))}]"
            case s.Attribute():
                return f"{go(e.value)}.{e.name.text}"
            case s.Comprehension():
                condition = f" if {go(e.condition)}" if e.condition is not None else ""
                return f"[{go(e.item)} for {targets(e.targets, rename)} in {go(e.iterable)}{condition}]"
        raise TypeError(f"{type(e).__name__} has no Python text")

    return go(expr)


def quoted(value: str) -> str:
    """A string as Python; the sign that marks names in code is escaped."""
    return literal(value).replace("ꞏ", "\\ua78f")


def targets(items: tuple[s.Target, ...], rename: Callable[[str], str] = str) -> str:
    """The names of a loop or binding, as Python."""
    return ", ".join(f"({targets(t.items, rename)})" if isinstance(t, s.TargetTuple) else rename(t.text) for t in items)


def names(expr: object) -> Iterator[str]:
    """The names that an expression uses, callees left out."""
    if isinstance(expr, s.Name):
        yield expr.text
    elif isinstance(expr, s.Call):
        for argument in expr.arguments:
            yield from names(argument.value)
        if not isinstance(expr.callee, s.Name):
            yield from names(expr.callee)
    elif isinstance(expr, tuple):
        for item in expr:
            yield from names(item)
