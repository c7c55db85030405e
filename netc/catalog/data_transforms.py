"""What each transform of torchvision.transforms.v2 does to the size, the type and the values of an image.

In: a transform's name, its arguments, and an `Image`. Out: the image that comes out, or a `Reject`.
Guarantees: no torch; sizes as torchvision computes them, Python's rounding included; None for what is not known.
Leaves to others: signatures, argument types, and every message (the checker).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Args = Mapping[str, object]


class Image(NamedTuple):
    """An image on its way: channels, sizes (None where they differ or are not known), torch's dtype, and its values.

    An image that reaches the network with a size of None cannot be put into a batch.
    """

    channels: int | None
    height: int | None
    width: int | None
    dtype: str
    low: float | None
    high: float | None


CONVERSIONS = frozenset({"ToTensor", "ToDtype", "ConvertImageDtype"})  # where uint8 ends
_RESIZING = frozenset({"Resize", "RandomResizedCrop", "RandomResize", "ScaleJitter", "RandomShortestSize"})
_CROPPING = frozenset({"CenterCrop", "RandomCrop", "RandomIoUCrop"})
_FIXED = frozenset(
    {"Resize", "CenterCrop", "Pad", "Grayscale", "RGB", "Normalize", "Identity", "ToImage", "PILToTensor"}
    | {"ToPureTensor"}
    | CONVERSIONS
)

# Strings that the generated code has to write as a member of an enumeration of torchvision.transforms.v2.
ENUMERATIONS = {("AutoAugment", "policy"): "AutoAugmentPolicy"}

MIXING = frozenset({"CutMix", "MixUp"})  # they act on batches of what the network takes, and on the labels

# Transforms of torchvision that have nothing to work on here, each with the reason.
UNSUITED: Mapping[str, str] = {
    **dict.fromkeys(
        ("ClampBoundingBoxes", "ConvertBoundingBoxFormat", "SanitizeBoundingBoxes", "RandomIoUCrop"),
        "it is for bounding boxes",
    ),
    **dict.fromkeys(("ClampKeyPoints", "SanitizeKeyPoints", "SetClampingMode"), "it is for key points and boxes"),
    **dict.fromkeys(("FiveCrop", "TenCrop"), "it makes several images of one"),
    **dict.fromkeys(("Lambda", "LinearTransformation"), "its argument is not a value that a .net file can write"),
    **dict.fromkeys(
        ("Compose", "RandomApply", "RandomChoice", "RandomOrder"), "transforms cannot be given as arguments yet"
    ),
    "ToPILImage": "images are tensors here",
    "UniformTemporalSubsample": "it is for videos",
}


def is_random(name: str) -> bool:
    """Whether a transform may change the same image differently each time; such steps belong into `augment`."""
    return name not in _FIXED and "." not in name  # those of Python files, of which nobody knows


def sets_size(name: str) -> bool:
    """Whether a transform of `augment` does its own resizing or cropping, so that it replaces that of `transform`."""
    return name in _RESIZING or name in _CROPPING


def training_chain(transform: Sequence[str], augment: Sequence[str]) -> list[tuple[str, int]]:
    """The steps that a training image goes through, in order, as ("transform" or "augment", position).

    `augment` stands before the step of `transform` that leaves uint8. If it resizes, the resizing and cropping steps of
    `transform` are left out; if it only crops, its cropping steps are, and what it crops has been resized.
    """
    replaced: frozenset[str] = frozenset()
    if any(name in _RESIZING for name in augment):
        replaced = _RESIZING | _CROPPING
    elif any(name in _CROPPING for name in augment):
        replaced = _CROPPING
    conversion = next((i for i, name in enumerate(transform) if name in CONVERSIONS), len(transform))
    kept = [("transform", i) for i, name in enumerate(transform) if name not in replaced]
    added = [("augment", i) for i in range(len(augment))]
    return [s for s in kept if s[1] < conversion] + added + [s for s in kept if s[1] >= conversion]


def transform_image(name: str, args: Args, image: Image) -> Image | Reject:
    """The image that a transform makes of an image, or what speaks against it; argument types are taken as right."""
    if "." in name:  # a transform of a Python file, which keeps shape and type
        return image
    if name in UNSUITED:
        return Reject(None, "a transform of single images", name, UNSUITED[name])
    p = args.get("p")
    if isinstance(p, (int, float)) and not 0 <= p <= 1:
        return Reject("p", "a probability from 0 to 1", repr(p), "it says how often the step is done")
    if args.get("interpolation") in ("box", "hamming"):
        expected = '"nearest", "nearest-exact", "bilinear" or "bicubic"'
        return Reject("interpolation", expected, repr(args["interpolation"]), "Pillow has it, tensors do not")
    if is_random(name) or args.get("interpolation") == "lanczos":
        from netc.catalog.data_augments import augment_reject

        rejected = augment_reject(name, args, image)
        if rejected is not None:
            return rejected
    rule = _RULES.get(name)
    return image if rule is None else rule(args, image)


def dtype_name(value: object) -> str:
    """The name of a dtype without "torch.", aliases resolved."""
    name = str(value).removeprefix("torch.")
    return {"float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64"}.get(name, name)


# --- sizes ------------------------------------------------------------------------------------------------------------


def pair(value: object) -> tuple[int, int]:
    """(height, width) from a number or one or two of them."""
    values = [value] if isinstance(value, int) else [*value]  # type: ignore[misc]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def sides(value: object) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from torchvision's padding: one number for all, two for x and y, or all four."""
    values = [value] if isinstance(value, int) else [*value]  # type: ignore[misc]
    if len(values) == 1:
        values *= 4
    if len(values) == 2:
        values *= 2
    left, top, right, bottom = values
    return left, top, right, bottom


def resized(height: int, width: int, size: int | None, max_size: int | None) -> tuple[int, int]:
    """(height, width) after Resize(size, max_size): the shorter side gets `size`, unless the longer exceeds."""
    short, long = sorted((height, width))
    if size is None:
        assert max_size is not None
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short, new_long = size, int(size * long / short)
        if max_size is not None and new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if height > width else (new_short, new_long)


def _size_reject(args: Args, argument: str = "size", counts: tuple[int, ...] = (1, 2)) -> Reject | None:
    value = args.get(argument)
    if isinstance(value, (list, tuple)) and len(value) not in counts:
        expected = " or ".join(("", "a number", "two numbers", "", "four numbers")[n] for n in counts)
        return Reject(argument, expected, f"{len(value)} numbers", "an image has a height and a width")
    values = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(v, int) and v < (1 if argument == "size" else 0) for v in values):
        expected = "positive numbers" if argument == "size" else "numbers that are not negative"
        return Reject(argument, expected, repr(value), "a size counts pixels")
    return None


def _resize(args: Args, image: Image) -> Image | Reject:
    size, max_size = args["size"], args.get("max_size")
    rejected = _size_reject(args)
    if rejected is not None:
        return rejected
    if isinstance(size, (list, tuple)) and len(size) == 2:
        if max_size is not None:
            return Reject("max_size", "None", repr(max_size), "the size already says both sides")
        return image._replace(height=size[0], width=size[1])
    if size is None and max_size is None:
        return Reject("size", "a number, or one for max_size", "None", "nothing says how large the image is to be")
    short = pair(size)[0] if size is not None else None
    assert max_size is None or isinstance(max_size, int)
    if short is not None and max_size is not None and max_size <= short:
        return Reject("max_size", f"more than {short}", repr(max_size), "the longer side cannot be the shorter one")
    if image.height is None or image.width is None:
        return image
    height, width = resized(image.height, image.width, short, max_size)
    return image._replace(height=height, width=width)


def _crop_to(args: Args, image: Image) -> Image | Reject:
    """CenterCrop and RandomResizedCrop: the result has the size that is asked for, whatever comes in."""
    height, width = pair(args["size"])
    return _size_reject(args) or image._replace(height=height, width=width)


def _random_crop(args: Args, image: Image) -> Image | Reject:
    padding = args.get("padding")
    rejected = _size_reject(args) or (_size_reject(args, "padding", (1, 2, 4)) if padding is not None else None)
    if rejected is not None:
        return rejected
    rejected = _mirror_reject(args, image)
    if rejected is not None:
        return rejected
    height, width = pair(args["size"])
    left, top, right, bottom = sides(padding if padding is not None else 0)
    for side, room, wanted in (("high", image.height, height), ("wide", image.width, width)):
        if room is not None and not args.get("pad_if_needed"):
            padded = room + (top + bottom if side == "high" else left + right)
            if padded < wanted:
                with_padding = " with its padding" if padding is not None else ""
                got = f"an image {padded} pixels {side}{with_padding}"
                return Reject("size", f"at most {padded}", str(wanted), f"a crop cannot be larger than {got}")
    return image._replace(height=height, width=width)


def _mirror_reject(args: Args, image: Image) -> Reject | None:
    """Padding that mirrors the image cannot be larger than the image; "reflect" leaves out the pixel at the edge."""
    most = {"reflect": -1, "symmetric": 0}.get(str(args.get("padding_mode")))
    if most is None or args.get("padding") is None:
        return None
    left, top, right, bottom = sides(args["padding"])
    for room, padding in ((image.width, max(left, right)), (image.height, max(top, bottom))):
        if room is not None and padding > room + most:
            return Reject("padding", f"at most {room + most}", str(padding), "a mirror image cannot exceed the image")
    return None


def _pad(args: Args, image: Image) -> Image | Reject:
    rejected = _size_reject(args, "padding", (1, 2, 4))
    if rejected is not None:
        return rejected
    left, top, right, bottom = sides(args["padding"])
    rejected = _mirror_reject(args, image)
    if rejected is not None:
        return rejected
    return image._replace(
        height=None if image.height is None else image.height + top + bottom,
        width=None if image.width is None else image.width + left + right,
    )


def _any_size(args: Args, image: Image) -> Image:
    return image._replace(height=None, width=None)


def _rotation(args: Args, image: Image) -> Image:
    return _any_size(args, image) if args.get("expand") else image


# --- channels and values ----------------------------------------------------------------------------------------------


def _grayscale(args: Args, image: Image) -> Image | Reject:
    channels = args.get("num_output_channels", 1)
    if channels not in (1, 3):
        return Reject("num_output_channels", "1 or 3", repr(channels), "a grey image has one value, or it three times")
    if image.channels not in (None, 1, 3):
        return Reject(None, "1 or 3 channels", str(image.channels), "other images have no grey")
    return image._replace(channels=channels)


def _rgb(args: Args, image: Image) -> Image:
    return image._replace(channels=3 if image.channels == 1 else image.channels)


def _to_tensor(args: Args, image: Image) -> Image:
    return image._replace(dtype="float32", low=0.0, high=1.0) if image.dtype == "uint8" else image


def _to_dtype(args: Args, image: Image) -> Image | Reject:
    dtype = dtype_name(args.get("dtype", "float32"))
    if not dtype.startswith(("float", "bfloat")):
        return Reject("dtype", "a floating-point type such as float32", dtype, "what follows computes with fractions")
    if image.dtype == "uint8" and args.get("scale"):
        return image._replace(dtype=dtype, low=0.0, high=1.0)
    return image._replace(dtype=dtype)


def _convert(args: Args, image: Image) -> Image | Reject:
    return _to_dtype({**args, "scale": True}, image)


def _normalize(args: Args, image: Image) -> Image | Reject:
    if image.dtype == "uint8":
        return Reject(None, "a float32 image", "a uint8 image", "ToTensor has to stand before it")
    mean, std = (_floats(args[name]) for name in ("mean", "std"))
    for name, values in (("mean", mean), ("std", std)):
        if image.channels is not None and len(values) not in (1, image.channels):
            values_text = f"{len(values)} value{'' if len(values) == 1 else 's'}"
            return Reject(
                name,
                f"{image.channels} value{'s' * (image.channels != 1)}, one for each channel",
                values_text,
                "the numbers differ",
            )
    if not all(std):
        return Reject("std", "numbers other than 0", repr(args["std"]), "the image is divided by it")
    if image.low is None or image.high is None:
        return image
    count = max(len(mean), len(std))
    ends = [
        (value - mean[i % len(mean)]) / std[i % len(std)] for i in range(count) for value in (image.low, image.high)
    ]
    return image._replace(low=min(ends), high=max(ends))


def _floats(value: object) -> list[float]:
    if isinstance(value, (int, float)):
        return [float(value)]
    assert isinstance(value, (list, tuple))
    return [float(item) for item in value]


def _blur(args: Args, image: Image) -> Image | Reject:
    rejected = _size_reject(args, "kernel_size")
    if rejected is not None:
        return rejected
    for size, room in zip(pair(args["kernel_size"]), (image.width, image.height), strict=True):
        if size < 1 or size % 2 == 0:
            return Reject("kernel_size", "odd positive numbers", repr(args["kernel_size"]), "a kernel has a middle")
        if room is not None and size // 2 >= room:
            return Reject("kernel_size", f"less than {2 * room}", str(size), "half of it has to fit into the image")
    sigma = _floats(args.get("sigma", (0.1, 2.0)))
    if not 0 < sigma[0] <= sigma[-1]:
        return Reject("sigma", "positive numbers, the smaller first", repr(args["sigma"]), "it is a width")
    return image


_RULES: Mapping[str, Callable[[Args, Image], Image | Reject]] = {
    "Resize": _resize,
    "CenterCrop": _crop_to,
    "RandomResizedCrop": _crop_to,
    "RandomCrop": _random_crop,
    "Pad": _pad,
    **dict.fromkeys(("RandomResize", "ScaleJitter", "RandomShortestSize", "RandomZoomOut"), _any_size),
    "RandomRotation": _rotation,
    "Grayscale": _grayscale,
    "RGB": _rgb,
    "ToTensor": _to_tensor,
    "ToDtype": _to_dtype,
    "ConvertImageDtype": _convert,
    "Normalize": _normalize,
    "GaussianBlur": _blur,
}
