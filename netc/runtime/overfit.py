"""A quick try-out: whether a network can learn a few batches by heart.

In: a program that trains. Out: the program that trains on the same few batches again and again, without augmentation,
dropout left as it is; and what its losses say. A network that can't do this has a mistake that more data won't mend:
labels that belong to other samples, a rate that is far off, an activation in the wrong place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc.catalog.entry import REQUIRED, Entry, Param

if TYPE_CHECKING:
    from collections.abc import Sequence

TURNS = 200  # times through the batches
GONE = 0.01  # of the first loss
SAMPLER = Entry("OverfitSampler", "netc", (Param("num_samples", "int", REQUIRED),))


def few_batches(program: ir.Program, batches: int) -> ir.Program:
    """The program with so many batches as its data, and nothing that would stand in the way of learning them."""
    data, train = program.data, program.train
    assert data is not None
    assert train is not None
    count = batches * data.batch_size
    sampler = ir.Call(SAMPLER, {"num_samples": ir.Arg(count, str(count))}, data.span)
    alike = data._replace(validation=None, test=None, augment=(), balance=False, sampler=sampler, split=None)
    kept: dict[str, Any] = {"steps": None, "early_stop": None, "checkpoint": None, "ema": None, "unfreeze": None,
                            "parallel": None}  # fmt: skip
    options = train.options._replace(**kept, log_every=None)
    shorter = train._replace(schedule=None, epochs=TURNS, options=options)
    return program._replace(data=alike, train=shorter)


def verdict(rows: Sequence[dict[str, str]], batches: int) -> tuple[bool, str]:
    """Whether the loss went away, and a sentence about it."""
    losses = [float(row["train_loss"]) for row in rows]
    first, last = losses[0], min(losses)
    what = "one batch" if batches == 1 else f"{batches} batches"
    turn = next((i for i, loss in enumerate(losses, 1) if loss <= GONE * first), None)
    if turn is not None:
        return (
            True,
            f"the loss on {what} went from {first:.4g} to {losses[-1]:.4g}: a hundredth of it after {turn} turns",
        )
    return False, f"the loss on {what} went from {first:.4g} to {last:.4g} in {len(losses)} turns, and not away"
