"""Augmentations for a whole batch: what torchvision does image by image, with the same chances, in a few operations.

In: a transform as checked, and the image that it receives. Out: its lines in `augment`, and the functions that they
call; None where it has no form here, so that torchvision does it image by image.
Guarantees: each image has chances of its own, distributed as torchvision's; for equal draws the pixels are equal, but
for the last step of 256 where torchvision's arithmetic fuses two operations. Leaves the order of steps to
`training_images`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.backends.layout import Text, call
from netc.backends.training_main import select
from netc.catalog.data_transforms import pair
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc import ir
    from netc.catalog.data import Image

RESIZED_CROPS = '''
def resized_crops(
    pictures: list[Tensor],
    size: tuple[int, int],
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    **options: Any,
) -> Tensor:
    """RandomResizedCrop: of each picture a window of random area and shape, resized.

    Ten windows are drawn, the first that fits counts; if none does, it is the middle.
    """
    sizes = torch.tensor([picture.shape[-2:] for picture in pictures]).double()
    heights, widths = sizes[:, :1], sizes[:, 1:]
    shape = torch.empty(len(sizes), 10).uniform_(*map(math.log, ratio)).exp()
    area = torch.empty(len(sizes), 10).uniform_(*scale) * heights * widths
    middle = heights.minimum((widths / ratio[0]).round())
    height = torch.cat([(area / shape).sqrt().round(), middle], dim=1)
    middle = widths.minimum((heights * ratio[1]).round())
    width = torch.cat([(area * shape).sqrt().round(), middle], dim=1)
    fits = (0 < height) & (height <= heights) & (0 < width) & (width <= widths)
    first = fits.int().argmax(1, keepdim=True)
    height, width = height.gather(1, first), width.gather(1, first)
    top = torch.rand(len(sizes), 1).double() * (heights - height + 1)
    top = torch.where(first < 10, top, (heights - height) / 2).floor()
    left = torch.rand(len(sizes), 1).double() * (widths - width + 1)
    left = torch.where(first < 10, left, (widths - width) / 2).floor()

    def resize(picture: Tensor, window: list[int]) -> Tensor:
        top, bottom, left, right = window
        part = picture[..., top:bottom, left:right]
@GPU@        if part.is_cpu:
@GPU@            return F.interpolate(part, size=size, **options)
@GPU@        # GPUs resize no bytes
@GPU@        resized = F.interpolate(part.float(), size=size, **options)
@GPU@        return resized.round_().clamp_(0, 255).to(torch.uint8)
@CPU@        return F.interpolate(part, size=size, **options)

    windows = torch.cat([top, top + height, left, left + width], dim=1).int().tolist()
    return torch.cat(list(@MAP@(resize, pictures, windows)))
'''

RANDOM_CROPS = '''
def random_crops(pictures: list[Tensor], height: int, width: int) -> Tensor:
    """RandomCrop: of each picture one of all its windows of that size."""
    crops = []
    places = torch.rand(len(pictures), 2).tolist()
    for picture, (y, x) in zip(pictures, places, strict=True):
        rows, columns = picture.shape[-2] - height, picture.shape[-1] - width
        if rows < 0 or columns < 0:
            size, wanted = tuple(picture.shape[-2:]), (height, width)
            fail(f"RandomCrop: a picture of {size} pixels is smaller than {wanted}")
        top, left = int(y * (rows + 1)), int(x * (columns + 1))
        crops.append(picture[..., top : top + height, left : left + width])
    return torch.cat(crops)
'''

JITTER = '''
blend|def blend(images: Tensor, others: Tensor, factor: Tensor) -> Tensor:
blend|    """Mix uint8 images with others, also beyond them."""
blend|    mixed = torch.addcmul(images * factor, others, 1 - factor)
blend|    return mixed.clamp_(0, 255).to(torch.uint8)
blend|
blend|
blend|def grey(images: Tensor) -> Tensor:
blend|    """How bright each pixel is [N, 1, H, W], whole numbers as float32."""
blend|one|    return images.float()
blend|!one|    red, green, blue = images.unbind(1)
blend|!one|    values = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
blend|!one|    return values.floor_().unsqueeze(1)
blend|
blend|
brightness|def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
brightness|    return images.mul(factor).clamp_(0, 255).to(torch.uint8)
brightness|
brightness|
contrast|def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
contrast|    return blend(images, grey(images).mean((1, 2, 3), keepdim=True), factor)
contrast|
contrast|
saturation|def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
saturation|    return blend(images, grey(images), factor)
saturation|
saturation|
hue|def adjust_hue(images: Tensor, turn: Tensor) -> Tensor:
hue|    """Turn the circle of colours; white, grey and black stay."""
hue|    values = images.mul(1 / 255)
hue|    low, high = values.aminmax(dim=1, keepdim=True)
hue|    spread = high - low
hue|    far = (high - values) / spread.masked_fill(spread == 0, 1)
hue|    red, green, blue = far.split(1, dim=1)
hue|    between = torch.where(green == 0, 2 + red - blue, 4 + green - red)
hue|    hue = (torch.where(red == 0, blue - green, between) / 6 + turn).remainder(1)
hue|    channels = torch.tensor([5, 3, 1], device=images.device).view(-1, 1, 1)
hue|    angle = (hue * 6 + channels).remainder(6)
hue|    values = high - spread * torch.minimum(angle, 4 - angle).clamp_(0, 1)
hue|    return values.mul_(255.999).to(torch.uint8)
hue|
hue|
def jitter(
    images: Tensor,
    *changes: tuple[Callable[[Tensor, Tensor], Tensor], tuple[float, float]],
) -> Tensor:
    """ColorJitter: change each image by factors of its own, in an order of its own."""
    images = images.clone()
    orders = torch.rand(len(images), len(changes)).argsort(1)
    factors = [torch.empty(len(images)).uniform_(*limits) for _, limits in changes]
    for step in orders.unbind(1):
        for number, (change, _) in enumerate(changes):
            rows = (step == number).nonzero().flatten()
            factor = factors[number][rows].view(-1, 1, 1, 1).to(images.device)
            images[rows] = change(images[rows], factor)
    return images
'''

ERASE = '''
def erase(
    images: Tensor,
    p: float,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    value: Tensor,
) -> Tensor:
    """RandomErasing: in some images a window of random area and shape gets a value.

    Ten windows are drawn, the first that fits counts; if none does, nothing is erased.
    """
    images = images.clone()
    count, _, height, width = images.shape
    shape = torch.empty(count, 10).uniform_(*map(math.log, ratio)).exp()
    area = torch.empty(count, 10).uniform_(*scale).double() * (height * width)
    rows, columns = (area * shape).sqrt().round(), (area / shape).sqrt().round()
    fits = (rows < height) & (columns < width)
    first = fits.int().argmax(1, keepdim=True)
    rows, columns = rows.gather(1, first), columns.gather(1, first)
    tops = (torch.rand(count, 1).double() * (height - rows + 1)).floor()
    lefts = (torch.rand(count, 1).double() * (width - columns + 1)).floor()
    windows = torch.cat([tops, tops + rows, lefts, lefts + columns], dim=1).int()
    chosen = fits.any(1) & (torch.rand(count) < p)
    for i in chosen.nonzero().flatten().tolist():
        top, bottom, left, right = windows[i].tolist()
        images[i, :, top:bottom, left:right] = value.to(images.device)
    return images
'''

_RANGES = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


class Lines(NamedTuple):
    """Lines of `augment`, and the functions that they call."""

    lines: tuple[str, ...]
    functions: tuple[str, ...] = ()


def on_pictures(step: ir.Call) -> Lines | None:
    """A step that makes a batch of pictures that differ in size; None where torchvision has to do it."""
    if step.name == "RandomResizedCrop":
        return _resized_crop(step, "pictures", threads=True)
    if step.name != "RandomCrop" or step.get("padding") is not None or step.get("pad_if_needed"):
        return None
    height, width = pair(step.get("size"))
    return Lines((f"images = random_crops(pictures, {height}, {width})",), (RANDOM_CROPS,))


def on_batch(step: ir.Call, image: Image, threads: bool) -> Lines | None:
    """A step on images of one size, uint8 [N, C, H, W]; None where torchvision has to do it."""
    if step.name == "RandomResizedCrop":
        return _resized_crop(step, "list(images.split(1))", threads)
    rule = _RULES.get(step.name)
    return None if rule is None else rule(step, image)


def _resized_crop(step: ir.Call, pictures: str, threads: bool) -> Lines | None:
    mode = step.get("interpolation")
    if mode not in ("bilinear", "bicubic", "nearest", "nearest-exact"):
        return None
    items = [pictures, str(pair(step.get("size")))]
    for name in ("scale", "ratio"):
        if name in step.args:
            items.append(f"{name}={literal(tuple(_floats(step.get(name))))}")
    items.append(f'mode="{mode}"')
    items += ["antialias=True"] if step.get("antialias") and mode in ("bilinear", "bicubic") else []
    lines = call("resized_crops(", [Text(item) for item in items], ")").lines(4, "images = ")
    # Pictures that differ in size are not on a GPU yet
    kept, dropped = ("@CPU@", "@GPU@") if pictures == "pictures" else ("@GPU@", "@CPU@")
    text = "\n".join(line.removeprefix(kept) for line in RESIZED_CROPS.split("\n") if not line.startswith(dropped))
    return Lines(tuple(lines), (text.replace("@MAP@", "THREADS.map" if threads else "map"),))


def _jitter(step: ir.Call, image: Image) -> Lines | None:
    ranges = {name: _limits(step.get(name), middle) for name, middle in _RANGES.items()}
    used = {name: limits for name, limits in ranges.items() if limits is not None}
    if image.channels == 1:  # which has no colours to change
        used = {name: limits for name, limits in used.items() if name in ("brightness", "contrast")}
    if not used:
        return Lines(())
    words = frozenset(used) | ({"one"} if image.channels == 1 else set())
    words |= {"blend"} if {"contrast", "saturation"} & used.keys() else set()
    items = [Text("images"), *(Text(f"(adjust_{name}, {literal(limits)})") for name, limits in used.items())]
    return Lines(tuple(call("jitter(", items, ")").lines(4, "images = ")), (select(JITTER, words),))


def _limits(value: object, middle: float) -> tuple[float, float] | None:
    """Between which numbers a factor is drawn; None where it would change nothing."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        low, high = middle - value, middle + value
        low = max(low, 0.0) if middle else low
    else:
        low, high = _floats(value)
    return None if low == high == middle else (float(low), float(high))


def _erasing(step: ir.Call, image: Image) -> Lines | None:
    value = step.get("value")
    if isinstance(value, str):
        return None
    values = [int(v) for v in _floats(value)]  # as they are in an image of bytes
    items = ["images", f"p={literal(step.get('p'))}"]
    items += [f"{name}={literal(tuple(_floats(step.get(name))))}" for name in ("scale", "ratio")]
    shape = "" if len(values) == 1 else ".view(-1, 1, 1)"
    items.append(f"value=torch.tensor({values[0] if len(values) == 1 else values}, dtype=torch.uint8){shape}")
    return Lines(tuple(call("erase(", [Text(item) for item in items], ")").lines(4, "images = ")), (ERASE,))


def _by_chance(step: ir.Call, value: str, *before: str) -> Lines:
    """Some images are replaced by what comes of them."""
    return Lines(
        (
            f"chosen = (torch.rand(len(images), 1, 1, 1) < {literal(step.get('p'))}).to(images.device)",
            *before,
            f"images = torch.where(chosen, {value}, images)",
        )
    )


def _grey(step: ir.Call, image: Image) -> Lines:
    if image.channels == 1:
        return Lines(())
    return _by_chance(
        step,
        "bright.to(torch.uint8).unsqueeze(1)",
        "red, green, blue = images.unbind(1)",
        "bright = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)",
    )


def _invert(step: ir.Call, image: Image) -> Lines:
    return _by_chance(step, "255 - images")


def _solarize(step: ir.Call, image: Image) -> Lines:
    return _by_chance(
        step, "inverse", f"inverse = torch.where(images >= {step.get('threshold')}, 255 - images, images)"
    )


def _posterize(step: ir.Call, image: Image) -> Lines:
    bits = step.get("bits")
    assert isinstance(bits, int)
    return _by_chance(step, f"images & {256 - 2 ** (8 - bits)}")


def _floats(value: object) -> list[float]:
    if isinstance(value, (int, float)):
        return [float(value)]
    assert isinstance(value, (list, tuple))
    return [float(item) for item in value]


_RULES: Mapping[str, Callable[[ir.Call, Image], Lines | None]] = {
    "ColorJitter": _jitter,
    "RandomErasing": _erasing,
    "RandomGrayscale": _grey,
    "RandomInvert": _invert,
    "RandomSolarize": _solarize,
    "RandomPosterize": _posterize,
}
