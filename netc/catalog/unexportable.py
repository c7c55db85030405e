"""Layers and functions that torch.onnx can't translate, or that give random numbers in evaluation too.

In: a name, and the shapes that it takes and gives. Out: the reason in one line, or None. Guarantees: what has a reason
can't be exported; a test asks torch again. Leaves to others: what hangs on other arguments, which the export finds.

Found with torch 2.15 by exporting the layers and functions of the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.shapes import Dim

_NO_FORM = "PyTorch has no translation of it"
_RANDOM = "it draws random numbers in evaluation too, so that no two runs agree"

REASONS: Mapping[str, str] = {
    **dict.fromkeys(("FractionalMaxPool2d", "FractionalMaxPool3d", "fractional_max_pool2d", "fractional_max_pool3d"),
                    "PyTorch has no translation of its random windows; `MaxPool2d` and its kin have one"),
    **dict.fromkeys(("RReLU", "rrelu"), f"{_NO_FORM}; `LeakyReLU` with the middle of the slopes computes the same"),
    **dict.fromkeys(("RoIPool", "PSRoIAlign", "PSRoIPool"), f"{_NO_FORM}; it has one of `RoIAlign`"),
    "CrossMapLRN2d": f"{_NO_FORM}; `LocalResponseNorm` computes the same",
    **dict.fromkeys(("cummax", "cummin", "cumprod", "erfinv", "kthvalue", "lgamma", "median", "mode"), _NO_FORM),
    **dict.fromkeys(("cdist", "pdist"), f"{_NO_FORM}; write the distances with `norm`"),
    **dict.fromkeys(("gumbel_softmax", "rand_like", "randn_like"), _RANDOM),
}  # fmt: skip
# Pools that have a form only where each channel becomes one value, and only where all windows are alike; with the
# number of sides that they pool over.
_GLOBAL = {"AdaptiveAvgPool3d": 3, "adaptive_avg_pool3d": 3}
_EVEN = {f"{name}{n}d": n for n in (1, 2, 3) for name in ("AdaptiveMaxPool", "adaptive_max_pool")}
# Functions that have a form for tensors of so many axes only.
_AXES = {"scaled_dot_product_attention": 4}
NAMES = (*REASONS, *_GLOBAL, *_EVEN, *_AXES)


def reason(name: str, taken: tuple[Dim, ...] | None, result: tuple[Dim, ...]) -> str | None:
    """Why a layer or function that makes such a shape of such a one can't be exported; None where it may be."""
    if name in _GLOBAL and any(side != 1 for side in result[-_GLOBAL[name] :]):
        return "PyTorch has a translation of it only where each channel becomes one value"
    if name in _EVEN and taken is not None:
        sides = zip(taken[-_EVEN[name] :], result[-_EVEN[name] :], strict=True)
        if any(isinstance(a, int) and isinstance(b, int) and a % b != 0 for a, b in sides):
            return "PyTorch has a translation of it only where the size divides evenly"
    if name in _AXES and taken is not None and len(taken) != _AXES[name]:
        return (
            f"PyTorch has a translation of it for {_AXES[name]} axes only; `unsqueeze` and `flatten` make more or fewer"
        )
    return REASONS.get(name)
