"""Sliding blocks: Unfold takes the blocks of an image apart, Fold adds them up again.

In: arguments and the type of the input. Out: shapes, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU; the input always has its batch axis.
Leaves to others: convolutions and pools, which don't keep the blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, less, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

DTYPES = parts.FLOATS | {"bool"}
LAYOUT = "[N, C × block, blocks]"


def _blocks(args: Args, image: tuple[Dim, ...], argument: str) -> Dim | Reject:
    """How many blocks an image has; `argument` is at fault where there are none."""
    problem = parts.at_least(args, 1, "kernel_size", "dilation", "stride") or parts.at_least(args, 0, "padding")
    if problem:
        return problem
    counts: list[Dim] = []
    options = (parts.spread(args[name], 2) for name in ("kernel_size", "dilation", "padding", "stride"))
    for name, size, k, d, p, s in zip(parts.AXES[2], image, *options, strict=True):
        reach, room = d * (k - 1) + 1, size + 2 * p
        if less(room, reach):
            reason = f"the block ({reach}) is larger than the image with its padding ({room}) in {name}"
            return Reject(argument, f"at most {room}", str(k), reason)
        counts.append((room - reach) // s + 1)
    return product(counts)


def _unfold(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.spatial(x, 2) or parts.dtype_in(x, DTYPES)
    count = problem or _blocks(args, x.shape[2:], "kernel_size")
    if isinstance(count, Reject):
        return count
    return x._replace(shape=(x.shape[0], x.shape[1] * product(parts.spread(args["kernel_size"], 2)), count))


def _fold(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, image = inputs[0], parts.spread(args["output_size"], 2)
    problem = parts.batched(x, 3, LAYOUT) or parts.dtype_in(x, DTYPES) or parts.at_least(args, 1, "output_size")
    count = problem or _blocks(args, image, "kernel_size")
    if isinstance(count, Reject):
        return count
    block = product(parts.spread(args["kernel_size"], 2))
    if same(x.shape[1] % block, 0) is False:
        reason = f"axis 1 has {x.shape[1]} values, which is not a whole number of blocks of {block}"
        return Reject("kernel_size", f"a block that divides {x.shape[1]}", str(block), reason)
    if same(x.shape[2], count) is False:
        reason = f"an image of {image[0]} × {image[1]} has {count} blocks, and {x.shape[2]} arrive"
        return Reject("output_size", parts.plural(x.shape[2], "block"), str(count), reason)
    return x._replace(shape=(x.shape[0], x.shape[1] // block, *image))


LAYERS = {
    "Fold": Rule(_fold, function=Function("F.fold")),
    "Unfold": Rule(_unfold, function=Function("F.unfold")),
}
FUNCTIONS = {"fold": LAYERS["Fold"], "unfold": LAYERS["Unfold"]}
