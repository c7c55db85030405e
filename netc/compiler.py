"""The whole compiler on one page: text to a checked program, and a checked program to the files that it makes.

It reads and writes nothing but what it is given: the command line does that. Stages: parse, override, check, verify,
emit, rehearse.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netc import limits, parser
from netc.backends import model
from netc.checker import check
from netc.diagnostics import LIMIT, Diagnostic, Report, TooMany
from netc.fixes import settled
from netc.ir import Network, Program
from netc.overrides import apply as override
from netc.silences import Silences
from netc.source import Source, Span
from netc.verify import verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc.checker.units import Loader
    from netc.diagnostics import Fix


_OF_LAYOUT = {"E0102", "E0104", "E0105"}
_OF_SYNTAX = {"E0106", "E0108", "E0111"}


class Checked(NamedTuple):
    """What came of a text: its program, unless a diagnostic is an error; and what its comments silence."""

    source: Source
    program: Program | None
    diagnostics: tuple[Diagnostic, ...]
    silenced: tuple[Diagnostic, ...] = ()


class Files(NamedTuple):
    """What a program makes: the texts of model.py and train.py, and files that lie beside them (source, target)."""

    model: str
    train: str | None
    shipped: tuple[tuple[Path, str], ...] = ()


def analyse(
    text: str,
    name: str = "<text>",
    stem: str = "network",
    settings: Mapping[str, str] | None = None,
    loader: Loader | None = None,
) -> Checked:
    """Parse and check a text. `settings` overrides constants, parameters and settings, as `--set` does.

    `loader` gives the text of an imported file: (its path as written, the file that imports it) -> a `Source`, or the
    reason why there is none.
    """
    collecting = gc.isenabled()
    limits.begin()
    gc.disable()  # trees hold no cycles, and looking for some takes a quarter of the time of a long file
    try:
        return _analyse(text, name, stem, settings or {}, loader)
    finally:
        if collecting:
            gc.enable()


def _analyse(text: str, name: str, stem: str, settings: Mapping[str, str], loader: Loader | None) -> Checked:
    source = Source(text, name)
    silences = Silences(source, parser.tables())
    report = Report(silences.covers, LIMIT)
    try:
        program = _checked(source, report, stem, settings, loader)
        silences.report_unused(report)
    except TooMany:
        program, report.limit = None, None
        report.add(
            "E0115",
            f"there are more than {LIMIT} mistakes, and the rest is not reported",
            Span(len(text), len(text)),
            help="mend these first; is it the right file?",
        )
    if any(d.code.startswith("E01") for d in report.errors):
        from netc.pasted import other_language

        other = Report(silences.covers)
        if other_language(source, other):
            report = other
    found = report.diagnostics
    codes = {d.code for d in found}
    found = tuple(d if d.fix is None else d._replace(fix=_certain(d, codes, settings, text)) for d in found)
    silenced = tuple(sorted(report.silenced.values(), key=lambda d: (d.primary.span, d.code)))
    return Checked(source, None if report.failed else program, found, tuple(d._replace(fix=None) for d in silenced))


def _certain(diagnostic: Diagnostic, codes: set[str], settings: Mapping[str, str], text: str) -> Fix | None:
    """The fix of a diagnostic, unless something else makes it doubtful."""
    # With settings, what is at fault may be a value that doesn't stand in the text; with a bracket or a quote gone,
    # what doesn't fit may only seem not to.
    doubtful = settings or (diagnostic.code in _OF_SYNTAX and codes & _OF_LAYOUT)
    return None if doubtful or diagnostic.fix is None else settled(diagnostic.fix, text)


def _checked(
    source: Source, report: Report, stem: str, settings: Mapping[str, str], loader: Loader | None
) -> Program | None:
    file = parser.parse(source, report)
    if file is None:
        return None
    try:
        file = override(file, settings, source, report)
        program = check(file, source, report, stem, loader)
        if program is not None:
            verify(program)
    except limits.Unwieldy:
        _unwieldy(report)
        return None
    except limits.Exhausted:
        _exhausted(report)
        return None
    except RecursionError:
        _too_deep(report)
        return None
    return program


def _exhausted(report: Report) -> None:
    report.add(
        "E0116",
        f"following this program takes more than {limits.total():,} steps",
        limits.meter.place or Span(0, 1),
        "here they were used up",
        notes=["turns of loops, items of lists, and layers count, those in modules each time that they are built"],
        help="build fewer layers, or shorter lists",
    )


def _unwieldy(report: Report) -> None:
    report.add(
        "E0116",
        "a size here is too long an expression",
        limits.meter.place or Span(0, 1),
        notes=[f"it has more than {limits.SIZE_TERMS} names, or {limits.SIZE_LEVELS} divisions in each other"],
        help="give the inputs their sizes as numbers",
    )


def _too_deep(report: Report) -> None:
    report.add(
        "E0114",
        "what is built here is nested too deeply to be followed",
        limits.meter.place or Span(0, 1),
        help="hold fewer modules or values in each other",
    )


def emit(program: Program, networks: Sequence[Network] | None = None) -> Files:
    """The files of a checked program; train.py only where it has both data and training.

    Raises `Disagreement` where model.py would not be what was checked, which is a bug of netc.
    """
    from netc.rehearsal import rehearse

    limits.meter.left = limits.total()  # what was checked has paid for itself; sizes are still computed with
    text = model.emit(program, networks)
    rehearse(text, networks or program.networks, program.python)
    python = tuple((Path(p), Path(p).name) for file in model.python_files(program, text) for p in file.paths)
    if program.train is None or program.data is None or program.trained is None:
        return Files(text, None, python)
    from netc.backends import training

    train, shipped = training.emit_program(program)
    return Files(text, train, tuple(dict.fromkeys((*shipped, *python))))
