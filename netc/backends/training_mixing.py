"""Augmentations that mix the images of a batch with each other, and their labels with them: MixUp and CutMix.

In: the augmentations as checked. Out: the function `mix` of `train.py`, which acts on what the network takes.
Guarantees: with the same generator the results are those of torchvision.transforms.v2 to the bit. Leaves to others:
whether the loss takes shares of classes (the checker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.data_transforms import MIXING
from netc.literals import literal

if TYPE_CHECKING:
    from netc import ir

_MIX = '''
def mix(batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The images mixed with each other, and the share of each class [N, @CLASSES@]."""
    shares = F.one_hot(target, @CLASSES@).float()
@STEPS@
    return batch, shares
'''
_BETA = "kept = float(Beta(torch.tensor([@ALPHA@]), torch.tensor([@ALPHA@])).sample(()))"
_STEPS = {
    "MixUp": f"""
    # @STEP@: each image with the one before it
    {_BETA}
    batch = batch.roll(1, 0).mul_(1 - kept).add_(batch * kept)
    shares = shares.roll(1, 0).mul_(1 - kept).add_(shares * kept)
""",
    "CutMix": f"""
    # @STEP@: a window of each image is that of the one before it
    {_BETA}
    height, width = batch.shape[-2:]
    x, y = int(torch.randint(width, (1,))), int(torch.randint(height, (1,)))
    half = 0.5 * math.sqrt(1 - kept)
    left, right = max(x - int(half * width), 0), min(x + int(half * width), width)
    top, bottom = max(y - int(half * height), 0), min(y + int(half * height), height)
    former = batch.roll(1, 0)[..., top:bottom, left:right]
    batch[..., top:bottom, left:right] = former
    kept = 1 - (right - left) * (bottom - top) / (width * height)
    shares = shares.roll(1, 0).mul_(1 - kept).add_(shares * kept)
""",
}


def mixing(data: ir.Data) -> tuple[ir.Call, ...]:
    """The augmentations that mix batches, which stand behind all others."""
    return tuple(call for call in data.augment if call.name in MIXING)


def with_shares(loss: str, data: ir.Data) -> str:
    """The loss of a batch in training, which takes the shares of the classes where batches are mixed."""
    return loss.replace(", target)", ", shares)") if mixing(data) else loss


def function(data: ir.Data, classes: int) -> list[str]:
    """The function `mix`; nothing where nothing is mixed."""
    steps = []
    for call in mixing(data):
        text = _STEPS[call.name].strip("\n").replace("@STEP@", call.name)
        steps.append(text.replace("@ALPHA@", literal(float(call.get("alpha")))))  # type: ignore[arg-type]
    text = _MIX.strip("\n").replace("@CLASSES@", str(classes)).replace("@STEPS@", "\n".join(steps))
    return [text] if steps else []
