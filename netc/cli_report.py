"""The page of a run: `report` makes it at any time, and `train` has it made while a run goes on and at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc import __version__, compiler
from netc.cli import cli, device_option, no_use_option, quiet_option, use_refused, verbose_option
from netc.cli_runs import find, folder_option
from netc.files import imported, imported_without_python
from netc.record import reading, text
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc import ir
    from netc.record.keeping import Keeper
    from netc.record.reading import Run


@cli.command()
@click.argument("run", required=False)
@device_option
@click.option("--no-evaluation", is_flag=True, help="Show what is there, and evaluate nothing; torch is not imported.")
@folder_option
@no_use_option
@quiet_option
@verbose_option
def report(run: str | None, device: str, no_evaluation: bool, folder: Path, quiet: bool) -> None:
    """Write report.html into the folder of a run: curves, evaluation, network, program, environment.

    RUN is a number, the program's name with or without a number (lenet/3), or a folder; left out, the newest run.

    \b
    Examples:
      netc report
      netc report 3
      netc report runs/lenet/003 --no-evaluation
    """
    from netc.report.making import make
    from netc.report.results import stored

    found = find(run, folder)
    program, source, note = _program(found)
    files = compiler.emit(program) if program is not None and program.train is not None else None
    result_note = ""
    if stored(found.folder) is None and files is not None and files.train is not None:
        result_note = "It was not asked for, with --no-evaluation."
        if not no_evaluation and found.state == reading.RUNNING:
            result_note = "It is made when the run has ended."
        elif not no_evaluation:
            result_note = evaluate(found.folder, files.train, files.model, [s for s, _ in files.shipped], device)
    written = make(found.folder, None if program is None else program.trained, source, note, result_note)
    if not quiet:
        click.echo(f"wrote {written}")
        if result_note:
            click.echo(f"note: there is no evaluation in it. {result_note}", err=True)


def _program(run: Run) -> tuple[ir.Program | None, str | None, str]:
    """The program of a run, its text, and what has to be known of it."""
    source, note, place = text.program_text(run), "", run.folder / f"{run.stem}.net"
    beside = Path(f"{run.stem}.net")
    if source is None:
        source = reading.text_of(beside)
        if source is None:
            return None, None, f"The program is not in the folder of the run, and there is no {beside} here."
        note = f"As {beside} is now; the run keeps no copy of it."
    loader = imported_without_python if use_refused() else imported
    for name in (place, beside):  # what it imports may lie beside either
        checked = compiler.analyse(source, str(name), run.stem, dict(run.settings), loader)
        if checked.program is not None:
            return checked.program, source, note
    return None, source, f"{note} This version of netc finds mistakes in it: `netc check` names them.".strip()


def evaluate(folder: Path, train: str, model: str, beside: Sequence[Path], device: str) -> str:
    """Evaluate the best checkpoint of a run, and keep the result in its folder; says why where that can't be."""
    from netc.report.results import best_checkpoint, store

    if best_checkpoint(folder) is None:
        return "There is no checkpoint."
    from netc.runtime.results import evaluated
    from netc.runtime.script import load_script

    try:
        own = folder if (folder / "train.py").is_file() else None
        store(evaluated(load_script(train, model, own, beside), folder, device), folder)
    except UserError as problem:
        return f"{problem.message[:1].upper()}{problem.message[1:]}."
    except Exception as problem:  # of the data or the network, after a run that was fine
        return f"It failed: {type(problem).__name__}: {str(problem)[:300]}"
    except KeyboardInterrupt:
        return "It was stopped."
    return ""


def finish(
    run: Path, program: ir.Program, source: str, shipped: Sequence[Path], device: str, well: bool
) -> Path | None:
    """The page at the end of a run; with an evaluation where it ended well. A run is never lost to its page."""
    from netc.report.making import make
    from netc.report.results import stored

    try:
        note = "The run did not end." if not well else ""
        if well and stored(run) is None:
            note = evaluate(run, (run / "train.py").read_text(), (run / "model.py").read_text(), shipped, device)
        return make(run, program.trained, source, result_note=note)
    except Exception as problem:
        click.echo(f"note: the report can't be made: {getattr(problem, 'message', None) or problem!r}", err=True)
        return None


def keeper(
    run: Path, program: ir.Program, text: str, path: Path, script: compiler.Files, settings: dict[str, str], device: str
) -> Keeper:  # fmt: skip
    """Keeps the record of the run while the script works."""
    import shlex

    from netc.record.environment import data_digests, digest
    from netc.record.keeping import Keeper

    facts: dict[str, Any] = {"netc": __version__, "program": {"file": path.name, "sha256": digest(text)}}
    if program.train is not None:
        epochs = {"epochs": program.train.epochs} if program.train.options.steps is None else {}
        facts |= {"seed": program.train.seed, **epochs}
    facts["settings"] = settings
    command = shlex.join(["netc", *sys.argv[1:]])

    def refresh() -> None:
        from netc.report.making import make

        make(run, program.trained, text)

    return Keeper(run, facts, command, device, lambda: data_digests(program, script.shipped), refresh)


def memory_text(session: Mapping[str, Any]) -> str:
    """The line about the peak memory of a GPU, where there was one, with the newline at its end."""
    from netc.report.page import size_text

    peak, device = session.get("peak_memory"), str(session.get("device"))
    return f"peak memory {size_text(peak)} on {device}\n" if isinstance(peak, int) and device != "cpu" else ""
