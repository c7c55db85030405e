"""What each process holds and sends, where several train one network together.

In: a checked program, the kind of sharing, the number of processes, the backend. Out: `Costs`, in bytes, of the process
that has most. Guarantees: shares are padded as FSDP2 pads them; collectives are those of torch 2.15: rings, in which a
process sends (n - 1) / n of a tensor to gather or to scatter it, and twice that to add it up for all. gloo adds up for
all where nccl scatters.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from netc import ir
from netc.catalog.optimizer_state import state_bytes
from netc.catalog.saved.tape import ITEM_BYTES
from netc.checker.parameter_groups import is_frozen, settings_of
from netc.costs.activations import activations
from netc.shapes import Size
from netc.sharding import units
from netc.summary import Weight, weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KINDS = ("ddp", "fsdp")
BACKENDS = ("nccl", "gloo")


class Way(NamedTuple):
    """How a network is trained: `parallel` is "ddp" or "fsdp", `batch` the global one, `sizes` those that are open."""

    parallel: str
    nproc: int
    backend: str
    batch: int
    sizes: Mapping[str, int]

    @property
    def share(self) -> int:
        """The samples of the process that has most of a batch."""
        return -(-self.batch // self.nproc)


class Costs(NamedTuple):
    """Bytes of the process that has most; `sent` are those of a step, each with what they are for.

    gathered: of other processes' shares, what is there at once at the most, weights and gradients (FSDP).
    buckets: copies of the gradients that are sent (DDP).
    unknown: layers and functions whose activations aren't counted.
    optimizer_known: whether it is known what the optimizer holds.
    """

    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    gathered: int
    buckets: int
    sent: tuple[tuple[str, int], ...]
    unknown: tuple[str, ...]
    optimizer_known: bool = True

    @property
    def together(self) -> int:
        """All of it: what is needed where the backward pass begins, at the most."""
        return (self.parameters + self.buffers + self.gradients + self.optimizer + self.average + self.activations
                + self.gathered + self.buckets)  # fmt: skip


class _Tensor(NamedTuple):
    """A parameter: whether it learns, and the bytes of a share, the padding included, and without it."""

    weight: Weight
    learns: bool
    item: int
    rows: int  # of a share
    unit: str

    @property
    def share(self) -> int:
        shape = self.weight.shape
        return self.rows * prod(shape[1:]) * self.item if shape else self.item

    @property
    def local(self) -> tuple[int, ...]:
        return (self.rows, *self.weight.shape[1:]) if self.weight.shape else ()


def batch_symbol(network: ir.Network) -> str | None:
    """The name of the batch axis, where the network takes any number of samples."""
    first = network.inputs[0].type.shape[0]
    return str(first) if isinstance(first, Size) else None


def open_sizes(network: ir.Network) -> list[str]:
    """The names of the sizes of inputs that only a run tells, the batch aside."""
    found = dict.fromkeys(
        name for i in network.inputs for dim in i.type.shape if isinstance(dim, Size) for name in sorted(dim.symbols)
    )
    return [name for name in found if name != batch_symbol(network)]


def costs(network: ir.Network, train: ir.Train | None, way: Way) -> Costs:
    """What one process holds and sends."""
    shards = way.nproc if way.parallel == "fsdp" else 1
    tensors = list(_tensors(network, train, shards))
    learning = [t for t in tensors if t.learns]
    buffers = sum(w.size * ITEM_BYTES[w.dtype] for w in weights(network) if not w.trained)
    options = ir.Options() if train is None else train.options
    gradients = _bytes(learning)
    if shards > 1 and options.accumulate > 1:  # they are added up whole, and shared out at the end
        gradients += _whole(learning)
    state, known = (0, True) if train is None else _state(train, learning)
    symbol = batch_symbol(network)
    sizes = {**way.sizes, **({} if symbol is None else {symbol: way.share})}
    kept = activations(network, train, sizes, way.backend == "nccl")
    average = 0 if options.ema is None else _bytes(tensors) + buffers
    fsdp = way.parallel == "fsdp"
    return Costs(
        _bytes(tensors), buffers, gradients, state, average, kept.bytes,
        _gathered(tensors) if fsdp and way.nproc > 1 else 0, 0 if fsdp else _bytes(learning),
        tuple(_sent(tensors, buffers, way, options.accumulate)), kept.unknown, known,
    )  # fmt: skip


def _tensors(network: ir.Network, train: ir.Train | None, shards: int) -> Iterator[_Tensor]:
    paths = _units(network.children, "", frozenset(units(network)))
    for weight in weights(network):
        if weight.trained:
            rows = -(-weight.shape[0] // shards) if weight.shape else 1
            unit = next((p for p in paths if weight.path.startswith(p)), "")
            learns = train is None or not is_frozen(weight.path, train)
            yield _Tensor(weight, learns, ITEM_BYTES[weight.dtype], rows, unit)


def _units(children: Iterable[ir.Child], prefix: str, names: frozenset[str]) -> list[str]:
    """The paths of the units, each with a point at its end."""
    found = []
    for child in children:
        path = f"{prefix}{child.label}."
        if isinstance(child, ir.Instance) and child.name in names:
            found.append(path)
        elif not isinstance(child, ir.Layer):
            found += _units(child.children, path, names)
    return found


def _bytes(tensors: Iterable[_Tensor]) -> int:
    return sum(t.share for t in tensors)


def _whole(tensors: Iterable[_Tensor]) -> int:
    return sum(t.weight.size * t.item for t in tensors)


def _state(train: ir.Train, learning: list[_Tensor]) -> tuple[int, bool]:
    """What the optimizer holds of the shares, by the settings of the groups they are in."""
    args = {p.name: train.optimizer.get(p.name) for p in train.optimizer.entry.params}
    total, known = 0, True
    for tensor in learning:
        own = {n: v for n, (v, _) in settings_of(tensor.weight.path, train.groups).items()}
        found = state_bytes(train.optimizer.name, args | own, tensor.local, tensor.item)
        known = known and found is not None
        total += found or 0
    return total, known


def _gathered(tensors: list[_Tensor]) -> int:
    """What no unit has, two units' weights (the one in use and the next), and the gradients of one, twice."""
    by_unit: dict[str, list[_Tensor]] = {}
    for tensor in tensors:
        by_unit.setdefault(tensor.unit, []).append(tensor)
    rest = by_unit.pop("", [])
    sizes = [_whole(unit) for unit in by_unit.values()]
    pairs = max((a + b for a, b in pairwise([*sizes, 0])), default=0)
    gradients = max((_whole(t for t in unit if t.learns) for unit in by_unit.values()), default=0)
    own = _whole(t for t in rest if t.learns)
    return _whole(rest) + pairs + own + max(2 * gradients, own)


def _sent(tensors: list[_Tensor], buffers: int, way: Way, accumulate: int) -> Iterator[tuple[str, int]]:
    """The bytes that a process sends in a step, on the average of all."""
    n = way.nproc
    if way.parallel == "ddp":
        yield "gradients, added up", 2 * (n - 1) * _whole(t for t in tensors if t.learns) // n
        if buffers:
            yield "buffers, from the first process", (n - 1) * buffers // n
        return
    others = (n - 1) * _bytes(tensors)
    yield "weights, gathered for the forward pass", others * accumulate
    yield "weights, gathered for the backward pass", others * accumulate
    twice = 2 if way.backend == "gloo" else 1
    yield "gradients, added up and shared out", twice * (n - 1) * _bytes(t for t in tensors if t.learns)
