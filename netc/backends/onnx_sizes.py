"""Which sizes an ONNX export is traced and tried at.

In: a module and the types of its inputs, symbols among their sizes. Out: `Plan`, one assignment of the symbols to trace
with and others to compare at, and `samples`, seeded random inputs for an assignment.
Guarantees: the module ran at every size in a plan; each symbol has at least two sizes that were not traced.
Leaves to others: the export itself.

What sizes a network takes is unknown (a multiple of 32, at least 30, at most its context), so they are found by
running it: first with multiples of 32 for pictures, which most networks take, and short for sequences, because an
exporter that unrolls a loop over one takes long. The comparison then has a multiple of the traced size and an odd one
where they work: what was traced at a size that divides evenly is often wrong at others.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

    from netc.ir import Input
    from netc.shapes import TensorType

    Sizes = Mapping[str, int]

_SEQUENCE = ((24,),)
_DIFFERENT = ((96, 160, 224, 64), (16, 24, 40, 32), (8, 12, 20, 4), (47, 59, 83, 71), (7, 11, 5, 19), (3, 5, 7, 11))
_MULTIPLES = (64, 32, 128, 224, 256, 320, 512, 1024, 4096, 16384)
_BATCHES = (2, 3, 4)
# Kept small enough that finding the sizes of a large network does not take longer than exporting it.
_MOST_ELEMENTS = 2**21
_WANTED = 2


class Plan(NamedTuple):
    """The sizes of every symbol at the trace, and those at which the two runtimes are compared."""

    traced: Sizes
    trials: tuple[Sizes, ...]


def plan(module: torch.nn.Module, inputs: tuple[Input, ...], integer_range: Mapping[str, int]) -> Plan:
    """Find sizes that the module accepts. A network with no symbol has one trial, with nothing to choose.

    Raises:
        UserError: it runs at none of the sizes, or an axis declared as open has fewer than three sizes that work.
    """
    tried: list[tuple[Sizes, Exception]] = []

    def accepts(sizes: Sizes) -> bool:
        problem = _problem(module, samples(inputs, sizes, integer_range))
        if problem is not None:
            tried.append((sizes, problem))
        return problem is None

    names = symbols(inputs)
    if not names:
        if not accepts({}):
            raise UserError(f"the network does not run on its own input: {_said(tried[-1][1])}") from tried[-1][1]
        return Plan({}, ({},))
    traced = next((sizes for sizes in _to_trace(inputs) if accepts(sizes)), None)
    if traced is None:
        raise UserError(
            f"no sizes were found for {_list(names)} at which the network runs",
            "write the sizes that it needs as numbers in the `input` line",
            "\n".join(f"at {describe(sizes)}: {_said(problem)}" for sizes, problem in tried),
        ) from tried[-1][1]
    return Plan(traced, tuple(_trials(inputs, traced, accepts)))


def integer_ranges(module: torch.nn.Module, inputs: tuple[Input, ...], sizes: Sizes) -> dict[str, int]:
    """For each input that goes straight into an embedding, how many rows there are to look up: the smallest of them."""
    import torch

    tensors, found = samples(inputs, sizes, {}), dict[str, int]()

    def note(layer: torch.nn.Module, arguments: tuple[object, ...]) -> None:
        for entry, tensor in zip(inputs, tensors, strict=True):
            if isinstance(layer, (torch.nn.Embedding, torch.nn.EmbeddingBag)) and arguments[0] is tensor:
                found[entry.name] = min(layer.num_embeddings, found.get(entry.name, layer.num_embeddings))

    handles = [child.register_forward_pre_hook(note) for child in module.modules()]
    try:
        with torch.no_grad():
            module(*tensors)
    finally:
        for handle in handles:
            handle.remove()
    return found


def symbols(inputs: tuple[Input, ...]) -> tuple[str, ...]:
    """The symbols among the sizes of the inputs, in the order in which they appear."""
    dims = (dim for entry in inputs for dim in entry.type.shape)
    return tuple(dict.fromkeys(str(dim) for dim in dims if not isinstance(dim, int)))


def samples(
    inputs: tuple[Input, ...], sizes: Sizes, integer_range: Mapping[str, int], seed: int = 0
) -> tuple[torch.Tensor, ...]:
    """Random inputs, the same for the same sizes and seed: normal floats; integers from 0 below their range."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for entry in inputs:
        shape, dtype = _shape(entry.type, sizes), getattr(torch, entry.type.dtype)
        if dtype.is_floating_point or dtype.is_complex:
            drawn.append(torch.randn(shape, generator=generator).to(dtype))
        else:
            high = integer_range.get(entry.name, 256 if dtype == torch.uint8 else 2)
            drawn.append(torch.randint(high, shape, generator=generator).to(dtype))
    return tuple(drawn)


def describe(sizes: Sizes) -> str:
    """`N=2, H=131`, as messages and reports print sizes."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items()) or "the fixed sizes"


def _shape(type: TensorType, sizes: Sizes) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else sizes[str(dim)] for dim in type.shape)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def _problem(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> Exception | None:
    """What the module says against these inputs; None if it takes them. Whatever it raises is a refusal."""
    import torch

    try:
        with torch.no_grad():
            module(*tensors)
    except Exception as error:
        return error
    return None


def _batch_symbols(inputs: tuple[Input, ...]) -> tuple[str, ...]:
    first = (entry.type.shape[0] for entry in inputs if entry.type.shape)
    return tuple(dict.fromkeys(str(dim) for dim in first if not isinstance(dim, int)))


def _to_trace(inputs: tuple[Input, ...]) -> Iterator[Sizes]:
    """Sizes worth tracing with, the best first: different for every symbol, then equal ones."""
    batch = _batch_symbols(inputs)
    rest = [name for name in symbols(inputs) if name not in batch]
    first = {name: _BATCHES[i % len(_BATCHES)] for i, name in enumerate(batch)}
    rows = (*_SEQUENCE, *_DIFFERENT) if len(rest) == 1 else _DIFFERENT
    patterns = [{name: row[i % len(row)] for i, name in enumerate(rest)} for row in rows]
    patterns += [{name: base * (i + 1) for i, name in enumerate(rest)} for base in _MULTIPLES]
    patterns += [dict.fromkeys(rest, base) for base in (96, 16, 8, *_MULTIPLES)]
    choices = [first | pattern for pattern in patterns if rest] or [first]
    choices += [dict.fromkeys((*batch, *rest), base) for base in (2, 8, *_MULTIPLES)]
    return (sizes for sizes in choices if _fits(inputs, sizes))


def _fits(inputs: tuple[Input, ...], sizes: Sizes) -> bool:
    smallest = sum(prod(_shape(entry.type, dict.fromkeys(sizes, 1))) for entry in inputs)
    return sum(prod(_shape(entry.type, sizes)) for entry in inputs) <= max(_MOST_ELEMENTS, 8 * smallest)


def _trials(inputs: tuple[Input, ...], traced: Sizes, accepts: Callable[[Sizes], bool]) -> Iterator[Sizes]:
    """Sizes to compare at: all symbols changed at once where that works, then one by one."""
    batch = _batch_symbols(inputs)
    options = {name: _others(size, name in batch) for name, size in traced.items()}
    together = [{name: options[name][i] for name in traced} for i in range(len(next(iter(options.values()))))]
    together += [{name: factor * size for name, size in traced.items()} for factor in (2, 3)]
    alone = [{**traced, name: size} for name, sizes in options.items() for size in sizes]
    seen: dict[str, set[int]] = {name: {size} for name, size in traced.items()}
    for sizes in together + alone:
        fresh = [name for name, size in sizes.items() if size not in seen[name] and len(seen[name]) <= _WANTED]
        if min(sizes.values()) < 1 or not fresh or not _fits(inputs, sizes) or not accepts(sizes):
            continue
        for name, size in sizes.items():
            seen[name].add(size)
        yield sizes
    for name, found in seen.items():
        if len(found) <= _WANTED:
            raise UserError(
                f"`{name}` is an open size, but the network was seen to run with {name} = {_list(sorted(found))} only",
                f"write the size as a number in place of `{name}`",
            )


def _others(size: int, is_batch: bool) -> tuple[int, ...]:
    """Sizes other than the traced one: for a batch a single sample first; else a multiple, then what lies near."""
    if is_batch:
        return (1, size + 3, 2 * size, size + 1, 3 * size, size + 2, size + 5, 4 * size, 5 * size, size + 6, size + 7)
    near = (size - 3, size + 1, 3 * size, size + 16, size // 2, size + 32, size - 1, size - 2, 1, 4 * size)
    return (2 * size, *near)


def _list(items: tuple[object, ...] | list[int]) -> str:
    return ", ".join(f"`{item}`" if isinstance(item, str) else str(item) for item in items)
