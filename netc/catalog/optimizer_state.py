"""How much an optimizer of torch remembers of each parameter.

In: the name of an optimizer, its arguments with defaults filled in, the shape of a parameter (or of a process's
share of it). Out: bytes. Guarantees: what torch 2.15 holds after a step, counters of steps included; a test asks torch.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLOAT = 4  # bytes of a float32; counters of steps are such numbers, too
# Averages as large as the parameter, and single numbers.
_COPIES = {
    "ASGD": (1, 3), "Adadelta": (2, 1), "Adagrad": (1, 1), "Adam": (2, 1), "AdamW": (2, 1), "Adamax": (2, 1),
    "NAdam": (2, 2), "RAdam": (2, 1), "Rprop": (2, 1), "SparseAdam": (2, 0), "Muon": (1, 0),
}  # fmt: skip


def state_bytes(name: str, args: Mapping[str, object], shape: Sequence[int], size: int = FLOAT) -> int | None:
    """The bytes of the state of one parameter; None for an optimizer that isn't known."""
    numel = prod(shape)
    if name == "SGD":
        return numel * size if args["momentum"] else 0
    if name == "RMSprop":
        return (1 + bool(args["momentum"]) + bool(args["centered"])) * numel * size + FLOAT
    if name == "Adafactor":
        return FLOAT + size * (prod(shape[:-1]) + prod(shape[:-2]) * shape[-1] if len(shape) > 1 else numel)
    if name == "LBFGS":  # differences of weights and of gradients, the last gradient and the direction
        history = args["history_size"]
        assert isinstance(history, int)
        return (2 * history + 2) * numel * size
    if name not in _COPIES:
        return None
    copies, numbers = _COPIES[name]
    copies += 1 if args.get("amsgrad") else 0
    return copies * numel * size + numbers * FLOAT
