"""What the initialisers of torch.nn.init refuse.

In: an initialiser's name, its arguments with defaults, and the shape that it fills. Out: a reason, or None.
Guarantees: the refusals of torch on the CPU for arguments of the declared types; a negative spread, which torch takes
for some of them, is always refused. Sizes and whole numbers may be symbolic: only what is certain is refused.
Leaves to others: the names of arguments and their types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.rules import parts
from netc.shapes import Dim, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Args = Mapping[str, object]
    Check = Callable[[Args, tuple[Dim, ...]], Reject | None]

# How many axes an initialiser fills: the least, the most, and how that reads.
_AXES: dict[str, tuple[int, int, str]] = {
    **dict.fromkeys(("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_", "orthogonal_"),
                    (2, 99, "2 axes or more")),
    **dict.fromkeys(("eye_", "sparse_"), (2, 2, "2 axes")),
    "dirac_": (3, 5, "3 to 5 axes"),
}  # fmt: skip
MODES = ("fan_in", "fan_out")
NONLINEARITIES = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid",
    "tanh", "relu", "leaky_relu", "selu",
)  # fmt: skip


def check(name: str, args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    """Why an initialiser can't fill a tensor of this shape, or None. `args` has every parameter, defaults filled in."""
    least, most, wanted = _AXES.get(name, (0, 99, ""))
    if not least <= len(shape) <= most:
        reason = f"it fills tensors of {wanted}, and this one has {parts.plural(len(shape), 'axis')}"
        return Reject(None, wanted, str(len(shape)), reason)
    return next((problem for of in _CHECKS.get(name, ()) if (problem := of(args, shape)) is not None), None)


def _known(name: str, choices: tuple[str, ...]) -> Check:
    def of(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
        given = args[name]
        if given in choices:
            return None
        shown = ", ".join(f'"{c}"' for c in choices)
        return Reject(name, shown, repr(given), f"`{name}` is one of {shown}, and not {given!r}")

    return of


def _spread(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    std = args["std"]
    if not isinstance(std, int | float) or std >= 0:
        return None
    return Reject("std", "at least 0", str(std), f"`std` is {std}, and has to be at least 0")


def _some_spread(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    if args["std"] != 0:
        return None
    return Reject("std", "more than 0", "0", "`std` is 0, which I'd divide by")


def _ordered(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    low, high = args["a"], args["b"]
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low <= high:
        return None
    return Reject("b", f"{low} or more", str(high), f"`b` is {high}, and must be {low} or more, because `a` is {low}")


def _groups(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    groups = args["groups"]
    problem = parts.at_least(args, 1, "groups")
    return problem or parts.divides({"groups": groups}, "groups", shape[0], "output channels")


def _columns(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    """sparse_: what fraction of each column is 0."""
    share = args["sparsity"]
    if not isinstance(share, int | float) or 0 <= share <= 1:
        return None
    return Reject("sparsity", "0 to 1", str(share), f"`sparsity` is a fraction, between 0 and 1, and not {share}")


def _gain(args: Args, shape: tuple[Dim, ...]) -> Reject | None:
    gain = args["gain"]
    if not isinstance(gain, int | float) or gain >= 0:
        return None
    return Reject("gain", "at least 0", str(gain), f"`gain` is {gain}, and has to be at least 0")


_FANS = (_known("mode", MODES), _known("nonlinearity", NONLINEARITIES))
_CHECKS: dict[str, tuple[Check, ...]] = {
    "kaiming_normal_": _FANS,
    "kaiming_uniform_": _FANS,
    "xavier_normal_": (_gain,),
    "xavier_uniform_": (_gain,),
    "normal_": (_spread,),
    "trunc_normal_": (_spread, _some_spread, _ordered),
    "uniform_": (_ordered,),
    "sparse_": (_spread, _columns),
    "dirac_": (_groups,),
}
