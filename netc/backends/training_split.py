"""What is held out of the training set, and in which order its samples come, as Python of `train.py`.

In: the plan of `training`. Out: the function `split`, and the one that gives the order of an epoch. Guarantees: a
sampler draws what torch's does behind a DataLoader with the same seed, and `split = "random"` shares out as
`torch.utils.data.random_split` does. Leaves to others: what is done with the indices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.backends.training_main import select
from netc.backends.training_text import SHUFFLED
from netc.literals import literal

if TYPE_CHECKING:
    from netc import ir

_SPLIT = '''
def split(labels: Tensor) -> dict[str, Tensor]:
stratified|    """The images of each part, drawn by chance, of each class its share."""
random|    """The images of each part, drawn by chance as random_split does."""
ordered|    """The images of each part: the last ones are held out."""
    counts = {@COUNTS@}
    rest = len(labels) - sum(counts.values())
    if rest < 1 or min(counts.values()) < 1:
        fail(f"cannot hold {counts} of {len(labels)} images out")
!ordered|    generator = torch.Generator().manual_seed(SEED)
!ordered|    order = torch.randperm(len(labels), generator=generator)
stratified|    order = order[labels[order].argsort(stable=True)]  # one class after another
stratified|    parts = {}
stratified|    for part, count in counts.items():
stratified|        kept = torch.ones(len(order), dtype=torch.bool)
stratified|        kept[torch.arange(count) * len(order) // count] = False  # evenly over them
stratified|        parts[part] = order[~kept].sort().values
stratified|        order = order[kept]
stratified|    return {"train": order.sort().values, **parts}
random|    parts = order.split([rest, *counts.values()])
ordered|    parts = torch.arange(len(labels)).split([rest, *counts.values()])
!stratified|    return dict(zip(["train", *counts], parts, strict=True))
'''

_WORKER_SEED = "    torch.empty((), dtype=torch.int64).random_()  # its seed for worker processes\n"
_BALANCED = f'''
def drawn(labels: Tensor) -> Tensor:
    """The order of an epoch, in which each class comes as often as the others.

    It is that of WeightedRandomSampler behind a DataLoader with the same seed.
    """
{_WORKER_SEED}    weights = 1 / torch.bincount(labels.cpu()).double()
    return torch.multinomial(weights[labels.cpu()], len(labels), replacement=True)
'''
_OVERFIT = '''
def drawn(count: int) -> Tensor:
    """The same few samples in every epoch, evenly from all."""
    few = min(SAMPLES, count)
    return torch.arange(few) * count // few
'''

_IN_ORDER = f'''
def in_order(count: int) -> Tensor:
    """The order of an epoch: that of the data set, as a DataLoader has it."""
{_WORKER_SEED}    return torch.arange(count)
'''
_SUBSET = f'''
def drawn() -> Tensor:
    """The order of an epoch: that of SubsetRandomSampler with the same seed."""
{_WORKER_SEED}    return CHOSEN[torch.randperm(len(CHOSEN))]
'''
_RANDOM = f'''
def drawn(count: int) -> Tensor:
    """The order of an epoch: that of RandomSampler with the same seed."""
{_WORKER_SEED}    seed = int(torch.empty((), dtype=torch.int64).random_())
    generator = torch.Generator().manual_seed(seed)
replacement|    return torch.randint(count, (SAMPLES,), generator=generator)
!replacement|    times = range(0, SAMPLES, count)
!replacement|    rounds = [torch.randperm(count, generator=generator) for _ in times]
!replacement|    return torch.cat(rounds)[:SAMPLES]
'''


def held_out(data: ir.Data) -> dict[str, int | float]:
    """The parts that are a share of the training set, each with its fraction or count."""
    named = (("validation", data.validation), ("test", data.test))
    return {part: value for part, value in named if isinstance(value, (int, float))}


def constants(data: ir.Data, noun: str) -> list[str]:
    """The constants that say how much is held out, and what a sampler draws."""
    lines = []
    for part, value in held_out(data).items():
        why = "to choose best.pt" if part == "validation" else "for the end"
        what = f"{noun} held out of training {why}" if isinstance(value, int) else f"share of the {noun} held out {why}"
        lines.append(f"{part.upper()} = {literal(value)}  # {what}")
    if data.sampler is not None and data.sampler.get_or("num_samples", None):
        lines.append(f"SAMPLES = {literal(data.sampler.get('num_samples'))}  # drawn for an epoch")
    if data.sampler is not None and data.sampler.name == "SubsetRandomSampler":
        lines.append(f"CHOSEN = {_chosen(data.sampler.get('indices'))}  # trained on")
    return lines


def _chosen(indices: object) -> str:
    assert isinstance(indices, (list, tuple, range))
    start, end = (indices[0], indices[-1] + 1) if indices else (0, 0)
    if list(indices) == list(range(start, end)):
        return f"torch.arange({start}, {end})" if start else f"torch.arange({end})"
    return f"torch.tensor({literal(list(indices))})"


def split_text(data: ir.Data, how: str) -> str:
    """The function `split`, where something is held out; `how` is "stratified", "random" or "ordered"."""
    counts = ", ".join(
        f'"{part}": {part.upper()}' if isinstance(value, int) else f'"{part}": round(len(labels) * {part.upper()})'
        for part, value in held_out(data).items()
    )
    text = select(_SPLIT, frozenset({how}))
    line = f"    counts = {{{counts}}}"
    if len(line) > 88:
        items = "".join(f"        {item},\n" for item in counts.split(', "'))
        items = items.replace("        test", '        "test')
        line = f"    counts = {{\n{items}    }}"
    return text.replace("    counts = {@COUNTS@}", line)


def order_text(data: ir.Data) -> str:
    """The function that gives the order of an epoch."""
    if data.balance:
        return _BALANCED.strip("\n")
    name = "" if data.sampler is None else data.sampler.name
    if name == "SequentialSampler":
        return _IN_ORDER.strip("\n")
    if name == "SubsetRandomSampler":
        return _SUBSET.strip("\n")
    if name == "OverfitSampler":
        return _OVERFIT.strip("\n")
    if data.sampler is not None and (data.sampler.get("replacement") or data.sampler.get("num_samples")):
        words = frozenset({"replacement"} if data.sampler.get("replacement") else set())
        text = select(_RANDOM, words)
        return text if data.sampler.get("num_samples") else text.replace("SAMPLES", "count")
    return SHUFFLED.strip("\n")


def order_call(data: ir.Data) -> str:
    """The call of that function, in `main`."""
    if data.balance:
        return "drawn(labels)"
    name = "" if data.sampler is None else data.sampler.name
    if name == "SubsetRandomSampler":
        return "drawn()"
    if name == "SequentialSampler":
        return "in_order(len(labels))"
    return "drawn(len(labels))" if order_text(data) != SHUFFLED.strip("\n") else "shuffled(len(labels))"


def epoch_length(data: ir.Data) -> str:
    """Python for how many samples an epoch has."""
    if data.sampler is not None and data.sampler.name == "SubsetRandomSampler":
        return "len(CHOSEN)"
    if data.sampler is not None and data.sampler.get_or("num_samples", None):
        return "SAMPLES"
    return "len(labels)"


def drawn(data: ir.Data, text: str) -> str:
    """The text of `main`, in which an epoch is as long, and in the order, as the data says."""
    order, length = order_call(data), epoch_length(data)
    text = text.replace("shuffled(len(labels))", "@ORDER@").replace(order, "@ORDER@")
    if length == "SAMPLES":
        text = text.replace("{len(labels)} images", "@COUNT@ images")
    text = text.replace("len(labels)", length)
    return text.replace("@ORDER@", order).replace("@COUNT@", "{len(labels)}")
