"""What differs between programs, told by setting and not by line.

In: the texts of programs, each with what `--set` gave. Out: their settings under flat names (`train.optimizer.lr`,
`LeNet.classes`), and the lines of networks and modules that are not the same. Layout and comments count for nothing.
A program that doesn't parse has no settings. Leaves printing to `text`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from netc import syntax as s
from netc.diagnostics import Report
from netc.formatter import print_tree
from netc.overrides import apply
from netc.parser import parse
from netc.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NOWHERE = Span(0, 0)


class Flat(NamedTuple):
    """A program as a table: settings by name, and the canonical lines of each network and module."""

    settings: dict[str, str]
    bodies: dict[str, list[str]]


def flatten(text: str, settings: Mapping[str, str]) -> Flat | None:
    """A program as a table, with what `--set` gave in its place; None where it doesn't parse."""
    report = Report()
    source = Source(text, "<run>")
    file = parse(source, report)
    if file is None or report.failed:
        return None
    file = apply(file, settings, source, report)
    found = Flat({}, {})
    for definition in file.definitions:
        _definition(definition, found)
    return found


def _definition(d: s.Definition, found: Flat) -> None:
    if isinstance(d, s.Section):
        for entry in d.entries:
            if isinstance(entry, s.Setting):
                _chain(f"{d.name.text}.{entry.key.text}", entry.value, found.settings)
    elif isinstance(d, (s.Network, s.Module)):
        for param in d.params:
            if param.default is not None:
                found.settings[f"{d.name.text}.{param.name.text}"] = _text(param.default)
        found.bodies[d.name.text] = print_tree(s.File((d,), d.span)).rstrip("\n").split("\n")[1:-1]
    elif isinstance(d, s.Constant) and d.params is None:
        found.settings[d.name.text] = _text(d.value)
    elif isinstance(d, (s.Constant, s.Variant)):
        found.settings[d.name.text] = print_tree(s.File((d,), d.span)).strip().partition(" = ")[2]


def _chain(key: str, chain: s.Chain, settings: dict[str, str]) -> None:
    """A setting; a call's arguments with names are settings of their own."""
    step = chain.links[0].step
    groups: Iterable[s.Edit] = ()
    if isinstance(step, s.Edited):
        groups, step = step.edits, step.value
    if len(chain.links) > 1 or not isinstance(step, s.Call):
        settings[key] = _line(s.Setting(s.Ident("x", _NOWHERE), chain, _NOWHERE))
        return
    plain = tuple(a for a in step.arguments if a.name is None)
    settings[key] = _text(s.Call(step.callee, plain, _NOWHERE) if plain else step.callee)
    for argument in step.arguments:
        if argument.name is not None:
            settings[f"{key}.{argument.name.text}"] = _text(argument.value)
    for group in groups:
        for entry in group.value if isinstance(group.value, tuple) and type(group.value) is tuple else ():
            if isinstance(entry, s.Setting):
                _chain(f'{key}."{group.path.value}".{entry.key.text}', entry.value, settings)


def _text(value: s.Expr) -> str:
    link = s.Link(None, value, _NOWHERE)
    return _line(s.Setting(s.Ident("x", _NOWHERE), s.Chain((link,), _NOWHERE), _NOWHERE))


def _line(setting: s.Setting) -> str:
    """What stands to the right of a setting's `=`, on one line."""
    section = s.Section(s.Ident("data", _NOWHERE), (setting,), _NOWHERE)
    text = print_tree(s.File((section,), _NOWHERE))
    return " ".join(text.strip().removeprefix("data {").removesuffix("}").split()).removeprefix("x = ")


def differing(programs: Sequence[Flat]) -> dict[str, tuple[str | None, ...]]:
    """The settings that are not the same in all programs, with the value in each, None where it has none."""
    keys = list(dict.fromkeys(key for program in programs for key in program.settings))
    rows = {key: tuple(program.settings.get(key) for program in programs) for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def lines_changed(one: Flat, other: Flat) -> dict[str, list[str]]:
    """For each network or module whose lines differ, those left out (`-`) and those new (`+`)."""
    out = {}
    for name in dict.fromkeys([*one.bodies, *other.bodies]):
        before, after = one.bodies.get(name, []), other.bodies.get(name, [])
        if before != after:
            delta = difflib.ndiff(before, after, linejunk=None, charjunk=None)
            out[name] = [line for line in delta if line[0] in "-+"]
    return out
