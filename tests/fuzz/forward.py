"""A program that checks clean, run: its module is built, and called on the CPU at sizes of its own.

In: a seed. Out: whether the results have the types and shapes that the checker said, in evaluation and in training.
Sizes that the program leaves open are drawn; one that is too small for a kernel is refused by torch, and a larger one
is drawn then. Networks beyond a size are not run, and counted; so are those that need larger sizes than were tried.
"""

from __future__ import annotations

import signal
import warnings
from math import prod
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from netc.api import execute
from netc.compiler import analyse, emit
from netc.shapes import evaluate
from netc.summary import weights
from tests.fuzz.check import _hangs, _traceback
from tests.fuzz.inputs import make

if TYPE_CHECKING:
    from netc import ir

TRIES = (
    {"least": 1, "most": 9, "batch": 2}, {"least": 8, "most": 24, "batch": 12}, {"least": 32, "most": 64, "batch": 2},
    {"least": 224, "most": 256, "batch": 2},
)  # fmt: skip
BATCH = ("N", "B")  # open sizes that are never too small; 12 samples can be shared out where 2 can't
WEIGHTS, COSTS, HANGS = 60_000_000, 20_000_000_000, 120


class Ran(NamedTuple):
    """What came of running a seed: how many networks ran, were too large, what refused all open sizes, what differs."""

    seed: int
    networks: int
    skipped: int
    problem: str = ""
    refused: str = ""


class _Refused(Exception):
    """The network has open sizes, and torch refused all that were tried."""


def ran(seed: int) -> Ran:
    """Build and run the networks of a seed's program; what torch only warns of is right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _ran(seed)


def _ran(seed: int) -> Ran:
    given = make(seed)
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS)
    count = skipped = 0
    try:
        checked = analyse(given.text, "fuzz.net", "fuzz")
        assert checked.program is not None
        namespace: dict[str, Any] = vars(execute(emit(checked.program).model, "fuzz"))
        for network in checked.program.networks:
            if _too_large(network):
                skipped += 1
                continue
            count += 1
            problem = _run(namespace[network.name], network, Random(seed))
            if problem:
                return Ran(seed, count, skipped, f"{network.name}: {problem}")
    except _Refused as refused:
        return Ran(seed, count - 1, skipped, "", str(refused))
    except Exception:
        return Ran(seed, count, skipped, _traceback())
    finally:
        signal.alarm(0)
    return Ran(seed, count, skipped)


def _too_large(network: ir.Network) -> bool:
    total = sum(prod(w.shape) for w in weights(network))
    shapes = [i.type.shape for i in network.inputs]
    fixed = max((prod(d if isinstance(d, int) else 1 for d in shape) for shape in shapes), default=0)
    costs = sum(row.macs if isinstance(row.macs, int) else 0 for row in network.rows)
    largest = max((_activations(row.output) for row in network.rows), default=0)
    return max(total, fixed, largest) > WEIGHTS or costs > COSTS


def _activations(type_: Any) -> int:
    return prod(d if isinstance(d, int) else 1 for d in getattr(type_, "shape", ()))


def _run(cls: Any, network: ir.Network, chance: Random) -> str:
    """What differs from the prediction, or nothing."""
    module = cls()
    for training in (False, True):
        module.train(training)
        problem, refused = "nothing was tried", False
        for tried in TRIES:
            sizes = _sizes(network, chance, **tried)
            try:
                with torch.no_grad():
                    result = module(*(_tensor(i, sizes, network) for i in network.inputs))
            except (RuntimeError, ValueError, IndexError, AssertionError) as error:
                problem = f"{sizes}, training={training}: {error}"
                refused = any(name not in BATCH for name in sizes)
                continue
            problem, refused = _differs(result, network, sizes, training), False
            break
        if problem and refused:
            raise _Refused(problem)
        if problem:
            return problem
    return ""


def _sizes(network: ir.Network, chance: Random, least: int, most: int, batch: int) -> dict[str, int]:
    """A size for each symbol; the batch has two samples at least."""
    symbols = sorted({name for i in network.inputs for d in i.type.shape for name in _symbols(d)})
    sizes = {name: chance.randint(least, most) for name in symbols}
    for i in network.inputs:
        for name in _symbols(i.type.shape[0]) if i.type.shape else ():
            sizes[name] = batch
    return sizes


def _symbols(size: Any) -> list[str]:
    return [] if isinstance(size, int) else sorted(size.symbols)


def _tensor(declared: ir.Input, sizes: dict[str, int], network: ir.Network) -> torch.Tensor:
    shape = [evaluate(d, sizes) for d in declared.type.shape]
    dtype = getattr(torch, declared.type.dtype)
    if dtype.is_floating_point or dtype.is_complex:
        return torch.rand(shape, dtype=dtype)
    high = 2 if dtype == torch.bool else network.looked_up.get(declared.name, 2)
    return torch.randint(0, max(1, high), shape).to(dtype)


def _differs(result: Any, network: ir.Network, sizes: dict[str, int], training: bool) -> str:
    """Compare the results with the outputs that the checker said."""
    wanted = [o for o in network.outputs if training or not o.training]
    found = list(result) if isinstance(result, tuple) else [result]
    if len(wanted) != len(found):
        return f"{len(found)} results, and {len(wanted)} were said"
    for output, tensor in zip(wanted, found, strict=True):
        if not isinstance(tensor, torch.Tensor):
            continue
        shape = [evaluate(d, sizes) for d in output.type.shape]
        if list(tensor.shape) != shape or str(tensor.dtype) != f"torch.{output.type.dtype}":
            return f"gives {list(tensor.shape)} {tensor.dtype}, said {shape} {output.type.dtype} at {sizes}"
    return ""
