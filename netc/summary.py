"""What a network is made of, as a table: layers, the shapes they give, parameters and multiply-adds.

In: a checked network. Out: text of at most 80 columns (long names apart). Nothing is built, so that torch isn't needed.
Costs are exact: parameters as torch creates them, multiply-adds for one sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc import ir
from netc.shapes import product, substitute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.shapes import Dim


class Weight(NamedTuple):
    """A parameter or buffer of the state dict, by its path."""

    path: str
    shape: tuple[int, ...]
    trained: bool
    dtype: str = "float32"

    @property
    def size(self) -> int:
        return _number(product(self.shape))


def weights(network: ir.Network) -> list[Weight]:
    """The entries of the state dict, in its order."""
    return entries(network.held, network.children)


def entries(held: tuple[ir.Held, ...], children: tuple[ir.Child, ...]) -> list[Weight]:
    """What a module holds and what its children hold, in the order of torch."""
    return [*_held(held, ""), *(w for child in children for w in _weights(child, ""))]


def _held(held: tuple[ir.Held, ...], prefix: str) -> Iterator[Weight]:
    for trained in (True, False):
        for one in held:
            if one.trained == trained and one.persistent:
                yield Weight(f"{prefix}{one.name}", tuple(map(_number, one.type.shape)), trained, one.type.dtype)


def _weights(child: ir.Child, prefix: str) -> Iterator[Weight]:
    path = f"{prefix}{child.label}"
    if isinstance(child, ir.Instance):
        yield from _held(child.held, f"{path}.")
    if not isinstance(child, ir.Layer):
        for inner in child.children:
            yield from _weights(inner, f"{path}.")
        return
    entry = child.call.entry
    args = {p.name: child.call.get(p.name) for p in entry.params}
    rule = entry.rule
    if rule is not None and rule.state is not None:
        for name, shape in rule.state(args).items():
            yield Weight(f"{path}.{name}", tuple(map(_number, shape)), True)
    if rule is not None and rule.buffers is not None:
        for name, (shape, dtype) in rule.buffers(args).items():
            yield Weight(f"{path}.{name}", tuple(map(_number, shape)), False, dtype)


def _number(dim: Dim) -> int:
    assert isinstance(dim, int)
    return dim


HEADER = ("layer", "", "output", "parameters", "multiply-adds")


def summary(network: ir.Network, per_parameter: bool = False) -> str:
    """The table of a network; with each parameter and buffer below it if asked for."""
    lines = [network.name, "", *_table((HEADER, *rows(network))), "", *totals(network)]
    if per_parameter:
        entries = [
            (w.path, str(list(w.shape)), f"{w.size:,}", "" if w.trained else f"buffer, {w.dtype}")
            for w in weights(network)
        ]
        lines += ["", *_table((("parameter", "shape", "size", ""), *entries), right=(2,))]
    return "\n".join(line.rstrip() for line in lines)


def data(network: ir.Network, per_parameter: bool = False) -> dict[str, object]:
    """The same for JSON; multiply-adds and activations are of one sample, and text where a size is open."""
    counts = [_one(r.macs, network) for r in network.rows]
    table = [
        {"layer": path, "name": name, "output": output, "parameters": int(own.replace(",", "") or 0),
         "multiply_adds": _plain(cost)}
        for (path, name, output, own, _), cost in zip(rows(network), [0] * len(network.inputs) + counts, strict=True)
    ]  # fmt: skip
    found: dict[str, object] = {
        "network": network.name,
        "parameters": sum(w.size for w in weights(network) if w.trained),
        "multiply_adds": _plain(sum(counts, start=0)),
        "rows": table,
    }
    if per_parameter:
        found["weights"] = [w._asdict() | {"size": w.size} for w in weights(network)]
    return found


def _plain(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(dim)


def rows(network: ir.Network) -> list[tuple[str, str, str, str, str]]:
    """A row for each input and each application of a layer or function: the columns of `HEADER`."""
    counts: dict[str, int] = {}
    for weight in weights(network):
        if weight.trained:
            layer = weight.path.rpartition(".")[0]
            counts[layer] = counts.get(layer, 0) + weight.size
    found = [("", f"input {i.name}", str(i.type), "", "") for i in network.inputs]
    for row in network.rows:
        count = counts.pop(row.path, None)
        own = f"{count:,}" if count else ""
        cost = _shown(_one(row.macs, network))
        found.append((row.path, row.name, str(row.output), own, cost if len(cost) <= 16 else "open"))
    return found


def totals(network: ir.Network) -> list[str]:
    """The parameters, and what one sample takes, a sentence each."""
    trained = sum(w.size for w in weights(network) if w.trained)
    macs = sum((_one(r.macs, network) for r in network.rows), start=0)
    activations = sum((_one(product(r.output.shape), network) for r in network.rows), start=0)
    return [f"{trained:,} parameters ({_bytes(4 * trained)} in float32)",
            f"{_shown(macs) or '0'} multiply-adds for each sample",
            f"{_memory(activations)} of activations for each sample"]  # fmt: skip


def _one(dim: Dim, network: ir.Network) -> Dim:
    """The size for a single sample: the batch axis is 1."""
    batch = {str(i.type.shape[0]): 1 for i in network.inputs if not isinstance(i.type.shape[0], int)}
    fixed = next((i.type.shape[0] for i in network.inputs if isinstance(i.type.shape[0], int)), 1)
    one = substitute(dim, dict(batch))
    return one // fixed if isinstance(one, int) and not batch else one


def _shown(dim: Dim) -> str:
    if isinstance(dim, int):
        return f"{dim:,}" if dim else ""
    return str(dim)


def _memory(dim: Dim) -> str:
    return _bytes(4 * dim) if isinstance(dim, int) else f"4 * ({dim}) bytes"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _table(rows: tuple[tuple[str, ...], ...], right: tuple[int, ...] = (3, 4)) -> list[str]:
    """Columns as wide as their widest cell, two blanks between them, a line below the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells))
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
