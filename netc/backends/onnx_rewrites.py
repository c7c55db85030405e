"""Functions of PyTorch that its ONNX exporter takes at the traced size only, said in ones that it takes at every size.

In: nothing. Out: `general_forms`, inside which the functions below stand in for torch's own.
Guarantees: the same results up to the order of a sum; torch is as it was afterwards.
Leaves to others: everything else that an exporter fixes, which the comparison of `onnx` finds.

`max_pool1d`: without gradients torch runs a kernel of its own, which asks for the length as a number.
`adaptive_avg_pool*d`: the exporter unrolls the windows, or makes one fixed window where the traced size divides evenly.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@contextmanager
def general_forms() -> Iterator[None]:
    """Put the general forms in the place of torch's functions while the block runs."""
    import torch
    from torch.nn import functional

    changes: list[tuple[Any, str, Any]] = [(torch, "max_pool1d", _max_pool1d)]
    for sides in (1, 2, 3):
        name = f"adaptive_avg_pool{sides}d"
        changes.append((functional, name, _adaptive_average(sides, getattr(functional, name))))
    former = [(home, name, getattr(home, name)) for home, name, _ in changes]
    try:
        for home, name, function in changes:
            setattr(home, name, function)
        yield
    finally:
        for home, name, function in former:
            setattr(home, name, function)


def _max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """A sequence is a picture of height 1."""
    from torch.nn import functional

    def wide(value: Any, rest: int) -> tuple[int, int]:
        return rest, value[0] if isinstance(value, (tuple, list)) else value

    return functional.max_pool2d(
        input.unsqueeze(-2),
        wide(kernel_size, 1),
        wide(stride or kernel_size, 1),
        wide(padding, 0),
        wide(dilation, 1),
        ceil_mode,
    ).squeeze(-2)


def _adaptive_average(sides: int, of_torch: Any) -> Any:
    def pool(input: Tensor, output_size: Any) -> Any:
        if all(isinstance(length, int) for length in input.shape[-sides:]):
            return of_torch(input, output_size)
        sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * sides
        result = input
        for axis, size in zip(range(-sides, 0), sizes, strict=True):
            if size == 1:
                result = result.mean(axis, keepdim=True)
            elif size is not None:
                weights = _windows(result.shape[axis], size, result)
                result = (result.transpose(axis, -1) @ weights).transpose(axis, -1)
        return result

    return pool


def _windows(length: Any, count: int, like: Tensor) -> Tensor:
    """A matrix [length, count]: in each column the mean over one window, from floor(i·L/n) up to ceil((i + 1)·L/n)."""
    import torch

    number = torch.arange(count, device=like.device)
    first = number * length // count
    end = ((number + 1) * length + (count - 1)) // count
    place = torch.arange(length, device=like.device).unsqueeze(1)
    inside = (place >= first) & (place < end)
    weights: Tensor = inside.to(like.dtype) / (end - first).to(like.dtype)
    return weights
