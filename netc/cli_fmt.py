"""`netc fmt`: programs in their canonical form.

In: files, folders, or the standard input. Out: the files themselves, written only where something changes; or what
would change. Files with syntax errors are reported and left alone, and the others go on.
"""

from __future__ import annotations

import codecs
import difflib
import sys
from pathlib import Path
from typing import NamedTuple

import click

from netc import compiler
from netc.cli import Failed, cli, print_error, quiet_option, show, verbose_option
from netc.diagnostics import LIMIT, Report, TooMany
from netc.files import find_programs, read_input, read_program, rewrite
from netc.formatter import format_text
from netc.render import visible
from netc.runtime.errors import UserError
from netc.source import Source


class _Result(NamedTuple):
    """A file as it is and as it should be. `changed` may hold where the texts are equal: a byte-order mark goes."""

    name: str
    before: str
    after: str
    path: Path | None
    changed: bool


@cli.command()
@click.argument("files", nargs=-1, type=click.Path(allow_dash=True), metavar="[FILE]...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; list what would change, and exit with 1.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@quiet_option
@verbose_option
def fmt(files: tuple[str, ...], only_check: bool, diff: bool, quiet: bool) -> None:
    """Bring programs into their canonical form; comments stay where they belong.

    FILE is a .net file, a folder, whose .net files are meant, or - for the standard input. Left out, it is this folder.

    \b
    Examples:
      netc fmt
      netc fmt lenet.net --diff
      netc fmt --check models examples
    """
    results, failed = _results(files)
    changed = [r for r in results if r.changed]
    for result in results:
        if diff:
            _print(_diff(result))
        elif result.path is None and not only_check:
            _print(result.after)
        elif result.changed:
            _deal_with(result, only_check, quiet)
    if not (changed or diff or quiet or failed) and all(r.path is not None for r in results):
        count = len(results)
        click.echo(f"{count} file{'s need' if count > 1 else ' needs'} no change")
    if failed or (only_check and changed):
        raise Failed


def _results(files: tuple[str, ...]) -> tuple[list[_Result], bool]:
    """What becomes of each file, and whether there was one that can't be read or parsed."""
    own = [str(path) for path in find_programs(Path())] if not files else []
    names = own + [name for given in files for name in _named(given)]
    found = [_formatted(name) for name in dict.fromkeys(names)]
    results = [result for result in found if result is not None]
    return results, len(results) < len(found)


def _named(given: str) -> list[str]:
    if given == "-" or not Path(given).is_dir():
        return [given]
    return [str(path) for path in find_programs(Path(given), below=True)]


def _formatted(name: str) -> _Result | None:
    """What becomes of one file, or None where it can't be, which has been printed."""
    path = None if name == "-" else Path(name)
    try:
        text = read_input() if path is None else read_program(path)
    except UserError as problem:
        print_error(problem)
        return None
    source = Source(text, "<stdin>" if path is None else name)
    report = Report(limit=LIMIT)
    try:
        after = format_text(source, report)
    except TooMany:
        after = None
    if after is None:
        show(report.diagnostics, compiler.Checked(source, None, report.diagnostics))
        return None
    changed = after != text or (path is not None and _has_mark(path))
    return _Result(source.name, text, after, path, changed)


def _has_mark(path: Path) -> bool:
    """Whether a file begins with a byte-order mark."""
    with path.open("rb") as file:
        return file.read(3) == codecs.BOM_UTF8


def _deal_with(result: _Result, only_check: bool, quiet: bool) -> None:
    if only_check:
        click.echo(f"would format {result.name}")
        return
    assert result.path is not None
    rewrite(result.path, result.after)
    if not quiet:
        click.echo(f"formatted {result.name}")


def _diff(result: _Result) -> str:
    """The change as a unified diff; nothing where there is none to see."""
    before, after = (_lines(text) for text in (result.before, result.after))
    made = difflib.unified_diff(before, after, result.name, result.name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)


def _lines(text: str) -> list[str]:
    """The lines with their ends; Python's own way would also end them at a form feed and others."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _print(text: str) -> None:
    """Print a text as it is, byte by byte; on a terminal without control characters."""
    sys.stdout.flush()
    if sys.stdout.isatty():
        text = "\n".join(map(visible, text.split("\n")))
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
