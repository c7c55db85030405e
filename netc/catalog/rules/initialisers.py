"""What the initialisers of torch.nn.init refuse.

In: an initialiser's name, its arguments with defaults, and the shape that it fills. Out: a reason, or None.
Guarantees: the refusals of torch on the CPU for arguments of the declared types. Leaves to others: the names of
arguments and their types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.shapes import Dim

_AXES = {
    "kaiming_normal_": (2, None), "kaiming_uniform_": (2, None), "xavier_normal_": (2, None),
    "xavier_uniform_": (2, None), "orthogonal_": (2, None), "eye_": (2, 2), "sparse_": (2, 2), "dirac_": (3, 5),
}  # fmt: skip


def check(name: str, args: Mapping[str, object], shape: tuple[Dim, ...]) -> Reject | None:
    """Why an initialiser can't fill a tensor of this shape, or None."""
    least, most = _AXES.get(name, (0, None))
    if len(shape) < least or (most is not None and len(shape) > most):
        wanted = f"at least {least}" if most is None else str(least) if least == most else f"{least} to {most}"
        axes = f"{len(shape)} ax{'is' if len(shape) == 1 else 'es'}"
        return Reject(
            None, f"{wanted} axes", str(len(shape)), f"it fills tensors of {wanted} axes, and this has {axes}"
        )
    std = args.get("std")
    if isinstance(std, (int, float)) and std < 0:
        return Reject("std", "at least 0", str(std), f"`std` is {std}, and has to be at least 0")
    return None
