"""The commands that run a network: train, eval, predict, export.

They run the very scripts that `build` writes. torch is imported when they need it, and not before all else is checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc import __version__, compiler, ir, runs
from netc.backends.onnx_support import unexportable
from netc.cli import (
    Failed,
    analysed,
    cli,
    details_wanted,
    device_option,
    file_argument,
    network_option,
    no_use_option,
    point_on,
    quiet_option,
    set_option,
    show,
    use_refused,
    verbose_option,
    weights_option,
    write_build,
)
from netc.cli_cache import cache as cache  # which registers itself
from netc.cli_fmt import fmt as fmt  # which registers itself
from netc.cli_parallel import Asked, alone, gathered, job_of, launched, parallel_options, with_parallel
from netc.cli_profile import profiled
from netc.cli_report import finish as finish_report
from netc.cli_report import keeper, memory_text  # whose module registers `report` and `runs`
from netc.cli_summary import summary as summary  # which registers itself
from netc.diagnostics import Label, Report
from netc.files import find_program, write_text
from netc.render import visible
from netc.runtime.errors import UserError
from netc.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from torch import nn

    from netc import ir
    from netc.diagnostics import Diagnostic
    from netc.runtime.nonfinite import Origin
    from netc.runtime.prediction import Prediction
    from netc.runtime.rows import RowPrediction


# --- train ------------------------------------------------------------------------------------------------------------


@cli.command()
@file_argument
@device_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value="newest",
    metavar="[RUN]",
    help="Go on with a run (runs/lenet/003, or 3); with the newest if none is named.",
)
@click.option(
    "--profile",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Train for so many steps, keep nothing, and tell where their time goes.",
)
@click.option(
    "--overfit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Try out whether the network can learn N batches by heart; nothing is kept.",
)
@parallel_options
@set_option
@no_use_option
@quiet_option
@verbose_option
def train(
    file: str | None,
    device: str,
    resume: str | None,
    profile: int | None,
    overfit: int | None,
    settings: dict[str, str],
    quiet: bool,
    asked: Asked,
) -> None:
    """Train: run the script that `build` writes, in a folder of its own.

    \b
    Examples:
      netc train lenet.net --device cuda
      netc train lenet.net --set train.epochs=3 --set data.batch_size=256
      netc train lenet.net --resume
      netc train lenet.net --profile 20
      netc train lenet.net --overfit 1
      netc train lenet.net --nproc 4
      netc train lenet.net --nproc 4 --nodes 2 --rdzv node1:29500
    """
    if sum(x is not None for x in (resume, profile, overfit)) > 1:
        raise click.UsageError("--profile and --overfit keep nothing that --resume could go on with: use one of them")
    if resume is not None and resume.endswith(".net") and file is None:
        file, resume = resume, "newest"
    path = find_program(file)
    program, text = analysed(path, settings)
    if (more := with_parallel(asked, settings, program)) != settings:
        settings = more
        program, text = analysed(path, settings)
    program = alone(program) if profile is not None else program
    script = compiler.emit(program)
    if script.train is None:
        raise UserError(
            f"`{path}` has no `data` and `train` sections", help="add both, or use `netc build` for the model alone"
        )
    _look_for_data(program, text, path)
    if profile is not None:
        with _program_errors(program, text, path, script):
            modules = [Path(t).stem for _, t in script.shipped]
            profiled(program, text, script, device, profile, lambda s, a: _run_script(s, a, False, modules))
        return
    if overfit is not None:
        _try_out(program, text, path, overfit, device)
        return
    job = job_of(asked, program, device)

    def begun() -> Path:
        """The folder of the run, with what it needs."""
        if resume is not None:
            run = runs.find(path.stem, resume)
            _same_program(run, path, text, script, settings)
            return run
        run = runs.new(path.stem)
        write_build(run, script)
        write_text(run / path.name, text)
        return run

    meeting = None if job is None else gathered(job, script, begun)
    run = begun() if meeting is None else Path(meeting.run)
    if meeting is not None and not (run / "train.py").exists():  # on another machine, with a disk of its own
        write_build(run, script)
    arguments = ["--device", device, "--run-dir" if resume is None else "--resume", str(run)]
    if job is not None and meeting is not None and not meeting.first:
        with _program_errors(program, text, path, script):
            launched(job, meeting, run / "train.py", arguments, quiet)
        return
    page, well = None, False
    try:
        with _program_errors(program, text, path, script, lambda: _origin(run, device)):
            from netc.runtime.importing import import_torch

            import_torch(optimizers=True)  # which the script needs anyway; the record names its device and threads
            with keeper(run, program, text, path, script, settings, device) as kept:
                if job is not None and meeting is not None:
                    kept.session["processes"] = job.processes
                    launched(job, meeting, run / "train.py", arguments, quiet)
                else:
                    _run_script(run / "train.py", arguments, quiet, [Path(t).stem for _, t in script.shipped])
            well = True
    finally:
        if resume is None and not (run / "last.pt").exists():  # it ended before it began: no device, no data
            shutil.rmtree(run, ignore_errors=True)
        else:
            shipped = [source for source, _ in script.shipped]
            page = finish_report(run, program, text, shipped, device, well)
    if not quiet:
        if page is not None:
            click.echo(f"{memory_text(kept.session)}report: {page}")
        click.echo(f"next: netc eval {path}, netc export --onnx {path}")


def _try_out(program: ir.Program, text: str, path: Path, batches: int, device: str) -> None:
    """Train on a few batches until the loss is gone, in a folder that goes away, and say what came of it."""
    import csv
    import tempfile

    from netc.runtime.overfit import few_batches, verdict

    script = compiler.emit(few_batches(program, batches))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        write_build(run, script)
        arguments = ["--device", device, "--run-dir", str(run)]
        with _program_errors(program, text, path, script, lambda: _origin(run, device)):
            _run_script(run / "train.py", arguments, True, [Path(t).stem for _, t in script.shipped])
        with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
            learned, said = verdict(list(csv.DictReader(file)), batches)
    if not learned:
        raise UserError(
            said, help="try another `lr`; else look at the loss, the labels, and the activation before the loss",
        )  # fmt: skip
    click.echo(said)


def _same_program(run: Path, path: Path, text: str, script: compiler.Files, settings: dict[str, str]) -> None:
    """A run goes on as it began; say so where the file or the settings are others now."""
    python = [(source, target) for source, target in script.shipped if target.endswith(".py")]
    now = (script.model, script.train, *(_read(source) for source, _ in python))
    then = tuple(_read(run / name) for name in ("model.py", "train.py", *(target for _, target in python)))
    if now == then:
        return
    if use_refused():
        raise UserError(
            f"the scripts in `{run}` are not those that `{path}` gives, and `--no-use` runs no others",
            help="read them, and leave out --no-use; or start a new run without --resume",
        )
    if settings:
        raise UserError(
            f"`{run}` was started with other settings, and a run goes on as it began",
            help="leave out --set, or start a new run without --resume",
        )
    if now[:2] == then[:2]:
        click.echo(f"note: a Python file of {path} has changed since; the run goes on with the copy in its folder",
                   err=True)  # fmt: skip
        return
    same = _read(run / path.name) == text
    reason = f"{run} was started with --set, or by another version of netc" if same else f"{path} has changed since"
    click.echo(f"note: {reason}; the run goes on with the scripts in its folder", err=True)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        raise UserError(
            f"`{path}` is missing; this is no folder of a run", help="start a new run without --resume"
        ) from None


def _run_script(script: Path, arguments: list[str], quiet: bool, modules: list[str]) -> None:
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
def _program_errors(
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


def _origin(run: Path, device: str) -> Origin | None:
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


def _look_for_data(program: ir.Program, text: str, path: Path) -> None:
    """Report folders of data that are not there, before torch is imported."""
    _refuse(missing_data(program), text, path)


def _refuse(found: tuple[Diagnostic, ...], text: str, path: Path) -> None:
    """Show what was found and end, if anything was."""
    if found:
        show(found, compiler.Checked(Source(text, str(path)), None, found))
        point_on(found)
        raise Failed


# --- eval and predict -------------------------------------------------------------------------------------------------


def _script(program: ir.Program, path: Path) -> ModuleType:
    from netc.runtime.script import load_script

    files = compiler.emit(program)
    if files.train is None:
        raise UserError(f"`{path}` has no `data` and `train` sections", help="add both; they say what to evaluate on")
    return load_script(files.train, files.model, beside=[source for source, _ in files.shipped])


def _weights(given: str | None, stem: str) -> Path:
    """The checkpoint that is asked for: the given one, or the best of the newest run."""
    return Path(given) if given is not None else runs.newest_weights(stem)


@cli.command(name="eval")
@file_argument
@weights_option
@device_option
@click.option("--on", "part", metavar="PART", help="train, validation or test; by default the last that there is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@set_option
@no_use_option
@verbose_option
def evaluate(
    file: str | None, weights: str | None, device: str, part: str | None, as_json: bool, settings: dict[str, str]
) -> None:
    """Evaluate: loss, accuracy, each class, and what is taken for what.

    \b
    Examples:
      netc eval lenet.net
      netc eval lenet.net --weights runs/lenet/001/last.pt --on validation
    """
    path = find_program(file)
    program, text = analysed(path, settings)
    chosen = _weights(weights, path.stem)
    _look_for_data(program, text, path)
    with _program_errors(program, text, path):
        from netc.runtime.evaluation import evaluate as run

        result = run(_script(program, path), chosen, device, part)
    from netc.tables import evaluation_data, evaluation_text

    if as_json:
        click.echo(json.dumps({"weights": str(chosen), **evaluation_data(result)}, indent=2))
    else:
        click.echo(visible(evaluation_text(result, str(chosen))))


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="[FILE] INPUT...")
@weights_option
@device_option
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many classes to print.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@set_option
@no_use_option
@verbose_option
def predict(
    files: tuple[str, ...], weights: str | None, device: str, top: int, as_json: bool, settings: dict[str, str]
) -> None:
    """Classify pictures with the declared transform, or predict the rows of a CSV file.

    \b
    Examples:
      netc predict lenet.net three.png
      netc predict three.png four.jpg --top 1 --json
      netc predict iris.net flowers.csv
    """
    program_file = files[0] if files[0].endswith(".net") else None
    pictures = files[1:] if program_file else files
    if not pictures:
        raise click.UsageError("name at least one picture or table, as in `netc predict lenet.net three.png`")
    path = find_program(program_file)
    program, text = analysed(path, settings)
    chosen = _weights(weights, path.stem)
    with _program_errors(program, text, path):
        from netc.runtime.prediction import predict as run

        script = _script(program, path)
        assert program.data is not None
        if program.data.kind == "table":
            from netc.runtime.rows import predict_rows

            rows = predict_rows(script, chosen, pictures, device)
            click.echo(_rows_json(rows) if as_json else visible(_rows_text(rows)))
            return
        if program.data.kind:
            raise UserError("`netc predict` takes pictures and tables, and this network takes samples of another kind",
                            help="use the functions of train.py: `predict(model, samples)`")  # fmt: skip
        found = run(script, program.data, chosen, pictures, device, top)
    click.echo(_predictions_json(found) if as_json else visible(_predictions_text(found)))


def _rows_json(rows: list[RowPrediction]) -> str:
    return json.dumps([{"path": r.path, "line": r.line, **r.values} for r in rows], indent=2)


def _rows_text(rows: list[RowPrediction]) -> str:
    """A table of its own: a line for each row, behind it what is predicted."""
    import csv
    import io

    several = len({row.path for row in rows}) > 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*["path"] * several, "line", *rows[0].values])
    for row in rows:
        values = (f"{value:.6g}" if isinstance(value, float) else value for value in row.values.values())
        writer.writerow([*[row.path] * several, row.line, *values])
    return text.getvalue().rstrip("\n")


def _predictions_json(found: list[Prediction]) -> str:
    data = [{"path": p.path, "classes": [{"name": n, "probability": v} for n, v in p.classes]} for p in found]
    return json.dumps(data, indent=2)


def _predictions_text(found: list[Prediction]) -> str:
    width = max(len(name) for p in found for name, _ in p.classes)
    lines = []
    for prediction in found:
        lines.append(prediction.path)
        lines += [
            f"  {name:{width}}  {value:7.2%}  {'#' * round(30 * value)}".rstrip() for name, value in prediction.classes
        ]
    return "\n".join(lines)


# --- export -----------------------------------------------------------------------------------------------------------


@cli.command()
@file_argument
@click.option("--onnx", is_flag=True, help="Write ONNX, the one format there is.")
@weights_option
@click.option("--untrained", is_flag=True, help="Export fresh weights, where nothing has been trained.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    help="The greatest absolute difference allowed between the module and ONNX Runtime.",
)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="The file to write.  [default: STEM.onnx]")
@network_option
@set_option
@no_use_option
@quiet_option
@verbose_option
def export(
    file: str | None,
    onnx: bool,
    weights: str | None,
    untrained: bool,
    tolerance: float,
    output: str | None,
    network: str | None,
    settings: dict[str, str],
    quiet: bool,
) -> None:
    """Export to ONNX, and compare what ONNX Runtime computes with the module.

    \b
    Examples:
      netc export --onnx
      netc export --onnx lenet.net --weights runs/lenet/001/best.pt -o digits.onnx
    """
    if not onnx:
        raise click.UsageError("say which format to write: --onnx")
    path = find_program(file)
    program, text = analysed(path, settings)
    chosen = _exported_network(program, network, path)
    _refuse(unexportable(chosen), text, path)
    source = None if untrained else _weights(weights, path.stem)
    target = Path(output) if output is not None else Path(f"{path.stem}.onnx")
    with _program_errors(program, text, path):
        module, names = _trained(program, chosen, source, path)
        from netc.backends.onnx import export as write

        report = write(
            module,
            chosen.inputs,
            _result_names(chosen),
            target,
            _metadata(program, chosen, names),
            tolerance,
            integer_range=dict(chosen.looked_up),
        )
    if not quiet:
        from netc.tables import export_text

        click.echo(visible(export_text(report, str(source) if source else "fresh weights")))


def _exported_network(program: ir.Program, name: str | None, path: Path) -> ir.Network:
    names = [n.name for n in program.networks]
    if name is None and program.trained is not None:
        return program.trained
    if name is None and len(names) == 1:
        return program.networks[0]
    if name not in names:
        said = f"there is no network `{name}` in {path}" if name else f"`{path}` has several networks"
        raise UserError(said, help=f"name one with --network: {', '.join(names)}")
    return program.networks[names.index(name)]


def _trained(
    program: ir.Program, network: ir.Network, weights: Path | None, path: Path
) -> tuple[nn.Module, list[str] | None]:
    """The module with its weights, and the names of the classes where the checkpoint has them."""
    from netc.api import execute
    from netc.runtime.script import fit, form_only, read_checkpoint, weights_of

    checkpoint = {} if weights is None else read_checkpoint(weights)
    files = compiler.emit(program)
    generated = execute(files.model, path.stem, [source for source, _ in files.shipped])
    with form_only("" if weights is None else files.model):
        module: nn.Module = getattr(generated, network.name)()
    if weights is not None:
        state = weights_of(checkpoint)
        fit(module, state, weights, checkpoint)
        module.load_state_dict(state)
    names = checkpoint.get("classes")
    return module.eval(), names if isinstance(names, list) else None


def _result_names(network: ir.Network) -> tuple[str, ...]:
    """What the results of evaluation are called in the exported file."""
    names = [o.name for o in network.outputs if not o.training]
    if len(names) == 1:
        names = [names[0] if names[0] and not names[0].isdigit() else "output"]
    names = [f"output{n}" if n.isdigit() else n for n in names]
    taken = {i.name for i in network.inputs}
    return tuple(f"{n}_output" if n in taken else n for n in names)


def _metadata(program: ir.Program, network: ir.Network, names: list[str] | None) -> dict[str, str]:
    """What the file says of itself: the network, its classes, and how its input is prepared."""
    data = program.data if program.trained is network else None
    steps = (
        [] if data is None else [{"name": c.name, **{n: a.value for n, a in c.args.items()}} for c in data.transform]
    )
    found = {"producer": f"netc {__version__}", "network": network.name, "preprocessing": json.dumps(steps)}
    return found | ({"classes": json.dumps(names)} if names is not None else {})
