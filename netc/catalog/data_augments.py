"""Which values of their arguments the transforms of `augment` take, in a run as at its beginning.

In: a transform's name, its arguments, the image that it receives. Out: a `Reject` where torchvision raises, at the
construction or at some image. Guarantees: no torch. Leaves to others: sizes and their arguments (`data_transforms`).

The conditions are those of torchvision 0.29 for tensors, and a test draws arguments and asks torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.catalog.data_transforms import Image

    Args = Mapping[str, object]

_WARPS = frozenset({"RandomRotation", "RandomAffine", "RandomPerspective", "ElasticTransform"})
_POLICIES = frozenset({"AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix"})


def augment_reject(name: str, args: Args, image: Image) -> Reject | None:
    """What speaks against a transform's arguments, types taken as right; None where nothing does, or none are known."""
    mode = args.get("interpolation")
    if name in _WARPS | _POLICIES and mode not in ("nearest", "bilinear"):
        return Reject("interpolation", '"nearest" or "bilinear"', repr(mode), "tensors are turned and bent with these")
    if mode == "lanczos" and not args.get("antialias", True):
        return Reject("interpolation", "`antialias=True` with it", "'lanczos'", "torchvision has no other form of it")
    rule = _RULES.get(name)
    return None if rule is None else rule(args, image)


def _values(value: object) -> list[float]:
    if isinstance(value, (int, float)):
        return [float(value)]
    assert isinstance(value, (list, tuple))
    return [float(item) for item in value]


def _pair(args: Args, name: str, low: float, high: float, *, open_: bool = False) -> Reject | None:
    """Two numbers in order, within limits."""
    value = args[name]
    values = _values(value)
    limits = f"from {low:g} to {high:g}" if high < float("inf") else f"{'above' if open_ else 'from'} {low:g}"
    limits = f" {limits}" if low > float("-inf") else ""
    if not isinstance(value, (list, tuple)) or len(values) != 2:
        return Reject(name, f"two numbers{limits}", repr(value), "a value between them is drawn")
    if not low <= values[0] <= values[1] <= high or (open_ and values[0] == low):
        return Reject(name, f"two numbers{limits}, the smaller first", repr(value), "a value between them is drawn")
    return None


def _number(args: Args, name: str, low: float, high: float = float("inf")) -> Reject | None:
    value = args[name]
    assert isinstance(value, (int, float))
    if low <= value <= high:
        return None
    limits = f"from {low:g}" + (f" to {high:g}" if high < float("inf") else "")
    return Reject(name, f"a number {limits}", repr(value), "it would have no meaning")


def _jitter(args: Args, image: Image) -> Reject | None:
    for name, high in (
        ("brightness", float("inf")),
        ("contrast", float("inf")),
        ("saturation", float("inf")),
        ("hue", 0.5),
    ):
        value = args[name]
        if value is None:
            continue
        if isinstance(value, (int, float)):
            found = _number(args, name, 0, high)
        else:
            found = _pair(args, name, -0.5 if name == "hue" else 0, high)
        if found is not None:
            return found
    return None


def _distort(args: Args, image: Image) -> Reject | None:
    ranges = (("brightness", 0.0), ("contrast", 0.0), ("saturation", 0.0))
    found = next(filter(None, (_pair(args, name, low, float("inf")) for name, low in ranges)), None)
    return found or _pair(args, "hue", -0.5, 0.5)


def _erasing(args: Args, image: Image) -> Reject | None:
    return _pair(args, "scale", 0, 1) or _pair(args, "ratio", 0, float("inf"), open_=True)


def _resized_crop(args: Args, image: Image) -> Reject | None:
    return _pair(args, "scale", 0, float("inf")) or _pair(args, "ratio", 0, float("inf"), open_=True)


def _center(args: Args) -> Reject | None:
    center = args["center"]
    if center is not None and (not isinstance(center, (list, tuple)) or len(center) != 2):
        return Reject("center", "two numbers", repr(center), "it is a point: x and y")
    return None


def _degrees(args: Args) -> Reject | None:
    if isinstance(args["degrees"], (int, float)):
        return _number(args, "degrees", 0)
    return _pair(args, "degrees", float("-inf"), float("inf"))


def _rotation(args: Args, image: Image) -> Reject | None:
    return _degrees(args) or _center(args)


def _affine(args: Args, image: Image) -> Reject | None:
    found = _degrees(args) or _center(args)
    if found is None and args["translate"] is not None:
        translate = _values(args["translate"])
        if (
            not isinstance(args["translate"], (list, tuple))
            or len(translate) != 2
            or not all(0 <= t <= 1 for t in translate)
        ):
            return Reject(
                "translate", "two numbers from 0 to 1", repr(args["translate"]), "they are shares of the sides"
            )
    if found is None and args["scale"] is not None:
        found = _pair(args, "scale", 0, float("inf"), open_=True)
    if found is None and args["shear"] is not None:
        found = _shear(args)
    return found


def _shear(args: Args) -> Reject | None:
    shear = _values(args["shear"])
    if isinstance(args["shear"], (int, float)):
        return _number(args, "shear", 0)
    ordered = all(a <= b for a, b in zip(shear[::2], shear[1::2], strict=False))
    if len(shear) not in (2, 4) or not ordered:
        return Reject(
            "shear", "two or four numbers, the smaller first", repr(args["shear"]), "angles between them are drawn"
        )
    return None


def _perspective(args: Args, image: Image) -> Reject | None:
    value = args["distortion_scale"]
    assert isinstance(value, (int, float))
    if 0 <= value < 1:
        return None
    return Reject("distortion_scale", "a number from 0 to below 1", repr(value), "corners that meet make no image")


def _posterize(args: Args, image: Image) -> Reject | None:
    return _number(args, "bits", 0, 8)


def _solarize(args: Args, image: Image) -> Reject | None:
    high = 255 if image.dtype == "uint8" else 1
    value = args["threshold"]
    assert isinstance(value, (int, float))
    if value > high:
        return Reject("threshold", f"a number up to {high}", repr(value), "no value of the image is above it")
    return None


def _sharpness(args: Args, image: Image) -> Reject | None:
    return _number(args, "sharpness_factor", 0)


def _rand_augment(args: Args, image: Image) -> Reject | None:
    bins, magnitude = args["num_magnitude_bins"], args["magnitude"]
    assert isinstance(bins, int)
    assert isinstance(magnitude, int)
    return (
        _number(args, "num_ops", 0) or _number(args, "num_magnitude_bins", 2) or _number(args, "magnitude", 0, bins - 1)
    )


def _trivial(args: Args, image: Image) -> Reject | None:
    return _number(args, "num_magnitude_bins", 2)


def _aug_mix(args: Args, image: Image) -> Reject | None:
    alpha = args["alpha"]
    assert isinstance(alpha, (int, float))
    if alpha <= 0 or isinstance(alpha, int):
        return Reject("alpha", "a float above 0, such as 1.0", repr(alpha), "it shapes a Dirichlet distribution")
    return _number(args, "severity", 1, 10) or _number(args, "mixture_width", 1)


def _mixing(args: Args, image: Image) -> Reject | None:
    alpha = args["alpha"]
    assert isinstance(alpha, (int, float))
    if alpha <= 0:
        return Reject("alpha", "a number above 0", repr(alpha), "it shapes a Beta distribution")
    if args["labels_getter"] != "default":
        return Reject("labels_getter", "nothing", repr(args["labels_getter"]), "the labels are those of the data")
    return None


def _jpeg(args: Args, image: Image) -> Reject | None:
    quality = _values(args["quality"])
    pair = [*quality, *quality][:2]
    if len(quality) > 2 or not quality or not 1 <= pair[0] <= pair[1] <= 100:
        return Reject(
            "quality", "integers from 1 to 100, the smaller first", repr(args["quality"]), "it is JPEG's quality"
        )
    return None


def _noise(args: Args, image: Image) -> Reject | None:
    return _number(args, "sigma", 0)


def _zoom_out(args: Args, image: Image) -> Reject | None:
    return _pair(args, "side_range", 1, float("inf"))


def _random_resize(args: Args, image: Image) -> Reject | None:
    low, high = args["min_size"], args["max_size"]
    assert isinstance(low, int)
    assert isinstance(high, int)
    if low < 1:
        return Reject("min_size", "a positive number", repr(low), "an image has pixels")
    if high <= low:
        return Reject(
            "max_size", f"a number above {low}", repr(high), "a size from the first up to below the second is drawn"
        )
    return None


def _scale_jitter(args: Args, image: Image) -> Reject | None:
    sides = _values(args["target_size"])
    if min(sides) < 1:
        return Reject("target_size", "two positive numbers", repr(args["target_size"]), "an image has pixels")
    found = _pair(args, "scale_range", 0, float("inf"), open_=True)
    if found is not None or image.height is None or image.width is None:
        return found
    least = _values(args["scale_range"])[0] * min(sides[0] / image.height, sides[1] / image.width)
    if int(min(image.height, image.width) * least) < 1:
        return Reject("scale_range", "a scale that leaves a pixel", repr(args["scale_range"]), "an image has pixels")
    return None


_RULES: Mapping[str, Callable[[Args, Image], Reject | None]] = {
    "ColorJitter": _jitter,
    "RandomPhotometricDistort": _distort,
    "RandomErasing": _erasing,
    "RandomResizedCrop": _resized_crop,
    "RandomRotation": _rotation,
    "RandomAffine": _affine,
    "RandomPerspective": _perspective,
    "RandomPosterize": _posterize,
    "RandomSolarize": _solarize,
    "RandomAdjustSharpness": _sharpness,
    "RandAugment": _rand_augment,
    "TrivialAugmentWide": _trivial,
    "AugMix": _aug_mix,
    "JPEG": _jpeg,
    "MixUp": _mixing,
    "CutMix": _mixing,
    "GaussianNoise": _noise,
    "RandomZoomOut": _zoom_out,
    "RandomResize": _random_resize,
    "ScaleJitter": _scale_jitter,
}
