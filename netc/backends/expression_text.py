"""Expressions of `forward`, and Python that is code already, as text that a formatter leaves alone.

In: an `ir.Expr` with what its names are called, or code of the checker. Out: a `Text`, which can be broken at its
outermost bracket. Guarantees: parentheses stand where precedence needs them, and nowhere else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc import ir
from netc.backends.layout import Text, call, join, operand
from netc.literals import subscript
from netc.shapes import TensorType

if TYPE_CHECKING:
    from collections.abc import Callable


PRECEDENCE = {"<": 0, "<=": 0, ">": 0, ">=": 0, "==": 0, "!=": 0,
               "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "@": 2, "**": 4}  # fmt: skip


def split_items(inner: str) -> list[str] | None:
    """The items between brackets; None where it is no plain list of them."""
    items, depth, start, quote = [], 0, 0, ""
    for i, ch in enumerate(inner):
        if quote:
            quote = "" if ch == quote and inner[i - 1] != "\\" else quote
        elif ch in "\"'":
            quote = ch
        elif ch in "([{":
            depth += 1
        elif ch in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif ch == "," and depth == 0:
            items.append(inner[start:i].strip())
            start = i + 1
    last = inner[start:].strip()
    items += [last] if last else []
    return None if any(" for " in f" {i} " for i in items) else items


def from_code(code: str) -> Text:
    """Python as text that can be broken at its outermost bracket."""
    match = re.match(r"[\w.]*[(\[]", code)
    if match is None or code[-1:] not in ")]":
        return Text(code)
    items = split_items(code[match.end() : -1])
    if not items or (len(items) == 1 and match.group() == "("):
        return Text(code)
    return call(match.group(), [from_code(i) for i in items], code[-1])


def expression(expr: ir.Expr, name: Callable[[ir.Target], str], code: Callable[[str], str]) -> Text:
    """An expression as text, given what its names are called and what stands for a mark in code."""

    def go(e: ir.Expr) -> Text:
        return expression(e, name, code)

    match expr:
        case ir.Var():
            return Text(name(expr.name))
        case ir.Value():
            return from_code(code(expr.code))
        case ir.Items():
            return call("[" if expr.is_list else "(", [go(item) for item in expr.items], "]" if expr.is_list else ")")
        case ir.Item():
            value = go(expr.value)
            flat = value.flat if _level(expr.value) == 5 else f"({value.flat})"
            first = expr.subscripts[0]
            inner = ", ".join(subscript(go(item).flat) for item in expr.subscripts)
            if value.items and isinstance(first, ir.Value) and not first.code.startswith(":"):
                return value._replace(flat=f"{flat}[{inner}]", closing=f"{value.closing}[{inner}]")
            return Text(f"{flat}[{inner}]")
        case ir.Spread():
            return join("*", go(expr.value))
        case ir.Apply():
            arguments = [go(i) for i in expr.inputs] + [join(f"{n}=", go(v)) for n, v in expr.keywords]
            return call(f"{code(expr.callee)}(", arguments, ")")
        case ir.Function():
            arguments = [join("" if n is None else f"{n}=", go(a)) for n, a in expr.arguments]
            if expr.callee.startswith("."):
                receiver, *arguments = arguments
                flat = receiver.flat if _level(expr.arguments[0][1]) == 5 else f"({receiver.flat})"
                return call(f"{flat}{expr.callee}(", arguments, ")")
            return call(f"{expr.callee}(", arguments, ")")
        case ir.Operation():
            return _operation(expr, go)


def _operation(expr: ir.Operation, go: Callable[[ir.Expr], Text]) -> Text:
    level = PRECEDENCE[expr.op]
    if expr.left is None:
        return Text(f"-{operand(go(expr.right), _level(expr.right), 3)}")
    left = operand(go(expr.left), _level(expr.left), level + (expr.op == "**" or level == 0))
    right = operand(go(expr.right), _level(expr.right), level + (expr.op != "**"))
    if expr.op == "**" and is_simple(expr.left) and is_simple(expr.right):
        return Text(f"{left}**{right}")
    return Text(f"{left} {expr.op} {right}")


def _level(expr: ir.Expr) -> int:
    """How tightly an expression binds; 5 for what needs no parentheses anywhere."""
    if isinstance(expr, ir.Operation):
        return 3 if expr.left is None else PRECEDENCE[expr.op]
    if isinstance(expr, ir.Value) and re.fullmatch(r"[\d.]+e[-+]?\d+", expr.code):
        return 5
    if isinstance(expr, ir.Value) and any(c in expr.code for c in " -*") and expr.code[:1] not in "([":
        if re.fullmatch(r"-[\w.]+", expr.code):
            return 3
        if re.search(r"[<>=]| if | or | and |\bnot ", expr.code):
            return 0
        return 1 if "-" in expr.code or " + " in expr.code else 2
    return 5


def is_simple(expr: ir.Expr) -> bool:
    """What a formatter writes without blanks around `**`: names and numbers."""
    return isinstance(expr, ir.Var) or (
        isinstance(expr, ir.Value) and expr.code.replace(".", "").replace("_", "").isalnum()
    )


def type_of(expr: ir.Expr) -> TensorType | None:
    """The type of what an expression gives; None where it is no tensor."""
    found = None if isinstance(expr, (ir.Value, ir.Items, ir.Spread)) else expr.type
    return found if isinstance(found, TensorType) else None


_OPPOSITE = {"is not": "is", "is": "is not", "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def negated(condition: str) -> str:
    """The opposite of a condition, as one writes it."""
    simple = re.fullmatch(r"([\w.]+) (is not|is|==|!=|<=|>=|<|>) ([\w.\"]+)", condition)
    if simple is not None:
        return f"{simple.group(1)} {_OPPOSITE[simple.group(2)]} {simple.group(3)}"
    if re.fullmatch(r"not [\w.]+", condition):
        return condition[4:]
    return f"not {condition}" if re.fullmatch(r"[\w.]+", condition) else f"not ({condition})"
