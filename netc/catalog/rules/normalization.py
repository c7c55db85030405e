"""Normalisations: batch, instance, group, layer, root mean square and local response.

In: arguments and the type of the input. Out: shapes, parameters, buffers, or the reason of a refusal.
Guarantees: the refusals of torch on the CPU that hold for training and evaluation alike.
Leaves to others: batch normalisation over a single value, which torch refuses in training only; `batch_values` tells
how many values there are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import REQUIRED, Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, product, same

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netc.catalog.entry import Args, Inputs

    Sizes = dict[str, tuple[Dim, ...]]

SINGLE = parts.HALVES | {"float32"}  # statistics are float32: halves mix with them, doubles don't
_ANY = 0  # of spatial axes
BATCH_AXES: dict[int, tuple[Iterable[int], str]] = {
    1: ((2, 3), "[N, C] or [N, C, L]"),
    2: ((4,), "[N, C, H, W]"),
    3: ((5,), "[N, C, D, H, W]"),
    _ANY: (range(2, 20), "[N, C, …]"),
}


def batch_values(x: TensorType) -> Dim:
    """How many values of each channel a batch has; torch needs two or more of them to train batch normalisation."""
    return x.shape[0] * product(x.shape[2:])


def _batch_shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    plain = not args["affine"] and not args["track_running_stats"]
    allowed, layout = BATCH_AXES[n]
    problem = parts.number_of_axes(x, allowed, layout) or parts.dtype_in(x, parts.FLOATS if plain else SINGLE)
    if problem is None and not args["track_running_stats"] and same(batch_values(x), 1):
        reason = f"each channel of {x} has one value, and without running statistics I need several"
        problem = Reject(None, "several values", "one value", reason)
    return problem or _eps(args) or x


def _eps(args: Args) -> Reject | None:
    """Batch normalisation divides by what `eps` keeps above 0: while it trains, torch takes no other."""
    eps = args["eps"]
    if isinstance(eps, (int, float)) and eps > 0:
        return None
    return Reject("eps", "a number above 0", str(eps), f"`eps` is {eps}, and keeps a variance of 0 from dividing")


def _batch_channels(n: int, args: Args, inputs: Inputs) -> Dim | Reject:
    allowed, layout = BATCH_AXES[n]
    arriving = parts.number_of_axes(inputs[0], allowed, layout) or inputs[0].shape[1]
    return parts.agreed(args, "num_features", arriving, "channels")


def _instance_shape(n: int, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.spatial(x, n) or parts.dtype_in(x, SINGLE if args["affine"] else parts.FLOATS)
    if problem:
        return problem
    if same(product(x.shape[2:]), 1):
        return Reject(None, "several values", "one value", f"each channel of {x} has one value, and I need several")
    return x


def _channel_state(args: Args) -> Sizes:
    return _affine((parts.size(args, "num_features"),), args) if args["affine"] else {}


def _affine(shape: tuple[Dim, ...], args: Args) -> Sizes:
    return {"weight": shape, "bias": shape} if args.get("bias", True) else {"weight": shape}


def _statistics(args: Args) -> dict[str, tuple[tuple[Dim, ...], str]]:
    if not args["track_running_stats"]:
        return {}
    shape = (parts.size(args, "num_features"),)
    one = ((), "int64")
    return {"running_mean": (shape, "float32"), "running_var": (shape, "float32"), "num_batches_tracked": one}


def _group_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, groups = inputs[0], parts.size(args, "num_groups")
    problem = (
        parts.at_least(args, 1, "num_groups")
        or parts.number_of_axes(x, range(2, 20), "[N, C, …]")
        or parts.dtype_in(x, SINGLE if args["affine"] else parts.FLOATS)
        or parts.divides(args, "num_groups", parts.size(args, "num_channels"), "channels")
    )
    if problem:
        return problem
    if same(product(x.shape) // groups, 1):
        return Reject(None, "several values", "one value", f"each group of {x} has one value, and I need several")
    return x


def _layer_shape(allowed: frozenset[str], args: Args, inputs: Inputs) -> TensorType | Reject:
    x, wanted = inputs[0], parts.dims(args["normalized_shape"])
    problem = parts.dtype_in(x, allowed if args["elementwise_affine"] else parts.FLOATS)
    return problem or ends_with(x, wanted) or x


def ends_with(x: TensorType, wanted: tuple[Dim, ...]) -> Reject | None:
    """Refuses an input that does not end in these sizes, or no sizes at all."""
    name = "normalized_shape"
    if not wanted or len(wanted) > len(x.shape):
        expected = f"1 to {len(x.shape)} sizes"
        reason = f"`{name}` has {parts.plural(len(wanted), 'size')}, and the input {parts.plural(len(x.shape), 'axis')}"
        return Reject(name, expected, str(len(wanted)), reason)
    last = x.shape[-len(wanted) :]
    if not any(same(a, b) is False for a, b in zip(wanted, last, strict=True)):
        return None
    expected, got = (", ".join(map(str, sizes)) for sizes in (last, wanted))
    return Reject(name, expected, got, f"`{name}` is [{got}], and the input ends in [{expected}]")


def _last_size(args: Args, inputs: Inputs) -> Dim | Reject:
    """The last axis where nothing is given; a given shape of several axes is compared by `ends_with`."""
    given = args.get("normalized_shape", REQUIRED)
    if given is not REQUIRED and isinstance(given, tuple | list) and len(given) != 1:
        return ends_with(inputs[0], tuple(given)) or parts.dims(given)[-1]
    return parts.features("normalized_shape")(args, inputs)


def _layer_state(args: Args) -> Sizes:
    return _affine(parts.dims(args["normalized_shape"]), args) if args["elementwise_affine"] else {}


def _root_state(args: Args) -> Sizes:
    return {"weight": parts.dims(args["normalized_shape"])} if args["elementwise_affine"] else {}


def _group_state(args: Args) -> Sizes:
    return _affine((parts.size(args, "num_channels"),), args) if args["affine"] else {}


def _local_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return (
        parts.number_of_axes(x, range(3, 20), "[N, C, L, …]")
        or parts.dtype_in(x, frozenset({"float32", "float64", "int64"}))
        or parts.at_least(args, 1, "size")
        or (x if x.dtype in parts.FLOATS else x._replace(dtype="float32"))
    )


def _cross_map_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return (
        parts.number_of_axes(x, (4,), parts.LAYOUTS[2])
        or parts.dtype_in(x, parts.FLOATS)
        or parts.at_least(args, 1, "size")
        or x
    )


def _batch(n: int) -> Rule:
    infers = {"num_features": partial(_batch_channels, n)}
    return Rule(partial(_batch_shape, n), infers, state=_channel_state, buffers=_statistics)


def _instance(n: int) -> Rule:
    infers = {"num_features": parts.channels("num_features", n)}
    return Rule(partial(_instance_shape, n), infers, state=_channel_state, buffers=_statistics)


LAYERS = {
    **{f"BatchNorm{n}d": _batch(n) for n in (1, 2, 3)},
    "SyncBatchNorm": _batch(_ANY),
    **{f"InstanceNorm{n}d": _instance(n) for n in (1, 2, 3)},
    "GroupNorm": Rule(_group_shape, {"num_channels": parts.channels("num_channels")}, state=_group_state),
    "LayerNorm": Rule(partial(_layer_shape, SINGLE), {"normalized_shape": _last_size}, state=_layer_state),
    "RMSNorm": Rule(partial(_layer_shape, parts.FLOATS), {"normalized_shape": _last_size}, state=_root_state),
    "LocalResponseNorm": Rule(_local_shape, function=Function("F.local_response_norm")),
    "CrossMapLRN2d": Rule(_cross_map_shape),
}
FUNCTIONS = {"local_response_norm": LAYERS["LocalResponseNorm"]}
