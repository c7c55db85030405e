"""`netc train --nproc 4`: the options of parallel training, and what has to hold before any process starts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from netc import __version__
from netc.cli import looked_at
from netc.files import read_program
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netc import compiler, ir
    from netc.runtime.launch import Job, Meeting


class Asked(NamedTuple):
    """What the command line says of processes and machines."""

    nproc: int | None
    nodes: int
    rdzv: tuple[str, int] | None
    restarts: int
    address: str | None
    timeout: float

    @property
    def several(self) -> bool:
        """Whether it asks for more than one process, or for a launcher."""
        return (self.nproc or 1) > 1 or self.nodes > 1 or self.restarts > 0


_OPTIONS = (
    click.option("--nproc", type=click.IntRange(1), metavar="N",
                 help="Train in N processes on this machine.  [default: one for each GPU, where the file has "
                 "`parallel`]"),
    click.option("--nodes", type=click.IntRange(1), default=1, metavar="N",
                 help="Train on N machines, on each of which this command is started."),
    click.option("--rdzv", metavar="HOST:PORT", help="Where several machines meet: one of them, and a port."),
    click.option("--rdzv-timeout", type=click.FloatRange(1), default=600, metavar="SECONDS",
                 help="How long to wait for the other machines.  [default: 600]"),
    click.option("--local-addr", metavar="ADDRESS", help="The address of this machine for the others."),
    click.option("--max-restarts", type=click.IntRange(0), default=0, metavar="N",
                 help="When a process dies, start all of them again from the last checkpoint, up to N times."),
)  # fmt: skip


def parallel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of parallel training; it gets them as `Asked`."""

    def taken(
        *args: Any, nproc: int | None, nodes: int, rdzv: str | None, rdzv_timeout: float, local_addr: str | None,
        max_restarts: int, **kwargs: Any,
    ) -> Any:  # fmt: skip
        asked = Asked(nproc, nodes, _place(rdzv, nodes), max_restarts, local_addr, rdzv_timeout)
        return command(*args, asked=asked, **kwargs)

    taken.__name__, taken.__doc__ = command.__name__, command.__doc__
    taken.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    found: Callable[..., Any] = taken
    for option in reversed(_OPTIONS):
        found = option(found)
    return found


def _place(rdzv: str | None, nodes: int) -> tuple[str, int] | None:
    if rdzv is None:
        if nodes > 1:
            raise click.UsageError(
                f"--nodes {nodes} needs --rdzv HOST:PORT: one of the machines, and a port that is free there"
            )
        return None
    host, _, port = rdzv.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--rdzv {rdzv}: write a host and a port, as in --rdzv node1:29500")
    return host.strip("[]"), int(port)


def with_parallel(asked: Asked, settings: dict[str, str], path: Path) -> dict[str, str]:
    """The settings; where processes are asked for and the file says no way, those of DDP too."""
    if not asked.several:
        return settings
    program = looked_at(path, read_program(path), settings).program  # what is wrong in it is said later, once
    if program is None or program.train is None or program.train.options.parallel is not None:
        return settings
    return {**settings, "train.parallel": '"ddp"'}


def job_of(asked: Asked, program: ir.Program, device: str) -> Job | None:
    """The processes to start; None where the script runs in this one.

    Raises:
        UserError: if that many can't work here.
    """
    train, data = program.train, program.data
    if train is None or data is None or train.options.parallel is None:
        return None
    import torch

    from netc.runtime.launch import Job

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    nproc = asked.nproc or max(gpus, 1)
    _fits(nproc, nproc * asked.nodes, gpus, device, data, train)
    if nproc == 1 and asked.nodes == 1 and asked.restarts == 0:
        return None
    return Job(nproc, asked.nodes, asked.rdzv, asked.restarts, asked.address, asked.timeout)


def _fits(nproc: int, processes: int, gpus: int, device: str, data: ir.Data, train: ir.Train) -> None:
    if device not in ("auto", "cuda", "cpu") and nproc > 1:
        raise UserError(f"{nproc} processes can't share `{device}`", help="leave --device out, or choose --device cpu")
    if device == "cuda" and not gpus:
        raise UserError("there is no GPU here", help="leave --device out")
    if gpus and nproc > gpus:
        raise UserError(
            f"{nproc} processes need as many GPUs, and there {'is 1' if gpus == 1 else f'are {gpus}'}",
            help=f"start {gpus} with --nproc {gpus}, or choose --device cpu",
        )
    if processes > data.batch_size:
        raise UserError(
            f"a batch of {data.batch_size} can't be shared out among {processes} processes",
            help="choose a larger `batch_size`, which counts the samples of all processes, or fewer processes",
        )
    if train.options.sync_batchnorm and not gpus:
        raise UserError(
            "`sync_batchnorm` needs GPUs: torch synchronises batch norms on them only",
            help="leave `sync_batchnorm` out on the CPU: batch norms then see the share of their process",
        )


def gathered(job: Job, script: compiler.Files, make: Callable[[], Path]) -> Meeting:
    """Meet the other machines; `make` makes or finds the folder of the run."""
    from netc.runtime.launch import meet

    text = f"{script.model}{script.train}"
    return meet(job, __version__, hashlib.sha256(text.encode()).hexdigest()[:12], lambda: str(make()))


def launched(job: Job, meeting: Meeting, script: Path, arguments: list[str], quiet: bool) -> None:
    """Run the script in all processes of this machine."""
    from netc.runtime.launch import launch

    launch(job, meeting, script, [*arguments, *["--quiet"] * quiet], lambda text: click.echo(text, err=True))


def alone(program: ir.Program) -> ir.Program:
    """The program for one process."""
    train = program.train
    if train is None or train.options.parallel is None:
        return program
    return program._replace(train=train._replace(options=train.options._replace(parallel=None)))
