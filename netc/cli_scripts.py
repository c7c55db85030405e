"""Generated scripts as commands run them: what they raise and end with, told of the program that they come from.

In: a checked program and its files. Out: a script that has run, or its functions as a module. Guarantees: what a layer,
the data or a transform raises is told of its line in the program; folders of data that are missing are told before
torch is imported. Leaves the commands themselves to `netc.cli_run` and `netc.cli_results`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netc import compiler, ir, runs
from netc.cli import Failed, details_wanted, point_on, show
from netc.diagnostics import Label, Report
from netc.render import visible
from netc.runtime.errors import UserError
from netc.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from netc.diagnostics import Diagnostic
    from netc.runtime.nonfinite import Origin
    from netc.runtime.raised import Raised


def run_script(script: Path, arguments: list[str], quiet: bool, modules: list[str]) -> None:
    """Run a generated script in this process, as `python train.py` would. `modules` may lie beside it."""
    import runpy

    before = sys.argv, list(sys.path)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent.resolve()))
    for name in ("model", *modules):
        sys.modules.pop(name, None)
    try:
        with contextlib.ExitStack() as stack:
            if quiet:
                stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
        for name in modules:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def program_errors(
    program: ir.Program, text: str, path: Path, files: compiler.Files | None = None,
    origin: Callable[[], Origin | None] = lambda: None,
) -> Iterator[None]:  # fmt: skip
    """Turn the messages that end a script into errors; one about data shows the line that names the data.

    What a layer, the data or a transform raises is told of the line of the program that it comes from.
    """
    try:
        with _no_pickles(program):
            yield
    except SystemExit as end:
        if not isinstance(end.code, str):
            if end.code:
                raise click.exceptions.Exit(int(end.code)) from None
            return
        _with_place(end.code.removeprefix("error: "), program, text, path, origin)
    except UserError as problem:
        from netc.runtime.failure import of_python

        cause = of_python(problem, program)
        if cause is not None:
            _raised(cause, program, text, path, files)
        raised = getattr(problem, "raised", None)
        if raised is not None:
            _in_a_process(problem, raised, program, text, path, files, origin)
        if problem.help is not None:
            raise
        _with_place(problem.message, program, text, path)
    except (click.ClickException, click.exceptions.Exit, click.Abort, Failed):
        raise
    except Exception as problem:
        from netc.catalog.versions import explain_import_error

        if type(problem).__module__ == "urllib.error" and isinstance(problem, OSError):
            raise _no_weights(problem) from None
        if isinstance(problem, RuntimeError):
            from netc.runtime.failure import of_outputs

            message = of_outputs(problem)
            if message is not None:
                _with_place(message, program, text, path, origin)
        known = explain_import_error(problem) if isinstance(problem, (RuntimeError, ImportError)) else None
        if known is not None:
            raise UserError(known) from None
        _raised(problem, program, text, path, files)
        raise


@contextlib.contextmanager
def _no_pickles(program: ir.Program) -> Iterator[None]:
    """Where a program has no Python of its own, torch unpickles nothing, weights that torchvision reads included."""
    name, before = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    if not program.python:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _raised(
    problem: BaseException, program: ir.Program, text: str, path: Path, files: compiler.Files | None
) -> None:  # fmt: skip
    """Say what an exception of generated code means for the program, and end; go on where it is a bug of netc."""
    from netc.runtime.failure import explained

    found = explained(problem, program, files or compiler.emit(program))
    if found is not None:
        if details_wanted():
            import traceback

            click.echo(visible("".join(traceback.format_exception(problem))), err=True)
        _tell(found, text, path)


def _in_a_process(
    problem: UserError, raised: Raised, program: ir.Program, text: str, path: Path, files: compiler.Files | None,
    origin: Callable[[], Origin | None],
) -> None:  # fmt: skip
    """Say what an exception in one of several processes means for the program, and end, as for one in this process."""
    from netc.runtime.failure import explained, of_outputs

    message = of_outputs(raised) if "RuntimeError" in raised.kinds else None
    if message is not None:
        _with_place(message, program, text, path, origin)
    found = explained(raised, program, files or compiler.emit(program))
    if found is None:
        return
    if details_wanted() and problem.details:
        click.echo(visible(problem.details), err=True)
    rank = getattr(problem, "rank", None)
    _tell(found if rank is None else found._replace(notes=(*found.notes, f"in process {rank}")), text, path)


def _tell(found: Diagnostic, text: str, path: Path) -> None:
    show((found,), compiler.Checked(Source(text, str(path)), None, (found,)))
    point_on((found,))
    raise Failed


def _no_weights(problem: OSError) -> UserError:
    """Weights of a pretrained model that can't be fetched."""
    address = getattr(problem, "url", None) or ""
    said = getattr(problem, "reason", None) or problem
    return UserError(
        f"the weights of a pretrained model can't be downloaded: {said}",
        help="connect this machine to the network, or put the file into the folder `checkpoints` of "
        "torch.hub.get_dir(); with weights=None the model starts untrained",
        details=address,
    )


def origin_of(run: Path, device: str) -> Origin | None:
    """Where the numbers of a run stopped being finite."""
    from netc.runtime.nonfinite import find

    click.echo("the loss is no finite number any more: looking for the layer where that began", err=True)
    return find(run, device)


def _with_place(
    message: str, program: ir.Program, text: str, path: Path, origin: Callable[[], Origin | None] = lambda: None
) -> None:
    """Raise an error with the message; where it speaks of the files of a data set, at that data set."""
    if message.startswith("the loss is"):
        from netc.runtime.failure import diverged

        found = diverged(message, program, origin())
        if found is not None:
            _tell(found, text, path)
    from netc.runtime.failure import of_files

    of_data = of_files(message, program, [(call, _paths(call)) for call in _datasets(program)])
    if of_data is not None:
        _tell(of_data, text, path)
    raise UserError(message)


def _datasets(program: ir.Program) -> list[ir.Call]:
    data = program.data
    return [] if data is None else [c for c in (data.train, data.validation, data.test) if isinstance(c, ir.Call)]


def missing_data(program: ir.Program) -> tuple[Diagnostic, ...]:
    """The data sets of a program whose folders are not there, or lead to one place."""
    report = Report()
    for call in _datasets(program):
        _missing_files(call, report)
        root = call.args.get("root")
        if root is None or Path(str(root.value)).exists() or call.get_or("download", False):
            continue
        folder = str(root.value)
        named = any(p.name == "download" for p in call.entry.params)
        help_text = (
            f"add `download=True` to {call.name}(…), or put the files there" if named else "put the pictures there"
        )
        message = f"the folder `{folder}` of `{call.name}` is not there"
        notes = [f"it is looked for from {Path.cwd().name}{os.sep}, the folder that netc was started in"]
        report.add("E0530", message, call.span, notes=notes if not Path(folder).is_absolute() else (), help=help_text)
    _links(program, report)
    return report.diagnostics


def _paths(call: ir.Call) -> tuple[str, ...]:
    """The folder of a data set, or its files."""
    from netc.catalog.data_fields import files_of

    root = call.args.get("root")
    if root is not None:
        return (root.value,) if isinstance(root.value, str) else ()
    return files_of({p.name: call.get(p.name) for p in call.entry.params}, call.name)


def _missing_files(call: ir.Call, report: Report) -> None:
    """Report files of tables and arrays that are not there."""
    for file in () if "root" in call.args else _paths(call):
        if not Path(file).is_file():
            what = "is no file" if Path(file).exists() else "is not there"
            notes = [f"it is looked for from {Path.cwd().name}{os.sep}, the folder that netc was started in"]
            report.add("E0530", f"`{file}` of `{call.name}` {what}", call.span,
                       notes=() if Path(file).is_absolute() else notes)  # fmt: skip


def _links(program: ir.Program, report: Report) -> None:
    """Report folders of pictures that are one folder, or lie in one another, by links; the checker reads no disk."""
    from netc.checker.overlaps import overlap

    folders = [call for call in _datasets(program) if call.name == "ImageFolder"]
    if program.data is None or program.data.train not in folders:
        return
    train = Path(str(program.data.train.get("root"))).resolve()
    for call in folders[1:]:
        other = Path(str(call.get("root"))).resolve()
        one_in_other = other == train or other in train.parents or train in other.parents
        if one_in_other and overlap(program.data.train, call) is None:  # else the checker said it, and it is meant
            report.add(
                "E0521", f"`{call.get('root')}` has pictures that are trained on", call.span,
                secondary=[Label(program.data.train.span, "trained on these")],
                notes=[f"they are links: the folders are {train} and {other}"], help="give each its own folder",
            )  # fmt: skip


def look_for_data(program: ir.Program, text: str, path: Path) -> None:
    """Report folders of data that are not there, before torch is imported."""
    refuse(missing_data(program), text, path)


def refuse(found: tuple[Diagnostic, ...], text: str, path: Path) -> None:
    """Show what was found and end, if anything was."""
    if found:
        show(found, compiler.Checked(Source(text, str(path)), None, found))
        point_on(found)
        raise Failed


def script_of(program: ir.Program, path: Path) -> ModuleType:
    """The training script of a program as a module.

    Raises:
        UserError: if the program has none.
    """
    from netc.runtime.script import load_script

    files = compiler.emit(program)
    if files.train is None:
        raise UserError(f"`{path}` has no `data` and `train` sections", help="add both; they say what to evaluate on")
    return load_script(files.train, files.model, beside=[source for source, _ in files.shipped])


def chosen_weights(given: str | None, stem: str) -> Path:
    """The checkpoint that is asked for: the given one, or the best of the newest run."""
    return Path(given) if given is not None else runs.newest_weights(stem)
