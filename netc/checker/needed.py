"""Of what was recorded of a body, what is needed: assignments that nothing reads are left out.

In: the statements of a constructor or of `forward`, their names still marked. Out: those that something reads, with
variables that only carry another one through a block put together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc.checker.recorder import MARK, mark
from netc.node import replace
from netc.shapes import TensorType
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAVES = (TensorType, Span)  # named tuples that hold no code


def codes_of(node: object) -> list[str]:
    """All Python in a node."""
    found: list[str] = []
    todo = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, tuple) and not isinstance(item, LEAVES):
            todo += reversed(item)
    return found


def names_read(node: object) -> dict[str, None]:
    """The names that a node reads, in their order."""
    if isinstance(node, (ir.Let,)):
        return dict.fromkeys(MARK.findall(node.code))
    if isinstance(node, ir.BuildFor | ir.FlowFor):
        own = set(MARK.findall(node.targets))
        found = dict.fromkeys(MARK.findall(node.iterable)) | names_read(node.body)
        return {n: None for n in found if n not in own}
    if isinstance(node, tuple) and not hasattr(node, "_fields"):
        out: dict[str, None] = {}
        for item in node:
            out |= names_read(item)
        return out
    if isinstance(node, ir.Var):
        return {node.name: None}
    out = {}
    if isinstance(node, tuple) and not isinstance(node, LEAVES):
        for field in node:
            if isinstance(field, tuple):
                out |= names_read(field)
            elif isinstance(field, str) and "ꞏ" in field:
                out |= dict.fromkeys(MARK.findall(field))
    return out


def targets_of(let: ir.Let) -> set[str]:
    """The names that an assignment binds."""
    return {name.strip("() ") for name in let.target.split(",")}


def flat_targets(target: ir.Target) -> set[str]:
    """The names in the target of a line of `forward`."""
    return {target} if isinstance(target, str) else set().union(*map(flat_targets, target))


def moved(flow: Iterable[ir.Flow]) -> set[str]:
    """The variables that lines of `forward` assign."""
    found: set[str] = set()
    for statement in flow:
        if isinstance(statement, ir.Assign):
            found |= flat_targets(statement.target)
        elif isinstance(statement, ir.FlowIf):
            found |= moved((*statement.then, *statement.otherwise))
        elif isinstance(statement, ir.FlowFor):
            found |= moved(statement.body)
    return found


def needed(statements: tuple[Any, ...], after: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """The statements without the assignments that nothing reads."""
    kept, _ = _live(statements, set(after))
    return kept


def _live(statements: tuple[Any, ...], live: set[str]) -> tuple[tuple[Any, ...], set[str]]:
    behind = frozenset(live)
    out: list[Any] = []
    for statement in reversed(statements):
        if isinstance(statement, ir.Let):
            if not targets_of(statement) & live:
                continue
            if "," in statement.target:
                unread = targets_of(statement) - live
                statement = ir.Let(re.sub(r"[\wǀ]+", lambda m, u=unread: "_" if m.group() in u else m.group(),  # type: ignore[misc]
                                          statement.target), statement.code)  # fmt: skip
            live = (live - targets_of(statement)) | set(names_read(statement))
            out.append(statement)
        elif isinstance(statement, (ir.BuildIf, ir.FlowIf)):
            then, a = _live(statement.then, set(live))
            otherwise, b = _live(statement.otherwise, set(live))
            if not then and not otherwise:
                continue
            live = live | a | b if not otherwise or not then else a | b
            live |= set(MARK.findall(statement.condition))
            out.append(type(statement)(statement.condition, then, otherwise))
        elif isinstance(statement, (ir.BuildFor, ir.FlowFor)):
            inner = set(live)
            while True:
                body, again = _live(statement.body, set(inner))
                if again <= inner:
                    break
                inner |= again
            own = MARK.findall(statement.targets)
            kept = tuple(mark(name) for name in own if name in live)
            if not body and not kept:
                continue
            live = (inner - set(own)) | set(MARK.findall(statement.iterable))
            out.append(type(statement)(statement.targets, statement.iterable, body, kept))
        elif isinstance(statement, ir.Register) and isinstance(statement.made, ir.Series):
            body, live = _live(statement.made.body, live)
            first = next((i for i, st in enumerate(body) if not isinstance(st, ir.Let)), len(body))
            series = ir.Series(statement.made.owner, body[first:])
            out.append(ir.Register(statement.owner, statement.label, series))
            out += reversed(body[:first])
            live |= set(MARK.findall(statement.label or "")) | set(MARK.findall(statement.owner))
        else:
            live = live | set(names_read(statement))
            out.append(statement)
    return tuple(_coalesced(_joined(out[::-1], behind), behind)), live


def _coalesced(statements: list[Any], behind: frozenset[str]) -> list[Any]:
    """One variable where a second one only carries the first through a block: `b = a … b … a = f(b)`.

    `behind` are the variables that are read behind the block.
    """
    for i, first in enumerate(statements):
        if not isinstance(first, ir.Let) or "ǀ" not in first.target or not MARK.fullmatch(first.code):
            continue
        (carried,) = MARK.findall(first.code)
        last = next(
            (j for j in range(i + 1, len(statements)) if isinstance(statements[j], ir.Let)
             and statements[j].target == carried), None,
        )  # fmt: skip
        if last is None or "ǀ" not in carried or first.target in behind:
            continue
        between, after = statements[i + 1 : last], repr(statements[last + 1 :])
        own = f"ꞏ{first.target}ꞏ"
        if f"ꞏ{carried}ꞏ" in repr(between) or carried in statements[last].code or own in after:
            continue
        renamed = [_renamed(st, first.target, carried) for st in (*between, statements[last])]
        if isinstance(renamed[-1], ir.Let) and renamed[-1].code == f"ꞏ{carried}ꞏ":
            renamed.pop()
        return _coalesced([*statements[:i], *renamed, *statements[last + 1 :]], behind)
    return statements


def _renamed(node: Any, old: str, new: str) -> Any:
    """A statement with another name for a variable."""
    if isinstance(node, str):
        return new if node == old else node.replace(f"ꞏ{old}ꞏ", f"ꞏ{new}ꞏ")
    if isinstance(node, tuple) and not isinstance(node, TensorType):
        items = [_renamed(item, old, new) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)
    return node


def _joined(statements: list[Any], behind: frozenset[str]) -> list[Any]:
    """`t = e` and then `v = t` are one assignment, where nothing else reads `t`, in the block or behind it."""
    out: list[Any] = []
    for i, statement in enumerate(statements):
        last = out[-1] if out else None
        if isinstance(statement, ir.Let) and isinstance(last, ir.Let) and statement.code == f"ꞏ{last.target}ꞏ":
            later = "".join(map(repr, statements[i + 1 :]))
            if "ǀ" in last.target and last.target not in behind and f"ꞏ{last.target}ꞏ" not in later:
                out[-1] = ir.Let(statement.target, last.code)
                continue
        out.append(statement)
    return out


def read_constants(statements: tuple[Any, ...], constants: set[str], live: set[str]) -> tuple[Any, ...]:
    """The statements without the lines of constant tensors that nothing behind them reads; `live` gets what is read."""
    out: list[Any] = []
    for statement in reversed(statements):
        if isinstance(statement, ir.Assign) and _bound(statement.target) <= constants:
            if _bound(statement.target) & live:
                live |= _variables(statement.value)
                out.append(statement)
            continue
        if isinstance(statement, (ir.BuildIf, ir.FlowIf)):
            then = read_constants(statement.then, constants, live)
            otherwise = read_constants(statement.otherwise, constants, live)
            statement = type(statement)(statement.condition, then, otherwise)
            if not then and not otherwise:
                continue
        elif isinstance(statement, (ir.BuildFor, ir.FlowFor)):
            live |= _variables(statement.body)
            inner = read_constants(statement.body, constants, live)
            statement = replace(statement, body=inner)
            if not inner and isinstance(statement, ir.FlowFor) and not statement.kept:
                continue
        else:
            live |= _variables(statement)
        out.append(statement)
    return tuple(out[::-1])


def _bound(target: ir.Target) -> set[str]:
    return {target} if isinstance(target, str) else {n for part in target for n in _bound(part)}


def _variables(node: object) -> set[str]:
    """The names of tensors that a node reads."""
    found: set[str] = set()
    todo = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, ir.Var):
            found.add(item.name)
        elif isinstance(item, tuple) and not isinstance(item, LEAVES):
            todo += item
    return found
