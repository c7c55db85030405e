"""What the readers of the sections `data` and `train` have in common: values, names, calls with their arguments.

In: settings as parsed. Out: their values, or `ERROR` for one that is wrong, which is in the report then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.settings import SETTINGS
from netc.checker import section_fixes
from netc.checker.arguments import bind, ordered
from netc.checker.expressions import ERROR, Evaluator, kind_of
from netc.checker.gaps import GAP
from netc.checker.habits import number_help, setting, torch_name
from netc.checker.python_text import names, text
from netc.checker.values import DType
from netc.diagnostics import nearest
from netc.fixes import rewrite
from netc.identifiers import python_name
from netc.ir import Arg
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Entry
    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Span


def values_of(read: tuple[Any, ...], left_out: tuple[Any, ...]) -> list[Any]:
    """The values of settings, with a gap for each that is wrong, and what is meant where one is left out."""
    return [GAP if a is ERROR else b if a is None else a for a, b in zip(read, left_out, strict=True)]


class Reader:
    """Reads settings of a section."""

    def __init__(self, report: Report, constants: dict[str, Any], python: frozenset[str] = frozenset()) -> None:
        self.report = report
        self.evaluator = Evaluator(report, constants)
        self.python = python  # what `use`d files define
        self.spans: dict[str, Span] = {}  # of the arguments of the call that was read last
        self.places: dict[Span, dict[str, Span]] = {}  # of the arguments of each call

    def required(
        self, section: s.Section, settings: Settings, key: str, example: str, read: Callable[[str, s.Chain], Any]
    ) -> Any:
        if key not in settings:
            if not any(_means(e, key, section.name.text) for e in section.entries):  # else that is reported
                self.report.add(
                    "E0512", f"`{section.name.text}` needs `{key}`", section.name.span, help=f"add `{example}`"
                )
            return ERROR
        return read(key, settings[key].value)

    def optional(self, section: s.Section, settings: Settings, key: str, read: Callable[[str, s.Chain], Any]) -> Any:
        if key not in settings:
            return ERROR if any(_means(e, key, section.name.text) for e in section.entries) else None
        return read(key, settings[key].value)

    def count(self, key: str, chain: s.Chain) -> Any:
        value = self.value(chain, "a positive integer")
        if value is ERROR or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        self.report.add(
            "E0508", f"`{key}` is a positive integer", chain.span, f"this is `{value!r}`", help=number_help(value),
            fix=section_fixes.count(chain, value),
        )  # fmt: skip
        return ERROR

    def single(self, chain: s.Chain, what: str) -> Any:
        """The one step of a chain that is no chain."""
        link = chain.links[0]
        if len(chain.links) > 1 or link.label is not None or isinstance(link.step, (s.Seq, s.Inline, s.Edited)):
            self.report.add("E0503", f"this is {what}, not a chain", chain.span)
            return ERROR
        return link.step

    def value(self, chain: s.Chain, what: str) -> Any:
        step = self.single(chain, what)
        return ERROR if step is ERROR else self.evaluator.evaluate(step)

    def named(
        self,
        callee: s.Expr,
        chain: s.Chain,
        kind: str,
        find: Callable[[str], Entry | None],
        known: Callable[[], list[str]],
    ) -> Any:
        if not isinstance(callee, s.Name):
            if isinstance(callee, s.Attribute):
                last = callee.name.text
                fix = rewrite(callee.span, last) if find(last) is not None else None
                self.report.add(
                    "E0219", f"it goes by its last name: `{last}`", callee.span, help=f"write `{last}`", fix=fix
                )
            else:
                self.report.add(
                    "E0506",
                    f"this is no {kind}, but {_what(callee)}",
                    chain.span,
                    help=f"name it as torch does, as in `{_named_in(callee, known()) or _EXAMPLES[kind]}`",
                    fix=section_fixes.without_quotes(callee, known()),
                )
            return ERROR
        entry = find(callee.text)
        if entry is None and callee.text in self.python:
            return self.evaluator.not_yet(callee.span, f"a {kind} of a Python file")
        if entry is None:
            near = torch_name(callee.text, known()) or nearest(callee.text, known())
            self.report.add(
                "E0202",
                f"there is no {kind} `{callee.text}`",
                callee.span,
                help=f"did you mean `{near}`?" if near else f"it goes by torch's name, as in `{_EXAMPLES[kind]}`",
                fix=section_fixes.same_words(callee, known()),
            )
            return ERROR
        return entry

    def call(self, entry: Entry, step: s.Expr, filled: dict[str, Any] | None = None) -> Any:
        """A call with its arguments bound; `filled` are those that follow from the run, unless they are given."""
        arguments = step.arguments if isinstance(step, s.Call) else ()
        bound = bind(entry, arguments, step.span, self.evaluator, self.code, filled=filled or ())
        self.spans = self.places[step.span] = bound.spans
        follows = {n: v for n, v in (filled or {}).items() if n not in bound.args}
        if not bound.ok or ERROR in follows.values():  # what would follow from a setting that is wrong itself
            return ERROR
        given = {n: a._replace(value=a.value.name) if isinstance(a.value, DType) else a for n, a in bound.args.items()}
        args = {n: Arg(v, literal(v)) for n, v in follows.items()} | given
        return ir.Call(entry, ordered(entry, args), step.span)

    def code(self, expr: s.Expr, value: Any) -> str:
        """The Python of an argument: a number or list as it is written, anything that uses names as its value."""
        written = isinstance(expr, (s.Number, s.List, s.Tuple)) and not any(names(expr))
        return text(expr, python_name) if written else literal(value)


def _means(entry: s.Setting | s.Group | s.Broken, key: str, section: str) -> bool:
    """Whether a setting that is reported as wrong was probably meant as this one."""
    if isinstance(entry, s.Broken):
        return True
    if entry.key.text in SETTINGS.get(section, ()):
        return False
    return nearest(entry.key.text, (key,)) is not None or setting(section, entry.key.text) == key


_EXAMPLES = {"loss": "CrossEntropyLoss", "optimizer": "SGD(lr=0.1)", "scheduler": "CosineAnnealingLR"}


def _named_in(expr: s.Expr, known: list[str]) -> str | None:
    """What a string names, which should be a name."""
    word = expr.value if isinstance(expr, s.String) else ""
    return torch_name(word, known) or nearest(word, known)


def _what(expr: s.Expr) -> str:
    if isinstance(expr, (s.Number, s.String, s.Literal)):
        return kind_of(expr.value)
    return "an expression"
