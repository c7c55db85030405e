"""A file and what it brings: its constants, formulas, modules and networks, with those of the files that it imports.

In: a parsed file, and a function that gives the text of another one. Out: a `Unit`, in which every name that the file
may use has its meaning. Guarantees: the order of definitions doesn't matter; a name defined twice, a constant that
needs itself, a file that imports itself are reported. Leaves to others: what a body means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netc import limits, parser
from netc import syntax as s
from netc.checker.expressions import ERROR, Evaluator
from netc.checker.python_text import names
from netc.checker.values import Formula
from netc.diagnostics import Label, Report
from netc.identifiers import python_name, valid_name
from netc.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.diagnostics import Diagnostic
    from netc.foreign.source import PythonFile

    Loader = Callable[[str, Source], "Source | str"]  # the file of an import, or the reason why there is none


class Definition:
    """A module or network, compared by identity. `kind` is "module", "network", "inline" or "variant"."""

    __slots__ = ("base", "body", "kind", "name", "node", "params", "span", "unit")

    def __init__(self, node: s.Module | s.Network | s.Variant | s.Inline, name: str, unit: Unit, kind: str) -> None:
        self.node = node
        self.name = name
        self.unit = unit
        self.kind = kind
        self.span = node.span if isinstance(node, s.Inline) else node.name.span
        self.params: tuple[s.Param, ...] = () if isinstance(node, s.Inline) else node.params
        self.body: s.Body = s.Body((), node.span) if isinstance(node, s.Variant) else node.body
        self.base: Any = None  # of a variant: the definition that it fills in


class Unit:
    """One file: the values of its constants, and its definitions by name, imported ones included."""

    def __init__(self, source: Source, file: s.File) -> None:
        self.source = source
        self.file = file
        self.constants: dict[str, Any] = {}
        self.order: list[s.Constant] = []  # the constants in an order in which each needs only those before it
        self.definitions: dict[str, Definition] = {}
        self.python: dict[str, Entry] = {}  # classes and functions of `use`d files
        self.files: list[PythonFile] = []
        self.own: list[Definition] = []
        self.brought: list[Unit] = []
        self.incomplete = False  # an import is missing, so that a name that isn't there may be its
        self.first = False  # whether it is the file that is checked, and not one that it imports
        self.lost = lost_words(source, file.definitions)  # of definitions that didn't parse
        self.fixed: dict[str, dict[str, tuple[Any, str]]] = {}  # of each variant: parameters, with values and code

    def lacks(self, name: str) -> bool:
        """Whether a name that isn't there may be missing because of another mistake."""
        return self.incomplete or name in self.lost


def lost_words(source: Source, statements: tuple[Any, ...]) -> frozenset[str]:
    """The words in the lines of what didn't parse: names that may have been defined there."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, s.Broken):
            first, last = (source.position(at)[0] for at in statement.span)
            found.update(word for n in range(first, last + 1) for word in re.findall(r"\w+", source.line(n)))
    return frozenset(found)


def load(file: s.File, source: Source, report: Report, loader: Loader | None) -> Unit:
    """The unit of a file, with what it imports."""
    return _Loading(report, loader).unit(file, source)


class _Loading:
    def __init__(self, report: Report, loader: Loader | None) -> None:
        self.report = report
        self.loader = loader
        self.units: dict[str, Unit] = {}
        self.files: dict[str, PythonFile] = {}
        self.open: list[str] = []

    def unit(self, file: s.File, source: Source) -> Unit:
        unit = Unit(source, file)
        unit.first = not self.open
        self.open.append(source.name)
        places: dict[str, Span] = {}
        for definition in file.definitions:
            if isinstance(definition, s.Import):
                self.bring(unit, definition)
            elif isinstance(definition, s.Use):
                from netc.checker.python_files import use

                failed = self.report.count
                use(self.report, self.loader, self.files, unit, definition)
                unit.incomplete = unit.incomplete or self.report.count > failed
        for definition in file.definitions:
            if not isinstance(definition, (s.Import, s.Use, s.Section, s.Broken)):
                self.define(unit, definition, places)
        _Constants(unit, self.report).evaluate_all()
        self.open.pop()
        return unit

    def define(self, unit: Unit, node: Any, places: dict[str, Span]) -> None:
        name = node.name.text
        if name in places:
            self.report.add(
                "E0208", f"`{name}` is defined twice", node.name.span, "again",
                secondary=[Label(places[name], "first here")], help="rename one of them",
            )  # fmt: skip
        places[name] = node.name.span
        if isinstance(node, s.Constant):
            return
        kind = {s.Module: "module", s.Network: "network", s.Variant: "variant"}[type(node)]
        made = Definition(node, name, unit, kind)
        unit.definitions[name] = made
        unit.own.append(made)

    def bring(self, unit: Unit, node: s.Import) -> None:
        path = node.path.value
        failed = self.report.count
        self.look_up(unit, node, path)
        unit.incomplete = unit.incomplete or self.report.count > failed

    def look_up(self, unit: Unit, node: s.Import, path: str) -> None:
        if path.endswith(".py"):
            self.report.add(
                "E0228", f'"{path}" can\'t be imported: it is no .net file', node.path.span,
                help=f'a Python file is brought in with `use "{path}"`',
            )  # fmt: skip
            return
        if self.loader is None:
            self.report.add("E0228", f'"{path}" can\'t be imported: this text has no place on the disk', node.span)
            return
        found = self.loader(path, unit.source)
        if isinstance(found, str):
            self.report.add("E0228", f'"{path}" can\'t be imported: {found}', node.path.span)
            return
        if len(self.open) > limits.IMPORT_LEVELS:
            message = f"files import files here, more than {limits.IMPORT_LEVELS} one after the other"
            self.report.add("E0114", message, node.path.span, help="write them into one file")
            return
        if max(len(self.units), len(unit.brought)) >= limits.FILES or limits.meter.words > limits.WORDS:
            message = f"this program imports more than {limits.FILES} files, or {limits.WORDS:,} words"
            self.report.add("E0116", message, node.path.span, help="import less")
            return
        if found.name in self.open:
            circle = " -> ".join([*self.open[self.open.index(found.name) :], found.name])
            self.report.add(
                "E0229", "these files import each other in a circle", node.path.span, notes=[circle],
                help="put what both need into a file of its own",
            )  # fmt: skip
            return
        if found.name not in self.units:
            inner = Report()
            file = parser.parse(found, inner)
            if file is None or inner.failed:
                first = inner.errors[0]
                reason = f"line {found.position(first.primary.span.start)[0]}: {first.message}"
                self.report.add(
                    "E0230", f'"{path}" has mistakes', node.path.span, notes=[reason],
                    help=f"run `netc check {found.name}`",
                )  # fmt: skip
                return
            own = Report()
            outer, self.report = self.report, own
            self.units[found.name] = self.unit(file, found)
            self.report = outer
            if own.failed and own.errors[0].code == "E0713":
                first = own.errors[0]
                where = f"in {found.name}, line {found.position(first.primary.span.start)[0]}"
                self.report.add("E0713", first.message, node.path.span, "brings it", notes=[*first.notes, where],
                                help=first.help)  # fmt: skip
            elif own.failed:
                self.report.add(
                    "E0230", f'"{path}" has mistakes', node.path.span, notes=[_reason(own.errors[0])],
                    help=f"run `netc check {found.name}`",
                )  # fmt: skip
        brought = self.units[found.name]
        if brought not in unit.brought:
            unit.definitions |= brought.definitions
            unit.constants |= brought.constants
        unit.brought.append(brought)


def _reason(found: Diagnostic) -> str:
    """A mistake of another file in one sentence; behind several files the last one's."""
    if found.code == "E0230" and found.notes:
        return found.notes[0]
    return f"{found.message}: {found.notes[0]}" if found.code == "E0229" and found.notes else found.message


class _Constants(Evaluator):
    """Evaluates the constants of a file, each when it is first needed."""

    def __init__(self, unit: Unit, report: Report) -> None:
        super().__init__(report, dict(unit.constants))
        self.unit = unit
        self.nodes = {d.name.text: d for d in unit.file.definitions if isinstance(d, s.Constant)}
        self.open: list[str] = []

    def evaluate_all(self) -> None:
        for name in self.nodes:
            self.need(name)
        self.unit.constants = self.env

    def need(self, name: str) -> None:
        node = self.nodes.get(name)
        if node is None or name in self.env:
            return
        if name in self.open:
            what = "constant" if node.params is None else "formula"
            self.report.add("E0227", f"the {what} `{name}` needs itself", node.name.span)
            self.env[name] = ERROR
            return
        if len(self.open) >= limits.CONSTANT_LEVELS:
            self.report.add(
                "E0114", f"more than {limits.CONSTANT_LEVELS} constants stand on one that is defined below them",
                node.name.span, help="define each before those that need it",
            )  # fmt: skip
            self.env[name] = ERROR
            return
        if self.unit.first:
            limits.meter.place = node.span
        self.open.append(name)
        own = {p.name.text for p in node.params or ()}
        for other in names(node.value):
            if other not in own:
                self.need(other)
        for callee in _callees(node.value):
            self.need(callee)
        self.open.pop()
        if name in self.env:
            return
        if not valid_name(name, node.name.span, self.report) or not self.may_define(node):
            self.env[name] = ERROR
        elif node.params is not None:
            self.env[name] = Formula(name, node.params, node.value, self.env)
        else:
            self.env[name] = self.evaluate(node.value)
        if self.env[name] is not ERROR:
            self.unit.order.append(node)

    def may_define(self, node: s.Constant) -> bool:
        """Whether a formula may have its name and those of its parameters; reported where not."""
        name = node.name.text
        if node.params is not None and python_name(name) != name:
            self.report.add(
                "E0212", f"a formula can't be called `{name}`, which means something else in generated code",
                node.name.span, help=f"call it `{name}_of`",
            )  # fmt: skip
            return False
        return all(valid_name(p.name.text, p.name.span, self.report) for p in node.params or ())

    def definition(self, name: str) -> Definition | None:
        return self.unit.definitions.get(name)

    def unknown(self, expr: s.Name) -> Any:
        return ERROR if self.unit.lacks(expr.text) else super().unknown(expr)

    def python(self, name: str) -> Entry | None:
        return self.unit.python.get(name)

    def layer_call(self, expr: s.Call, callee: s.Expr) -> Any:
        from netc.checker.references import reference

        return reference(self, expr, callee)


def _callees(expr: object) -> list[str]:
    """The names that an expression calls."""
    if isinstance(expr, s.Call) and isinstance(expr.callee, s.Name):
        return [expr.callee.text, *_callees(expr.arguments)]
    return [n for item in expr for n in _callees(item)] if isinstance(expr, tuple) else []
