"""`netc summary`: what a network is made of, and what training it in several processes takes. No torch is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from netc.cli import analysed, chosen, cli, network_option, no_use_option, set_option, verbose_option
from netc.files import find_program
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc import ir

KINDS = ("ddp", "fsdp")
BACKENDS = ("nccl", "gloo")


def _sizes(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value.isdigit() or int(value) < 1:
            raise click.BadParameter(f"{text!r} is no size; write it as in T=128")
        found[name.strip()] = int(value)
    return found


@cli.command()
@click.argument("file", required=False, type=click.Path())
@click.option("--params", is_flag=True, help="List every parameter and buffer with its shape.")
@click.option("--parallel", type=click.Choice(KINDS), help="What each process holds and sends with DDP or FSDP.")
@click.option("--nproc", type=click.IntRange(1), metavar="N", help="How many processes, on all machines together.")
@click.option("--backend", type=click.Choice(BACKENDS), help="nccl for GPUs, gloo for CPUs.  [default: nccl]")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="The global batch.  [default: the file's]")
@click.option(
    "--size", "sizes", callback=_sizes, multiple=True, metavar="NAME=N", help="A size that inputs leave open."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@network_option
@set_option
@no_use_option
@verbose_option
def summary(
    file: str | None, params: bool, parallel: str | None, nproc: int | None, backend: str | None,
    batch_size: int | None, sizes: dict[str, int], as_json: bool, network: str | None, settings: dict[str, str],
) -> None:  # fmt: skip
    """Show the layers with their shapes, parameters and multiply-adds, without importing torch.

    With --parallel, the memory that each process takes, and the bytes that it sends in a step.

    \b
    Examples:
      netc summary lenet.net --params
      netc summary resnet50.net --parallel fsdp --nproc 64
    """
    if (parallel or backend or batch_size or sizes) and nproc is None:
        raise UserError("it isn't said how many processes there are", help="add `--nproc 8`, for example")
    path = find_program(file)
    program, _ = analysed(path, settings)
    networks = chosen(program, network, path) or program.networks
    if nproc is not None:
        networks = networks if network is not None or program.trained is None else (program.trained,)
        click.echo(_costs(program, networks, parallel, nproc, backend, batch_size, sizes, as_json))
        return
    from netc.summary import data
    from netc.summary import summary as table

    if as_json:
        click.echo(_json([data(n, params) for n in networks]))
        return
    click.echo("\n\n".join(table(n, params) for n in networks))


def _costs(
    program: ir.Program, networks: Sequence[ir.Network], parallel: str | None, nproc: int, backend: str | None,
    batch_size: int | None, sizes: dict[str, int], as_json: bool,
) -> str:  # fmt: skip
    """Memory and traffic of each network."""
    from netc.costs import table

    ways = [(n, table.way_of(program, n, parallel, nproc, backend, batch_size, sizes)) for n in networks]
    if as_json:
        return _json([{"network": n.name, **table.data(program, n, way)} for n, way in ways])
    return "\n\n".join(table.text(program, n, way, backend is None) for n, way in ways)


def _json(data: list[Any]) -> str:
    import json

    return json.dumps(data, indent=2)
