"""What each optimizer remembers, against torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from netc import catalog
from netc.catalog.optimizer_state import state_bytes

SHAPES = ((5, 3), (4,), (2, 3, 3, 3))
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {"amsgrad": True}),
    ("AdamW", {"amsgrad": True}), ("RMSprop", {"momentum": 0.5}), ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True}), ("LBFGS", {"history_size": 3}),
]  # fmt: skip


def held(value: Any) -> dict[int, int]:
    """The bytes of all tensors in a state, by their storages."""
    if isinstance(value, Tensor):
        return {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes()}
    several = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {place: size for part in several for place, size in held(part).items()}


def measured(name: str, args: dict[str, Any], shapes: tuple[tuple[int, ...], ...]) -> int:
    torch.manual_seed(0)
    parameters = [torch.randn(s, requires_grad=True) for s in shapes]
    optimizer = getattr(torch.optim, name)(parameters, lr=0.001, **args)

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.stack([(p**2).sum() + (p[:1].exp() ** 2).sum() for p in parameters]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        if name == "SparseAdam":
            for p in parameters:
                p.grad = p.grad.to_sparse() if p.grad is not None else None
        return total

    for _ in range(5):
        optimizer.step(loss)
    return sum(held(dict(enumerate(optimizer.state.values()))).values())


@pytest.mark.parametrize(("name", "args"), [*((name, {}) for name in catalog.optimizers()), *CASES])
def test_the_state_is_as_large_as_the_catalog_says(name: str, args: dict[str, Any]) -> None:
    entry = catalog.optimizer(name)
    assert entry is not None
    if name == "LBFGS" and not args:
        args = {"history_size": 2}
    shapes = ((5, 3), (4, 4)) if name == "Muon" else SHAPES
    bound = {p.name: p.default for p in entry.params} | args
    said = [state_bytes(name, bound, s) for s in shapes]
    assert None not in said
    assert sum(n for n in said if n is not None) == pytest.approx(measured(name, args, shapes), rel=0.02)


def test_an_optimizer_that_is_not_known_is_no_guess() -> None:
    assert state_bytes("Other", {}, (3, 4)) is None
