"""Small changes of the text of a model, one at a time, as a mistake in the compiler would make them."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed text: what kind of change, what was there and what is, in which line."""

    kind: str
    was: str
    now: str
    line: int
    text: str


def mutants(text: str) -> Iterator[Mutant]:
    """Every small change of a text, in the order of the text."""
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        names = sorted({a.arg for a in function.args.args if a.arg != "self"} | _bound(function))
        for statement in function.body:
            for node in ast.walk(statement):
                for kind, new in _changes(node, names):
                    yield _mutant(tree, node, new, kind)
        for body in _bodies(function):
            for first, second in pairwise(body):
                yield _swapped(tree, body, first, second)
                yield _dropped(tree, body, first)
    return


def _bound(function: ast.FunctionDef) -> set[str]:
    return {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _bodies(function: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(function):
        for name in ("body", "orelse"):
            found = getattr(node, name, None)
            if isinstance(found, list):
                yield found


def _changes(node: ast.AST, names: list[str]) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "number", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "truth", ast.Constant(not node.value)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield "name", ast.Name(other, ast.Load())
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield "operator", ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "comparison", ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.Call) and node.keywords:
        yield "keyword", ast.Call(node.func, node.args, node.keywords[:-1])
    elif isinstance(node, ast.IfExp):
        yield "choice", ast.IfExp(node.test, node.orelse, node.body)


def _mutant(tree: ast.Module, node: ast.AST, new: ast.AST, kind: str) -> Mutant:
    was, now = ast.unparse(node), ast.unparse(new)
    fields = dict(node.__dict__)
    old_class = node.__class__
    node.__dict__.clear()
    node.__dict__.update(new.__dict__)
    node.__class__ = new.__class__
    text = ast.unparse(ast.fix_missing_locations(tree))
    node.__class__ = old_class
    node.__dict__.clear()
    node.__dict__.update(fields)
    return Mutant(kind, was, now, fields.get("lineno", 0), text)


def _swapped(tree: ast.Module, body: list[ast.stmt], first: ast.stmt, second: ast.stmt) -> Mutant:
    at = body.index(first)
    body[at], body[at + 1] = second, first
    text = ast.unparse(tree)
    body[at], body[at + 1] = first, second
    return Mutant("order", ast.unparse(first), ast.unparse(second), first.lineno, text)


def _dropped(tree: ast.Module, body: list[ast.stmt], first: ast.stmt) -> Mutant:
    at = body.index(first)
    del body[at]
    text = ast.unparse(tree)
    body.insert(at, first)
    return Mutant("dropped", ast.unparse(first), "", first.lineno, text)
