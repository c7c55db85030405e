"""What a step costs each process, as text of at most 80 columns and as data.

In: a checked program and how it is to be trained. Out: text, or a dictionary for JSON; a `UserError` where something is
missing that only the user can say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.costs.sharing import BACKENDS, KINDS, Costs, Way, batch_symbol, costs, open_sizes
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc import ir

_DEVICES = {"nccl": "GPUs", "gloo": "CPUs"}


def way_of(
    program: ir.Program, network: ir.Network, parallel: str | None, nproc: int, backend: str | None,
    batch: int | None, sizes: Mapping[str, int],
) -> Way:  # fmt: skip
    """How the network is trained: what isn't given is taken from the program; nccl where no backend is given."""
    train, data = program.train, program.data
    kind = parallel or getattr(train.options if train else None, "parallel", None) or "ddp"
    first = network.inputs[0].type.shape[0]
    known = batch if batch is not None else data.batch_size if data is not None else None
    if known is None and isinstance(first, int):
        known = first
    if known is None:
        raise UserError(f"`{network.name}` has no data with a batch size", help="say one: `--batch-size 256`")
    if known < nproc:
        raise UserError(f"a batch of {known} has no sample for each of {nproc} processes",
                        help=f"take at least {nproc}: `--batch-size {nproc}`")  # fmt: skip
    missing = [name for name in open_sizes(network) if name not in sizes]
    if missing:
        raise UserError(f"`{missing[0]}` is open in the inputs of `{network.name}`",
                        help=f"say how large it is: `--size {missing[0]}=128`")  # fmt: skip
    unknown = [name for name in sizes if name not in open_sizes(network)]
    if unknown:
        listed = ", ".join(f"`{n}`" for n in open_sizes(network)) or "none but the batch"
        raise UserError(f"`{network.name}` has no open size `{unknown[0]}`", help=f"open are: {listed}")
    return Way(kind, nproc, backend or BACKENDS[0], known, sizes)


def compared(program: ir.Program, network: ir.Network, way: Way) -> tuple[Costs, Costs]:
    """What one process alone holds, and what each of several does."""
    train = program.train if network is program.trained else None
    return costs(network, train, way._replace(nproc=1)), costs(network, train, way)


def text(program: ir.Program, network: ir.Network, way: Way, assumed: bool) -> str:
    """The tables of memory and traffic. `assumed` says that the backend wasn't given."""
    alone, each = compared(program, network, way)
    train = program.train if network is program.trained else None
    plural = "process" if way.nproc == 1 else "processes"
    lines = [
        f"{network.name}: {way.parallel} in {way.nproc} {plural}",
        f"{way.backend} on {_DEVICES[way.backend]}"
        + (", which is assumed: --backend gloo counts for CPUs" if assumed else ""),
        _batch(network, way),
        "",
        *_columns([("memory of a process", "alone", f"of {way.nproc}"), *_memory(alone, each, train, way)]),
        "",
        *_columns([("sent by a process in a step", "bytes"), *_traffic(each)]),
    ]
    return "\n".join([*lines, *_notes(each, train, way)])


def _batch(network: ir.Network, way: Way) -> str:
    if batch_symbol(network) is None:
        return f"a batch of {network.inputs[0].type.shape[0]}, which the file fixes: each process is counted with it"
    extra = "".join(f", {name} = {value}" for name, value in way.sizes.items())
    most = "" if way.batch % way.nproc == 0 else "at most "
    samples = "sample" if way.share == 1 else "samples"
    return f"a batch of {way.batch:,}, {most}{way.share:,} {samples} a process{extra}"


def _memory(alone: Costs, each: Costs, train: ir.Train | None, way: Way) -> list[tuple[str, ...]]:
    name = "" if train is None else f", {train.optimizer.name}"
    rows = [
        ("parameters", alone.parameters, each.parameters), ("buffers", alone.buffers, each.buffers),
        ("gradients", alone.gradients, each.gradients), (f"optimizer state{name}", alone.optimizer, each.optimizer),
        ("average of the weights", alone.average, each.average),
        ("activations", alone.activations, each.activations), ("gathered weights, gradients", 0, each.gathered),
        ("buckets of gradients", 0, each.buckets),
    ]  # fmt: skip
    # Alone, a script without `parallel` has no buckets.
    whole = alone.together - alone.buckets
    shown = [(n, _size(a), _size(b)) for n, a, b in rows if a or b]
    return [*shown, ("together, at the most", _size(whole), _size(each.together))]


def _traffic(each: Costs) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(name, _size(count)) for name, count in each.sent]
    return rows if len(rows) < 2 else [*rows, ("together", _size(sum(n for _, n in each.sent)))]


def _notes(each: Costs, train: ir.Train | None, way: Way) -> list[str]:
    notes = []
    if each.unknown:
        notes += ["", *_wrapped(f"activations are more than that: not counted is what {_listed(each.unknown)} "
                                f"{'keeps' if len(each.unknown) == 1 else 'keep'}")]  # fmt: skip
    if train is None:
        notes += ["", "no `train` section: neither an optimizer nor a loss is counted"]
    elif not each.optimizer_known:
        notes += ["", f"not counted is what {train.optimizer.name} holds"]
    if train is not None and train.options.precision in ("fp16", "bf16"):
        notes += ["", *_wrapped(f'activations are counted in float32: with precision = "{train.options.precision}" '
                                "most of them take half, and copies of the weights come to it")]  # fmt: skip
    if train is not None and train.options.compile:
        notes += ["", *_wrapped("activations are counted as without `compile`, which keeps less of them")]
    return notes


def _listed(names: tuple[str, ...]) -> str:
    shown = [f"`{n}`" if n.isidentifier() else n for n in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _wrapped(line: str) -> list[str]:
    from textwrap import wrap

    return wrap(line, 80)


def _size(count: int) -> str:
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B" if count else "-"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
             for r in rows]  # fmt: skip
    return [lines[0], "-" * len(lines[0]), *(line.rstrip() for line in lines[1:])]


def data(program: ir.Program, network: ir.Network, way: Way) -> dict[str, Any]:
    """The same as data: bytes of the process that has most."""
    _, each = compared(program, network, way)
    memory = {n: getattr(each, n) for n in ("parameters", "buffers", "gradients", "optimizer", "average", "activations",
                                            "gathered", "buckets", "together")}  # fmt: skip
    return {
        "parallel": way.parallel, "nproc": way.nproc, "backend": way.backend, "batch_size": way.batch,
        "samples": way.share, "sizes": dict(way.sizes), "memory": memory, "sent": dict(each.sent),
        "not_counted": [*each.unknown, *([] if each.optimizer_known else ["optimizer"])],
    }  # fmt: skip


__all__ = ["BACKENDS", "KINDS", "data", "text", "way_of"]
