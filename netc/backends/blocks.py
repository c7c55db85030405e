"""What holds lines of generated code: indented blocks, `if` and `for`, signatures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netc import ir
from netc.backends.expression_text import negated, split_items
from netc.backends.layout import fits

if TYPE_CHECKING:
    from collections.abc import Iterator


def loop_header(statement: ir.FlowFor | ir.BuildFor, body: str) -> tuple[str, str]:
    """The head of a loop with no more names than its body reads, and what follows it."""
    names = re.findall(r"\w+", statement.targets)
    read = {n for n in names if n in statement.kept or re.search(rf"\b{re.escape(n)}\b", body)}
    targets = split_items(statement.targets) or [statement.targets]
    match = re.fullmatch(r"enumerate\(([\w.]+)\)", statement.iterable)
    if match and len(targets) == 2:
        used = [t for t in targets if read & set(re.findall(r"\w+", t))]
        if used == [targets[0]]:
            return targets[0], f"range(len({match.group(1)}))"
        if used == [targets[1]]:
            inner = targets[1][1:-1] if targets[1].startswith("(") else targets[1]
            return _unread(inner, read), match.group(1)
    return _unread(statement.targets, read), statement.iterable


def _unread(targets: str, read: set[str]) -> str:
    """The names of a loop, `_` for those that its body doesn't read."""
    return re.sub(r"\w+", lambda m: m.group() if m.group() in read else "_", targets)


def branches(condition: str, then: list[str], otherwise: list[str]) -> Iterator[str]:
    """The lines of an `if`, of whose branches one may have nothing to do."""
    if not then and otherwise:
        condition, then, otherwise = negated(condition), otherwise, []
    yield f"if {condition}:"
    yield from indented(iter(then or ["pass"]))
    if not otherwise:
        return
    alone = otherwise[0].startswith("if ") and all(
        x[:1] == " " or x.startswith(("elif ", "else:")) for x in otherwise[1:]
    )
    if alone:
        yield f"el{otherwise[0]}"
        yield from otherwise[1:]
    else:
        yield "else:"
        yield from indented(iter(otherwise))


def indented(lines: Iterator[str]) -> Iterator[str]:
    """The lines of a block, one level deeper."""
    return (f"    {line}" if line else line for line in lines)


def signature(lead: str, parameters: list[str], tail: str, indent: int) -> Iterator[str]:
    """`def f(a, b):`, over several lines where it doesn't fit on one."""
    flat = lead + ", ".join(parameters) + tail
    if fits(flat, indent):
        yield flat
    else:
        yield lead
        yield from (f"    {p}," for p in parameters)
        yield tail
