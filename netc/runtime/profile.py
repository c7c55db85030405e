"""Where the time of a training step goes: by layer, and by operation.

In: a training script that is run within `watched`, which ends it after some steps. Out: a `Profile`.
Guarantees: the script is the one that trains; what is told are steps of training, the first ones, which are slower,
left out. Backward times belong to the layer whose forward pass they are of. Leaves printing to `netc.tables`.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WARM_UP = 3  # steps before it begins
REST, OPTIMIZER, NETWORK, EVALUATION = "data, loss and the rest", "the optimizer", "functions of forward", "evaluation"
_MARK = "netc "  # before the names of ranges that are layers


class Share(NamedTuple):
    """A layer by its path, or another part of a step; milliseconds for each step."""

    name: str
    forward: float
    backward: float

    @property
    def total(self) -> float:
        return self.forward + self.backward


class Operation(NamedTuple):
    """An operation of torch: milliseconds and calls for each step."""

    name: str
    time: float
    calls: float


class Profile(NamedTuple):
    """What was seen: `step` is the median by the clock, in milliseconds; all other times are of `unit`, cpu or gpu."""

    steps: int
    step: float
    unit: str
    parts: tuple[Share, ...]
    operations: tuple[Operation, ...]


class _Enough(BaseException):
    """Ends the script."""


class _Recording:
    """Counts the steps of the optimizer, marks the layers, and holds the profiler."""

    def __init__(self, steps: int) -> None:
        import torch
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self.profiler: Any = profile(activities=activities)
        self.wanted = steps
        self.count = 0
        self.moments: list[float] = []
        self.names: dict[int, str] = {}
        self.open: list[Any] = []

    def stepped(self, *_: object) -> None:
        """After each step of the optimizer."""
        self.count += 1
        if self.count == WARM_UP:
            self.profiler.start()
        if self.count >= WARM_UP:
            self.moments.append(time.perf_counter())
        if self.count == WARM_UP + self.wanted:
            raise _Enough

    def entered(self, module: Any, *_: object) -> None:
        """Before a module is applied: its range begins."""
        from torch.profiler import record_function

        if not self.open:
            self.names = {id(inner): path for path, inner in module.named_modules()}
        name = self.names.get(id(module), "") or NETWORK
        found: Any = record_function(_MARK + (name if module.training else EVALUATION))
        found.__enter__()
        self.open.append(found)

    def left(self, *_: object) -> None:
        """After a module was applied."""
        if self.open:
            self.open.pop().__exit__(None, None, None)


@contextlib.contextmanager
def watched(steps: int) -> Iterator[list[Profile]]:
    """Run a script in this; it ends when so many steps have been seen. The list has the result afterwards."""
    from torch.nn.modules import module as modules
    from torch.optim.optimizer import register_optimizer_step_post_hook

    recording = _Recording(steps)
    hooks = [
        register_optimizer_step_post_hook(recording.stepped),
        modules.register_module_forward_pre_hook(recording.entered),
        modules.register_module_forward_hook(recording.left),
    ]
    result: list[Profile] = []
    try:
        yield result
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
        seen = recording.count - WARM_UP
        if seen >= 0:
            recording.profiler.stop()
        if seen > 0:
            each = [b - a for a, b in pairwise(recording.moments)]
            result.append(summed(recording.profiler.events(), seen, sorted(each)[len(each) // 2] * 1000))


def summed(events: Iterable[Any], steps: int, step: float) -> Profile:
    """The times of a profiler's events by part and by operation."""
    found = [e for e in events if str(e.device_type).endswith("CPU")]
    on_gpu = any(e.self_device_time_total > 0 for e in found)
    parts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    operations: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    owners = _owners(found)
    for event in found:
        own = (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1000 / steps
        name, backward = _part(event, owners)
        if name == EVALUATION:  # the epoch ended meanwhile
            continue
        parts[name][backward] += own
        if not event.name.startswith((_MARK, "Optimizer.", "autograd::engine")):
            operations[event.name][0] += own
            operations[event.name][1] += 1 / steps
    shares = [Share(name, *times) for name, times in parts.items()]
    ranked = [Operation(name, *times) for name, times in operations.items()]
    return Profile(steps, step, "gpu" if on_gpu else "cpu", tuple(sorted(shares, key=lambda s: -s.total)),
                   tuple(sorted(ranked, key=lambda o: -o.time)))  # fmt: skip


def _owners(events: Iterable[Any]) -> Mapping[int, str]:
    """The layer of each operation that gradients go through, by the number that its backward part has too."""
    out: dict[int, str] = {}
    for event in events:
        if event.sequence_nr >= 0 and not _backward(event):
            name = _layer(event)
            if name is not None:
                out.setdefault(event.sequence_nr, name)
    return out


def _ancestors(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _layer(event: Any) -> str | None:
    """The innermost layer that an event is in."""
    return next((e.name.removeprefix(_MARK) for e in _ancestors(event) if e.name.startswith(_MARK)), None)


def _backward(event: Any) -> Any:
    """The step of autograd that an event is in, or None."""
    return next((e for e in _ancestors(event) if e.name.startswith("autograd::engine")), None)


def _part(event: Any, owners: Mapping[int, str]) -> tuple[str, bool]:
    """What an event belongs to, and whether it is of the backward pass."""
    node = _backward(event)
    if node is not None:
        return owners.get(node.sequence_nr, REST), True
    if any(e.name.startswith("Optimizer.") for e in _ancestors(event)):
        return OPTIMIZER, False
    return _layer(event) or REST, False
