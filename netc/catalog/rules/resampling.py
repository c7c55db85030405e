"""What trades resolution for channels or interpolates: Upsample, `interpolate`, pixel and channel shuffles; one_hot.

In: arguments and the type of the input. Out: shapes, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU; scale factors multiply in doubles, as torch does.
Leaves to others: transposed convolutions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, TensorType, less, same, scaled

if TYPE_CHECKING:
    from typing import Any

    from netc.catalog.entry import Args, Inputs

# Each mode: the numbers of axes it takes, and the dtypes.
_BYTES = parts.FLOATS | {"uint8"}
MODES: dict[str, tuple[tuple[int, ...], frozenset[str]]] = {
    "nearest": ((3, 4, 5), _BYTES),
    "nearest-exact": ((3, 4, 5), _BYTES),
    "area": ((3, 4, 5), parts.FLOATS),
    "linear": ((3,), parts.FLOATS),
    "bilinear": ((4,), _BYTES),
    "bicubic": ((4,), _BYTES),
    "trilinear": ((5,), parts.FLOATS),
}
_ALIGNED = {"linear", "bilinear", "bicubic", "trilinear"}


def _interpolate(args: Args, inputs: Inputs) -> TensorType | Reject:
    return _interpolated(str(args["mode"]), args, inputs[0])


def _interpolated(mode: str, args: Args, x: TensorType) -> TensorType | Reject:
    if mode not in MODES:
        return Reject("mode", ", ".join(MODES), repr(mode), f"there is no mode {mode!r}")
    allowed, dtypes = MODES[mode]
    layout = " or ".join(parts.LAYOUTS[n - 2] for n in allowed)
    problem = parts.number_of_axes(x, allowed, layout) or _options(mode, args)
    sizes = problem or _sizes(args, x.shape[2:])
    if isinstance(sizes, Reject):
        return sizes
    argument = "size" if args["size"] is not None else "scale_factor"
    least = 0 if mode == "area" else 1  # "area" is an adaptive pool, which may have an empty result
    if any(less(s, least) for s in sizes):
        shown = f"[{', '.join(map(str, sizes))}]"
        reason = f"`{argument}` gives the sizes {shown}, and each must be {least} or more"
        return Reject(argument, f"sizes of {least} or more", shown, reason)
    return parts.dtype_in(x, dtypes) or TensorType((*x.shape[:2], *sizes), x.dtype)


def _options(mode: str, args: Args) -> Reject | None:
    size, factor = args["size"], args["scale_factor"]
    if (size is None) == (factor is None):
        got = "neither" if size is None else "both"
        return Reject("size", "`size` or `scale_factor`", got, f"I need `size` or `scale_factor`, and have {got}")
    if args.get("align_corners") is not None and mode not in _ALIGNED:
        reason = f'`align_corners` has no meaning for the mode "{mode}"'
        return Reject("align_corners", "left out", str(args["align_corners"]), reason)
    if args.get("recompute_scale_factor") and size is not None:
        reason = "`recompute_scale_factor` needs `scale_factor`, and `size` is given"
        return Reject("recompute_scale_factor", "left out", "True", reason)
    if args.get("antialias") and mode not in ("bilinear", "bicubic"):
        return Reject("antialias", "False", "True", f'`antialias` works with "bilinear" and "bicubic", not "{mode}"')
    return None


def _sizes(args: Args, old: tuple[Dim, ...]) -> tuple[Dim, ...] | Reject:
    name = "size" if args["size"] is not None else "scale_factor"
    given = args[name]
    values: tuple[Any, ...] = tuple(given) if isinstance(given, tuple | list) else (given,) * len(old)
    if len(values) != len(old):
        expected = parts.plural(len(old), "number")
        return Reject(name, expected, str(len(values)), f"`{name}` has {len(values)} numbers for {len(old)} axes")
    return values if name == "size" else tuple(scaled(dim, v) for dim, v in zip(old, values, strict=True))


def _upsampling(mode: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    return _interpolated(mode, args, inputs[0])


def _pixel_shuffle(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, r = inputs[0], parts.size(args, "upscale_factor")
    problem = parts.number_of_axes(x, range(3, 20), "[N, C, H, W]") or parts.at_least(args, 1, "upscale_factor")
    if problem:
        return problem
    *lead, c, h, w = x.shape
    if same(c % (r * r), 0) is False:
        reason = f"{c} channels can't be spread over {r} × {r} pixels"
        return Reject("upscale_factor", f"a square that divides {c}", f"{r} × {r}", reason)
    return x._replace(shape=(*lead, c // (r * r), h * r, w * r))


def _pixel_unshuffle(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, r = inputs[0], parts.size(args, "downscale_factor")
    problem = parts.number_of_axes(x, range(3, 20), "[N, C, H, W]") or parts.at_least(args, 1, "downscale_factor")
    if problem:
        return problem
    *lead, c, h, w = x.shape
    for axis in (parts.Axis("height", h), parts.Axis("width", w)):
        if same(axis.size % r, 0) is False:
            reason = f"the {axis.name} ({axis.size}) is not a multiple of {r}"
            return Reject("downscale_factor", f"a divisor of {axis.size}", str(r), reason)
    return x._replace(shape=(*lead, c * r * r, h // r, w // r))


def _channel_shuffle(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.number_of_axes(x, range(3, 20), "[N, C, L, …]") or parts.at_least(args, 1, "groups")
    return problem or parts.divides(args, "groups", x.shape[1], "channels") or x


def _one_hot(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, classes = inputs[0], parts.size(args, "num_classes")
    if problem := parts.dtype_in(x, frozenset({"int64"})):
        return problem
    if classes == -1:
        reason = "without `num_classes` the size of the result depends on the values; give it"
        return Reject("num_classes", "a number of classes", "-1", reason)
    return parts.at_least(args, 1, "num_classes") or x._replace(shape=(*x.shape, classes))


def _grid_sample(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, grid = inputs
    axes = 5 if len(x.shape) == 5 else 4
    problem = _known(args, "mode", GRID_MODES) or _known(args, "padding_mode", PADDING_MODES)
    problem = problem or parts.number_of_axes(x, (4, 5), "[N, C, H, W]") or parts.dtype_in(x, parts.FLOATS)
    problem = problem or parts.number_of_axes(grid, (axes,), GRIDS[axes])
    if problem:
        return problem
    if grid.dtype != x.dtype:
        return Reject("grid", x.dtype, grid.dtype, f"the input is {x.dtype}, and `grid` {grid.dtype}")
    if same(grid.shape[0], x.shape[0]) is False or same(grid.shape[-1], axes - 2) is False:
        layout = f"[{x.shape[0]}, …, {axes - 2}]"
        return Reject("grid", layout, str(grid), f"`grid` has the shape {layout}, and this one is {grid}")
    return x._replace(shape=(*x.shape[:2], *grid.shape[1:-1]))


def _known(args: Args, name: str, choices: tuple[str, ...]) -> Reject | None:
    given = args[name]
    if given in choices:
        return None
    shown = " or ".join(f'"{c}"' for c in choices)
    return Reject(name, shown, repr(given), f"`{name}` is {shown}, not {given!r}")


def _affine_grid(args: Args, inputs: Inputs) -> TensorType | Reject:
    theta, sizes = inputs[0], parts.dims(args["size"])
    axes = len(sizes)
    if axes not in (4, 5):
        return Reject("size", "[N, C, H, W]", str(axes), f"`size` is that of an image or a volume, not {axes} sizes")
    problem = parts.dtype_in(theta, parts.FLOATS) or parts.at_least(args, 1, "size")
    wanted = (sizes[0], axes - 2, axes - 1)
    if problem is None and not _is(theta, wanted):
        layout = str(TensorType(wanted))
        problem = Reject("theta", layout, str(theta), f"`theta` has the shape {layout}, and this one is {theta}")
    return problem or theta._replace(shape=(sizes[0], *sizes[2:], axes - 2))


def _is(x: TensorType, shape: tuple[Dim, ...]) -> bool:
    if len(x.shape) != len(shape):
        return False
    return not any(same(a, b) is False for a, b in zip(x.shape, shape, strict=True))


GRID_MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")
GRIDS = {4: "[N, height, width, 2]", 5: "[N, depth, height, width, 3]"}
_INTERPOLATE = Function("F.interpolate")
_BILINEAR = Function("F.interpolate", extra=('mode="bilinear"', "align_corners=True"))
LAYERS = {
    "Upsample": Rule(_interpolate, function=_INTERPOLATE),
    "UpsamplingNearest2d": Rule(partial(_upsampling, "nearest"), function=_INTERPOLATE),
    "UpsamplingBilinear2d": Rule(partial(_upsampling, "bilinear"), function=_BILINEAR),
    "PixelShuffle": Rule(_pixel_shuffle, function=Function("F.pixel_shuffle")),
    "PixelUnshuffle": Rule(_pixel_unshuffle, function=Function("F.pixel_unshuffle")),
    "ChannelShuffle": Rule(_channel_shuffle, function=Function("F.channel_shuffle")),
}
FUNCTIONS = {
    "interpolate": LAYERS["Upsample"],
    "pixel_shuffle": LAYERS["PixelShuffle"],
    "pixel_unshuffle": LAYERS["PixelUnshuffle"],
    "channel_shuffle": LAYERS["ChannelShuffle"],
    "grid_sample": Rule(_grid_sample, function=Function("F.grid_sample")),
    "affine_grid": Rule(_affine_grid, function=Function("F.affine_grid")),
    "one_hot": Rule(_one_hot, function=Function("F.one_hot")),
}
