"""The command that trains a network.

It runs the very script that `build` writes. torch is imported when that needs it, and not before all else is checked.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from netc import compiler, ir, runs
from netc.cli import (
    analysed,
    cli,
    device_option,
    file_argument,
    no_use_option,
    quiet_option,
    set_option,
    use_refused,
    verbose_option,
    write_build,
)
from netc.cli_cache import cache as cache  # which registers itself
from netc.cli_fmt import fmt as fmt  # which registers itself
from netc.cli_parallel import Asked, alone, gathered, job_of, launched, parallel_options, with_parallel
from netc.cli_profile import profiled
from netc.cli_report import finish as finish_report
from netc.cli_report import keeper, memory_text  # whose module registers `report` and `runs`
from netc.cli_results import evaluate as evaluate  # whose module registers `eval`, `predict` and `export`
from netc.cli_scripts import look_for_data, origin_of, program_errors, run_script
from netc.cli_summary import summary as summary  # which registers itself
from netc.files import find_program, write_text
from netc.runtime.errors import UserError


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
    program, text = analysed(path, settings := with_parallel(asked, settings, path))
    program = alone(program) if profile is not None else program
    script = compiler.emit(program)
    if script.train is None:
        raise UserError(
            f"`{path}` has no `data` and `train` sections", help="add both, or use `netc build` for the model alone"
        )
    look_for_data(program, text, path)
    if profile is not None:
        with program_errors(program, text, path, script):
            modules = [Path(t).stem for _, t in script.shipped]
            profiled(program, text, script, device, profile, lambda s, a: run_script(s, a, False, modules))
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
        with program_errors(program, text, path, script):
            launched(job, meeting, run / "train.py", arguments, quiet)
        return
    page, well = None, False
    try:
        with program_errors(program, text, path, script, lambda: origin_of(run, device)):
            from netc.runtime.importing import import_torch

            import_torch(optimizers=True)  # which the script needs anyway; the record names its device and threads
            with keeper(run, program, text, path, script, settings, device) as kept:
                if job is not None and meeting is not None:
                    kept.session |= {"processes": job.processes, "hosts": list(meeting.hosts)}
                    launched(job, meeting, run / "train.py", arguments, quiet)
                else:
                    run_script(run / "train.py", arguments, quiet, [Path(t).stem for _, t in script.shipped])
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
        with program_errors(program, text, path, script, lambda: origin_of(run, device)):
            run_script(run / "train.py", arguments, True, [Path(t).stem for _, t in script.shipped])
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
