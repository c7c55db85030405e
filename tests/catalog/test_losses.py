"""What netc says of the tensors of a loss, held against torch: what it accepts, torch computes, with that shape."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from netc import catalog
from netc.catalog import loss_facts
from netc.shapes import Reject, TensorType

SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (3, 1), (3, 4), (4, 3), (3, 4, 2), (3, 2))
DTYPES = ("float32", "int64")
NAMES = [n for n in catalog.losses() if n not in loss_facts.REFUSED and n != "CTCLoss"]


def tensor(shape: tuple[int, ...], dtype: str, first: bool) -> torch.Tensor:
    if dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    made = torch.full(shape, 0.5)
    return made.requires_grad_() if first else made


def asked(name: str, types: tuple[TensorType, ...], reduction: str) -> Any:
    """The shape that torch gives, or None where it raises, at the latest when gradients are computed."""
    given = [tensor(t.shape, t.dtype, i == 0) for i, t in enumerate(types)]  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = getattr(nn, name)(reduction=reduction)(*given)
            result.sum().backward()
        except (RuntimeError, ValueError, IndexError, TypeError):
            return None
    return tuple(result.shape)


def draws(name: str) -> list[tuple[TensorType, ...]]:
    """Types of the tensors of a loss: all of two; for three the second as the first, or all but the shape."""
    count = len(loss_facts.tensors(name).names)
    types = [TensorType(s, d) for s, d in itertools.product(SHAPES, DTYPES)]
    if count == 2:
        return list(itertools.product(types, types))
    floats = [t for t in types if t.dtype == "float32"]
    return [(a, b, c) for a in floats for b in floats for c in types]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_accepted_is_computed(name: str, reduction: str) -> None:
    entry = catalog.loss(name)
    assert entry is not None
    args = {p.name: p.default for p in entry.params} | {"reduction": reduction}
    accepted = 0
    for types in draws(name):
        found = loss_facts.loss_type(name, args, types)
        if isinstance(found, Reject):
            continue
        accepted += 1
        assert asked(name, types, reduction) == found.shape, (name, types)
    assert accepted > 2


@pytest.mark.parametrize("name", NAMES)
def test_what_is_rejected_is_rejected_or_broadcast(name: str) -> None:
    """Torch takes more only where it would broadcast, convert, or count a batch of none."""
    entry = catalog.loss(name)
    assert entry is not None
    args = {p.name: p.default for p in entry.params}
    for types in draws(name):
        same = len({t.shape for t in types}) == 1 and all(t.dtype == "float32" for t in types)
        plain = same and len(types[0].shape) == 2 and name not in ("NLLLoss", "MultiMarginLoss", "MultiLabelMarginLoss",
                                                                   "CosineEmbeddingLoss")  # fmt: skip
        if plain:
            assert not isinstance(loss_facts.loss_type(name, args, types), Reject), (name, types)


def test_functions_are_torch_s() -> None:
    assert set(loss_facts.FUNCTIONS.values()) == {*NAMES, "CTCLoss"}
    assert all(hasattr(nn.functional, name) for name in loss_facts.FUNCTIONS)
