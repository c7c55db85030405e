"""The command line: the only place that prints, and that decides what is written where.

Exit codes: 0, 1 for mistakes of the user, 2 for wrong usage, 70 for a bug of netc, 130 for Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc import __version__, compiler
from netc.files import (
    byte_order_mark,
    find_program,
    imported,
    imported_without_python,
    make_folder,
    read_program,
    rewrite,
    write_bytes,
    write_text,
)
from netc.limits import Exhausted
from netc.render import as_data, render, unreadable_as_data, visible
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netc import ir
    from netc.diagnostics import Diagnostic

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Failed(Exception):
    """Ends a command whose mistakes have been printed."""


def _settings(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`key=value` pairs as a mapping; the last one of a key counts."""
    out: dict[str, str] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise click.BadParameter(f"{item!r} is not of the form key=value, as in train.epochs=3", context, parameter)
        out[key.strip()] = text.strip()
    return out


def _verbose(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        _shown.add("details")


_refused: set[str] = set()  # "use" where no Python file of a program may be run
_shown: set[str] = set()  # "details" where more is to be printed than what is asked for
file_argument = click.argument("file", required=False, type=click.Path())
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print mistakes only.")
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_verbose,
    help="Print every file, and details of errors.",
)
set_option = click.option(
    "--set",
    "settings",
    callback=_settings,
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting, parameter or constant, as in --set train.epochs=3.",
)


def _no_use(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        _refused.add("use")


no_use_option = click.option(
    "--no-use",
    is_flag=True,
    expose_value=False,
    callback=_no_use,
    help="Refuse programs that bring Python of their own (use), which could do anything.",
)
device_option = click.option(
    "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.  [default: auto]"
)
weights_option = click.option(
    "--weights", type=click.Path(), metavar="FILE", help="A checkpoint; left out, the best one of the newest run."
)
network_option = click.option("--network", metavar="NAME", help="Which network, where the file has several.")


def _colour() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def analysed(path: Path, settings: Mapping[str, str] | None = None) -> tuple[ir.Program, str]:
    """The checked program of a file and its text; mistakes are printed, and end the command."""
    text = read_program(path)
    checked = looked_at(path, text, settings)
    show(checked.diagnostics, checked)
    point_on(checked.diagnostics)
    if checked.program is None:
        raise Failed
    return checked.program, text


def show(diagnostics: Sequence[Diagnostic], checked: compiler.Checked) -> None:
    """Print diagnostics, and how many mistakes there are."""
    for diagnostic in diagnostics:
        click.echo(render(diagnostic, checked.source, _colour()) + "\n", err=True)
    errors = sum(d.is_error for d in diagnostics)
    warnings = len(diagnostics) - errors
    counts = [f"{n} {word}{'s' * (n > 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    if counts:
        click.echo(f"{' and '.join(counts)} in {checked.source.name}", err=True)


def point_on(diagnostics: Sequence[Diagnostic]) -> None:
    """Print once, behind all diagnostics of a run, what can be done next."""
    codes = sorted({d.code for d in diagnostics})
    mendable = sum(d.fix is not None for d in diagnostics)
    if mendable:
        which = (
            "it" if len(diagnostics) == 1 else "all of them" if mendable == len(diagnostics) else f"{mendable} of them"
        )
        click.echo(f"`netc check --fix` mends {which}.", err=True)
    if len(codes) == 1:
        click.echo(f"For more: netc explain {codes[0]}", err=True)
    elif codes:
        more = ", …" if len(codes) > 5 else ""
        click.echo(f"For more: netc explain CODE, with CODE one of {', '.join(codes[:5])}{more}", err=True)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="netc %(version)s")
def cli() -> None:
    """Compile a declarative neural network: one short .net file in, PyTorch and ONNX out.

    FILE may be left out in a folder with one .net file.

    \b
      netc check lenet.net                  all mistakes, with places and ways out
      netc check --fix lenet.net            mends those that are certain
      netc explain E0401                    what a code means
      netc fmt                              the programs of this folder in their canonical form
      netc build lenet.net                  model.py and train.py in build/lenet
      netc train lenet.net --device cuda    trains; checkpoints in runs/lenet/001
      netc runs                             which runs there are, and how they went
      netc report                           the newest of them as a page: curves, classes, network
      netc eval lenet.net                   how well it does
      netc predict lenet.net three.png      what is in a picture
      netc export --onnx                    lenet.onnx, compared with the module
    """


@cli.command()
@click.argument("files", nargs=-1, type=click.Path(), metavar="[FILE]...")
@click.option("--fix", is_flag=True, help="Mend what can be mended with certainty, and check what comes of it.")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), help="How to print.  [default: text]")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@set_option
@no_use_option
@quiet_option
@verbose_option
def check(
    files: tuple[str, ...], fix: bool, form: str | None, as_json: bool, settings: dict[str, str], quiet: bool
) -> None:
    """Check programs completely, without importing torch.

    \b
    Examples:
      netc check lenet.net
      netc check --fix lenet.net
      netc check --format sarif *.net > netc.sarif
    """
    if fix and settings:
        raise click.UsageError(
            "--fix mends what stands in the file, and --set puts other values there: use one of them"
        )
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} can't both be")
    form = "json" if as_json else form or "text"
    results: list[compiler.Checked] = []
    unreadable: list[tuple[Path, UserError]] = []
    for path in [Path(f) for f in files] or [find_program(None)]:
        try:
            results.append(_mended(path, form, quiet) if fix else looked_at(path, read_program(path), settings))
        except UserError as problem:
            unreadable.append((path, problem))
    _print_checked(form, results, unreadable, quiet)
    if unreadable or any(r.program is None for r in results):
        raise Failed


def looked_at(path: Path, text: str, settings: Mapping[str, str] | None = None) -> compiler.Checked:
    """A text as checked; nothing is printed."""
    loader = imported_without_python if use_refused() else imported
    return compiler.analyse(text, str(path), path.stem, settings, loader)


def use_refused() -> bool:
    """Whether `--no-use` was given."""
    return "use" in _refused


def _mended(path: Path, form: str, quiet: bool) -> compiler.Checked:
    """Apply the fixes of a file, say what was done, and give what is left."""
    from netc.mending import done, mend

    first = looked_at(path, read_program(path))
    mended = mend(first, lambda text: looked_at(path, text))
    if mended.applied:
        rewrite(path, byte_order_mark(path) + mended.checked.source.text)
    if quiet:
        return mended.checked
    for source, found in mended.applied:
        line, column = source.position(found.primary.span.start)
        click.echo(f"{path}:{line}:{column}: {found.code}: {done(found, source)}", err=form != "text")
    if mended.applied:
        count = len(mended.applied)
        click.echo(f"mended {count} mistake{'s' * (count > 1)} in {path}", err=form != "text")
    return mended.checked


def _print_checked(
    form: str, results: Sequence[compiler.Checked], unreadable: Sequence[tuple[Path, UserError]], quiet: bool
) -> None:
    """What came of checking, in the form that is asked for."""
    if form == "text":
        for result in results:
            show(result.diagnostics, result)
            if result.program is not None and not quiet:
                click.echo(f"{result.source.name}: no {'errors' if result.diagnostics else 'mistakes'} found")
        for _, problem in unreadable:
            print_error(problem)
        point_on([d for r in results for d in r.diagnostics])
        return
    import json

    if form == "json":
        data: Any = [as_data(d, r.source) for r in results for d in r.diagnostics]
        data += [unreadable_as_data(str(path), problem.message, problem.help) for path, problem in unreadable]
    else:
        from netc import sarif

        missing = [sarif.Unreadable(str(path), problem.message, problem.help) for path, problem in unreadable]
        data = sarif.log([sarif.Findings(r.source, r.diagnostics, r.silenced) for r in results], missing, __version__)
    click.echo(json.dumps(data, indent=2))


@cli.command()
@file_argument
@click.option("--out", type=click.Path(), metavar="DIR", help="Write straight into this folder.  [default: build/STEM]")
@click.option("--stdout", is_flag=True, help="Print the files instead of writing them.")
@network_option
@set_option
@no_use_option
@quiet_option
@verbose_option
def build(
    file: str | None,
    out: str | None,
    stdout: bool,
    network: str | None,
    settings: dict[str, str],
    quiet: bool,
) -> None:
    """Write model.py and train.py: standalone PyTorch, as an expert would write it.

    \b
    Examples:
      netc build lenet.net
      netc build lenet.net --out experiments/lenet --set train.epochs=5
    """
    path = find_program(file)
    program, _ = analysed(path, settings)
    files = compiler.emit(program, chosen(program, network, path))
    texts = {"model.py": files.model} | ({"train.py": files.train} if files.train is not None else {})
    copies = [target for _, target in files.shipped if target.endswith(".py")]
    if stdout:
        for name, text in texts.items():
            click.echo(f"# --- {name} ---\n{text}", nl=False)
        return
    folder = Path(out) if out is not None else Path("build") / path.stem
    write_build(folder, files)
    if not quiet:
        for name, text in texts.items():
            click.echo(f"wrote {folder / name} ({text.count(chr(10))} lines)")
        for name in copies:
            click.echo(f"copied {folder / name}")
        _version_note()


def write_build(folder: Path, files: compiler.Files) -> None:
    """Write the generated files, and what they need beside them, into a folder."""
    make_folder(folder)
    write_text(folder / "model.py", files.model)
    if files.train is not None:
        write_text(folder / "train.py", files.train)
    for source, target in files.shipped:
        make_folder((folder / target).parent)
        write_bytes(folder / target, source.read_bytes())
    if "details" in _shown:
        names = [
            "model.py",
            *(["train.py"] if files.train is not None else []),
            *(target for _, target in files.shipped),
        ]
        for name in names:
            click.echo(f"{folder / name}: {(folder / name).stat().st_size:,} bytes", err=True)


def chosen(program: ir.Program, name: str | None, path: Path) -> list[ir.Network] | None:
    """The networks to write: all, or the one that is named."""
    if name is None:
        return None
    found = [n for n in program.networks if n.name == name]
    if not found:
        names = ", ".join(n.name for n in program.networks)
        raise UserError(f"there is no network `{name}` in {path}", help=f"it has {names}")
    return found


def _version_note() -> None:
    """Say so where the installed torch is not the one that the catalog was read from."""
    from netc.catalog.versions import installed, served

    note = served(installed("torch"), installed("torchvision"))
    if note:
        click.echo(f"note: {note}", err=True)


@cli.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a code means, with a wrong program and the mended one; without CODE, list all codes.

    \b
    Example:
      netc explain E0401
    """
    from netc import explain as pages
    from netc.diagnostics import nearest
    from netc.explain.terminal import explained, listed

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if code is None:
        click.echo(listed(pages.titles(), colour), color=colour)
        return
    known = pages.codes()
    if code.upper() not in known:
        near = nearest(code.upper(), known)
        message = f"did you mean `{near}`?" if near else "`netc explain` alone lists all codes"
        raise UserError(f"there is no code `{code}`", help=message)
    click.echo(explained(pages.page(code.upper()), colour), color=colour)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example, for bash:
      netc completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "netc", "_NETC_COMPLETE").source())


def entry() -> None:
    """The command `netc`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line, and give its exit code."""
    _shown.clear()
    _refused.clear()
    if not arguments or arguments[0] not in cli.commands:
        importlib.import_module("netc.cli_summary")
    if not arguments or arguments[0] not in cli.commands:
        importlib.import_module("netc.cli_run")  # the other commands register themselves
    try:
        result = cli.main(arguments, "netc", standalone_mode=False)
        sys.stdout.flush()
    except Failed:
        return 1
    except Exhausted:
        message = "this takes too much work, or sizes that are too long expressions"
        print_error(UserError(message, help="give the inputs their sizes as numbers"))
        return 1
    except UserError as problem:
        print_error(problem)
        return 1
    except click.exceptions.Abort:
        return 130
    except KeyboardInterrupt:
        click.echo("\ninterrupted", err=True)
        return 130
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is read by nobody ends quietly
        return 0
    except Exception:
        _print_bug(arguments)
        return 70
    return result if isinstance(result, int) else 0


def details_wanted() -> bool:
    """Whether `-v` asks for what stands behind an error."""
    return "details" in _shown


def print_error(problem: UserError) -> None:
    """Print what a `UserError` says."""
    head = click.style("error", fg="red", bold=True) if _colour() else "error"
    click.echo(f"{head}: {visible(problem.message)}", err=True)
    if problem.details and "details" in _shown:
        click.echo(visible(problem.details), err=True)
    if problem.help:
        click.echo(f"  = help: {visible(problem.help)}", err=True)


def _print_bug(arguments: list[str]) -> None:
    """A bug of netc: say so, ask for a report, and give what the report needs."""
    import traceback

    click.echo("netc has a bug: something happened that it should have dealt with.", err=True)
    click.echo("Please report it with the .net file and the lines below; nothing of yours was changed.\n", err=True)
    click.echo(f"netc {__version__}, Python {sys.version.split()[0]}, arguments {arguments!r}", err=True)
    click.echo(visible(traceback.format_exc()), err=True)
