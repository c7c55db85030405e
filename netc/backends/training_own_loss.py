"""Losses of a Python file in the script: how they are made and called, what is imported, what lies beside it.

In: the loss as checked. Out: pieces of Python, in which such a name stands as a mark of its length; what the mark is
replaced by is known once the rest of the script is. Guarantees: a name that the script has otherwise gets another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import ir
from netc.backends.layout import Text, call, fits
from netc.backends.training_images import python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netc.catalog.entry import Entry

_MARK = 0xE000  # of characters that no text has


def is_own(loss: ir.Call) -> bool:
    """Whether a loss is of a Python file."""
    return loss.entry.home.startswith("python:")


def holds(loss: ir.Call) -> bool:
    """Whether a loss of a Python file has tensors that have to be on the device."""
    shape: Any = loss.entry.rule.shape if loss.entry.rule is not None else None
    found: bool = shape.holds({n: arg.value for n, arg in loss.args.items()})
    return found


def mark(name: str) -> str:
    """What stands for a name until it is known how the script calls it."""
    return "".join(chr(_MARK + ord(c)) for c in name)


def constructed(name: str, loss: ir.Call, names: Mapping[str, str]) -> list[str]:
    """The constant that holds a loss."""
    types = {p.name: p.type for p in loss.entry.params}
    items = [Text(f"{argument}={python(arg.value, types[argument])}") for argument, arg in loss.args.items()]
    return list(call(f"{mark(names.get(loss.name, loss.name))}(", items, ")").lines(0, f"{name} = "))


def alone(loss: ir.Computed, names: Mapping[str, str]) -> str | None:
    """What is called with the one output and the label, where that is all of a loss."""
    expr = loss.training
    own = {name for name, one in loss.losses if is_own(one)}
    if not isinstance(expr, ir.Function) or not (expr.callee in own or expr.callee.startswith("python:")):
        return None
    given = [a.name if n is None and isinstance(a, ir.Var) else "" for n, a in expr.arguments]
    if given != [*loss.outputs, *loss.labels] or len(given) != 2 or len(loss.labels) != 1:
        return None
    name = expr.callee.removeprefix("python:")
    return name if expr.callee in own else mark(names.get(name, name))


def called(loss: ir.Computed, names: Mapping[str, str]) -> dict[str, str]:
    """What stands for the functions of Python files in the expressions of a loss."""
    return {f"python:{e.name}": mark(names.get(e.name, e.name)) for e in loss.functions}


def entries(loss: ir.Call | ir.Computed) -> list[Entry]:
    """What a loss takes from Python files."""
    if isinstance(loss, ir.Call):
        return []
    found = [one.entry for _, one in loss.losses if is_own(one)]
    return list({e.name: e for e in (*found, *loss.functions)}.values())


def aliases(loss: ir.Call | ir.Computed, code: str) -> dict[str, str]:
    """Other names for those that a script of this code has already."""
    code = re.sub("#.*", "", code)
    names = [e.name for e in entries(loss)]
    return {n: f"{n}{'Loss' if n[0].isupper() else '_loss'}" for n in names if re.search(rf"\b{re.escape(n)}\b", code)}


def imports(loss: ir.Call | ir.Computed, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The modules, each with a name that is taken from it, as the script calls it."""
    found = []
    for entry in entries(loss):
        module = entry.home.removeprefix("python:").replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        alias = names.get(entry.name)
        found.append((module, entry.name if alias is None else f"{entry.name} as {alias}"))
    return found


def named(text: str, loss: ir.Call | ir.Computed) -> str:
    """A text with the names in the place of their marks."""
    if not entries(loss):
        return text
    return re.sub("[\ue000-\ue07f]", lambda m: chr(ord(m[0]) - _MARK), text)


def merged(lines: list[str], further: list[tuple[str, str]]) -> list[str]:
    """Lines that import from modules, with further names from these or others; each module has one line."""
    found: dict[str, set[str]] = {}
    for line in lines:
        module, _, listed = line.removeprefix("from ").partition(" import ")
        found[module] = set(listed.split(", "))
    for module, name in further:
        found.setdefault(module, set()).add(name)
    out = []
    for module, names in found.items():
        ordered = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n.lower()))
        flat = f"from {module} import {', '.join(ordered)}"
        out.append(flat if fits(flat, 0) else "\n".join([flat[: flat.index(" import")] + " import (",
                                                         *(f"    {n}," for n in ordered), ")"]))  # fmt: skip
    return out


def companions(loss: ir.Call | ir.Computed) -> tuple[Path, ...]:
    """The Python files that a loss needs."""
    found: dict[Path, None] = {}
    for entry in entries(loss):
        shape: Any = entry.rule.shape if entry.rule is not None else None
        found |= dict.fromkeys(shape.file.companions)
    return tuple(found)
