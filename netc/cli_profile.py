"""`netc train --profile 20`: where the time of a step goes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netc.cli import write_build
from netc.render import visible
from netc.runtime.errors import UserError
from netc.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc import compiler, ir


def profiled(
    program: ir.Program,
    text: str,
    files: compiler.Files,
    device: str,
    steps: int,
    run: Callable[[Path, list[str]], None],
) -> None:
    """Run the script for some steps under torch's profiler, in a folder that goes away, and print where time goes.

    Args:
        program, text, files: what is profiled, and what was made of it.
        device: as for training.
        run: runs a script with these arguments.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # what torch's profiler says of itself
    from netc.record import environment
    from netc.runtime.profile import WARM_UP, watched
    from netc.tables import profile_text

    with tempfile.TemporaryDirectory() as folder:
        write_build(Path(folder), files)
        with (
            watched(steps) as found,
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            run(Path(folder) / "train.py", ["--device", device, "--run-dir", folder])
    if not found:
        raise UserError(f"the run has no more than {WARM_UP} steps, and the first {WARM_UP} don't count",
                        help="profile with more epochs, as in --set train.epochs=10")  # fmt: skip
    name = environment.device(device).get("device", device)
    network = program.trained.name if program.trained is not None else "the network"
    table = profile_text(found[0], _places(program, text), f"{network} on {name}", environment.peak_memory(name))
    click.echo(visible(table))


def _places(program: ir.Program, text: str) -> dict[str, tuple[str, int]]:
    """What each layer is, and the line that it stands in."""
    source = Source(text, "")
    rows = () if program.trained is None else program.trained.rows
    return {row.path: (row.name, source.position(row.span.start)[0]) for row in rows if row.path}
