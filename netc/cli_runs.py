"""The commands about runs that were made: `runs` lists, shows and compares them.

They read the folders of runs, and import no torch.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc.cli import cli, verbose_option
from netc.diagnostics import nearest
from netc.record import reading, text
from netc.render import visible
from netc.runs import RUNS
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from netc.record.reading import Run

folder_option = click.option(
    "--folder", type=click.Path(path_type=Path), default=RUNS, metavar="DIR",
    help="Where the runs are.  [default: runs]",
)  # fmt: skip


@cli.command()
@click.argument("names", nargs=-1, metavar="[PROGRAM | RUN | compare RUN RUN...]")
@click.option("--sort", metavar="METRIC", help="Best first by a metric, as in validation_loss; or by time.")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@verbose_option
def runs(names: tuple[str, ...], sort: str | None, folder: Path, as_json: bool) -> None:
    """List the runs of this folder, show one in full, or compare several.

    A RUN is its number, with the program's name where there are several (lenet/3), or its folder.

    \b
    Examples:
      netc runs
      netc runs lenet.net --sort validation_accuracy
      netc runs 3
      netc runs compare 1 3
    """
    if names and names[0] == "compare":
        found = [find(name, folder) for name in names[1:]]
        if len(found) < 2:
            raise click.UsageError("name at least two runs, as in `netc runs compare 1 3`")
        _print([as_data(run) for run in found] if as_json else text.compared(found, _width()))
    elif len(names) > 1:
        raise click.UsageError("name one run, or several behind `compare`, as in `netc runs compare 1 3`")
    elif names and not _is_program(names[0], folder):
        run = find(names[0], folder)
        _print(as_data(run) if as_json else text.detailed(run, _files(run), _width()))
    else:
        stem = Path(names[0]).stem if names else None
        listed = _sorted(reading.all_runs(folder, stem), sort)
        if not listed and not as_json:
            where = folder / stem if stem else folder
            raise UserError(f"there are no runs in {where}", help="`netc train` makes one, and --folder says where")
        _print([as_data(run) for run in listed] if as_json else text.listed(listed, _width()))


def _print(result: Any) -> None:
    click.echo(visible(result) if isinstance(result, str) else json.dumps(result, indent=2))


def _width() -> int:
    """How many columns there are; where the output is no terminal, 80."""
    return max(60, shutil.get_terminal_size((80, 24)).columns)


def _is_program(name: str, folder: Path) -> bool:
    return bool(
        name.endswith(".net")
        or ("/" not in name and name.strip(".") and not name.isdecimal() and (folder / name).is_dir())
    )


def find(name: str | None, folder: Path) -> Run:
    """A run by its number, by `lenet/3`, or by its folder; the newest of `lenet`, and without a name of all.

    Raises:
        UserError: if there is none, or several.
    """
    known = reading.all_runs(folder)
    if name is None or name == "newest":
        if not known:
            raise UserError(f"there are no runs in {folder}", help="`netc train` makes one")
        return reading.read(max(known, key=lambda run: run.began or 0).folder)
    if not name.isdecimal() and Path(name).is_dir():
        if reading.is_run(Path(name)):
            return reading.read(Path(name))
        own = [run for run in known if run.stem == Path(name).name] if Path(name).parent == folder else []
        if not own:
            raise UserError(f"`{name}` is no folder of a run")
        return reading.read(own[-1].folder)
    of_program = [run for run in known if run.stem == Path(name).name.removesuffix(".net")]
    if of_program and not name.isdecimal():
        return reading.read(of_program[-1].folder)
    stem, _, number = name.removesuffix("/").rpartition("/")
    fits = [run for run in known if number.isdecimal() and run.number == int(number) and stem in ("", run.stem)]
    if len(fits) == 1:
        return reading.read(fits[0].folder)
    names = [run.name for run in (fits or known)]
    listed = ", ".join(f"`{n}`" for n in names[-8:])
    if fits:
        raise UserError(f"there are {len(fits)} runs {name}", help=f"say which one: {listed}")
    raise UserError(f"there is no run `{name}` in {folder}", help=f"there are {listed}" if listed else "train first")


def _sorted(found: list[Run], metric: str | None) -> list[Run]:
    if metric is None:
        return found
    if metric in ("time", "seconds"):
        return sorted(found, key=lambda run: (run.stem, math.inf if run.seconds is None else run.seconds))
    metrics = list(dict.fromkeys(column for run in found for column in run.metrics))
    column = metric if metric in metrics else f"validation_{metric}"
    if column not in metrics:
        near = nearest(metric, metrics)
        way_out = f"did you mean `{near}`?" if near else f"there are {', '.join(metrics) or 'none'}"
        raise UserError(f"no run has a metric `{metric}`", help=way_out)

    def key(run: Run) -> tuple[str, float]:
        best = run.best(column)
        return run.stem, math.inf if best is None else best if reading.lower_is_better(column) else -best

    return sorted(found, key=key)


def _files(run: Run) -> list[tuple[str, int]]:
    """The files of a run with their bytes."""
    try:
        return [(p.name, p.stat().st_size) for p in sorted(run.folder.iterdir()) if p.is_file()]
    except OSError:
        return []


def as_data(run: Run) -> dict[str, Any]:
    """A run as plain data; numbers that are not finite are null."""
    return {
        "run": run.name,
        "folder": str(run.folder),
        "state": run.state,
        "began": run.began,
        "epochs": run.done,
        "planned_epochs": run.planned,
        "seconds": run.seconds,
        "device": run.device,
        "best_epoch": run.best_epoch,
        "best": {column: run.best(column) for column in run.metrics},
        "last": {column: run.last(column) for column in run.metrics},
        "rows": [{c: v if math.isfinite(v) else None for c, v in row.items()} for row in run.rows],
        "settings": dict(run.settings),
        "environment": dict(run.environment),
        "problems": list(run.problems),
    }
