"""The transforms of a file as Python: what is done once to all images, to a batch by chance, and to a batch always.

In: the transforms as checked, and the image that the data set gives. Out: the bodies of `prepare`, `augment` and
`preprocess`, with the constants and imports that they need.
Guarantees: on uint8 tensors the results are those of torchvision.transforms.v2 to the bit; torchvision is imported only
for steps that have no line of their own here. Leaves the reading of images to `training_data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.backends.layout import Text, call
from netc.backends.training_augments import Lines, on_batch, on_pictures
from netc.backends.training_own import EACH, applied, is_own, modules, named
from netc.backends.training_text import CENTER_CROP
from netc.catalog.data import CONVERSIONS, MIXING, Image, dtype_name, training_chain, transform_image
from netc.catalog.data_transforms import ENUMERATIONS, pair, sides
from netc.literals import literal
from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc import ir

_TENSOR_ONLY = frozenset({"ToImage", "PILToTensor", "ToPureTensor", "Identity"})  # nothing is left to do on a tensor


class Body(NamedTuple):
    """The statements of a function, and what they use: constants, helper functions, torchvision's v2.

    Helpers are names of pieces of `training_text`; functions are texts.
    """

    lines: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    helpers: frozenset[str] = frozenset()
    v2: bool = False
    functions: tuple[str, ...] = ()

    def __add__(self, other: Body) -> Body:  # type: ignore[override]
        return Body(
            self.lines + other.lines,
            self.constants + other.constants,
            self.helpers | other.helpers,
            self.v2 or other.v2,
            self.functions + tuple(text for text in other.functions if text not in self.functions),
        )


class Images(NamedTuple):
    """All that happens to an image. `training` is None where training images are prepared as all others are.

    `stacked` says whether the training images have one size before `augment`, so that they are one tensor.
    """

    prepare: Body
    training: Body | None
    augment: Body | None
    preprocess: Body
    stacked: bool
    result: Image


# Of samples that are no pictures: nothing happens to them.
NO_IMAGES = Images(Body(), None, None, Body(), True, Image(None, None, None, "float32", None, None))


def images(data: ir.Data, sample: Image, channels_last: bool) -> Images:
    """The bodies for a pipeline, from the image that the data set gives to what the network takes."""
    conversion = next((i for i, c in enumerate(data.transform) if c.name in CONVERSIONS), len(data.transform))
    fixed, rest = data.transform[:conversion], data.transform[conversion:]
    chain = training_chain([c.name for c in data.transform], [c.name for c in data.augment])
    kept = {i for which, i in chain if which == "transform"}
    if len(kept) == len(data.transform):
        training, before = None, after(fixed, sample)
    else:
        trained = [c for i, c in enumerate(fixed) if i in kept]
        training, before = fixed_steps(trained, sample), after(trained, sample)
    ready = after(fixed, sample)
    augment = [c for c in data.augment if c.name not in MIXING]
    return Images(
        fixed_steps(fixed, sample),
        training,
        _random_steps(augment, before) if augment else None,
        _conversion(rest, ready, channels_last),
        before.height is not None,
        after(rest, ready),
    )


def preparation(calls: Sequence[ir.Call], channels: int) -> str:
    """`prepare(images)` for pictures of any size, as Python that needs torch, F, and for rare steps v2.

    It stands for the steps of a transform before it leaves uint8, on a data set whose images have these channels.
    """
    conversion = next((i for i, c in enumerate(calls) if c.name in CONVERSIONS), len(calls))
    body = fixed_steps(calls[:conversion], Image(channels, None, None, "uint8", 0.0, 255.0))
    text = function("prepare", "The steps of the transform on uint8 images.", body)
    text = "\n\n".join([*body.constants, *body.functions, text])
    text = named(text, {module: module for module in modules(calls)})
    return f"{CENTER_CROP}\n\n{text}\n" if "center_crop" in body.helpers else f"{text}\n"


def function(name: str, about: str, body: Body, parameter: str = "images: Tensor") -> str:
    """A function of images; the last assignment is what it returns."""
    lines = list(body.lines)
    last = max((i for i, line in enumerate(lines) if line[0] not in " )"), default=0)
    if lines and lines[last].startswith("images = "):
        lines[last] = "return " + lines[last].removeprefix("images = ")
    else:
        lines.append("return images")
    text = "\n".join(f"    {line}" for line in lines)
    return f'def {name}({parameter}) -> Tensor:\n    """{about}"""\n{text}'


def after(calls: Sequence[ir.Call], image: Image) -> Image:
    """The image that a chain makes of an image; the checker has made sure that it does."""
    for step in calls:
        image = _next(step, image)
    return image


def _next(step: ir.Call, image: Image) -> Image:
    args = {p.name: step.get(p.name) for p in step.entry.params}
    result = transform_image(step.name, args, image)
    assert not isinstance(result, Reject), result
    return result


def written(step: ir.Call) -> str:
    """A step as the file writes it, but for spaces: `Resize(32)`."""
    arguments = _arguments(step)
    return f"{step.name}({arguments})" if arguments else step.name


def _constructed(step: ir.Call) -> str:
    return f"v2.{step.name}({_arguments(step)})"


def _argument(transform: str, name: str, text: str) -> str:
    enumeration = ENUMERATIONS.get((transform, name))
    return text if enumeration is None else f"v2.{enumeration}({text})"


def _arguments(step: ir.Call) -> str:
    types = {p.name: p.type for p in step.entry.params}
    return ", ".join(
        text if arg.positional else f"{name}={text}"
        for name, arg in step.args.items()
        for text in (_argument(step.name, name, python(arg.value, types.get(name, "any"))),)
    )


def python(value: object, type_: str = "any") -> str:
    """A value as Python, a dtype as torch's."""
    if type_ == "dtype" and isinstance(value, str):
        return f"torch.{dtype_name(value)}"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    return literal(value)


# --- steps that give the same each time -------------------------------------------------------------------------------


def fixed_steps(calls: Sequence[ir.Call], image: Image) -> Body:
    """Statements that carry out steps on `images` [N, C, H, W], uint8 or floating-point."""
    body = Body()
    for step in calls:
        body += _fixed(step, image)
        image = _next(step, image)
    return body


def _own(step: ir.Call) -> Body:
    """A transform of a Python file."""
    changed, constants = applied(step, _arguments(step))
    line = f"images = each({changed}, images)"
    lines = (line,) if len(line) <= 84 else ("images = each(", f"    {changed},", "    images,", ")")
    return Body((f"# {step.name}", *lines), constants, functions=(EACH.strip("\n"),))


def _fixed(step: ir.Call, image: Image) -> Body:
    if is_own(step):
        return _own(step)
    if step.name in _TENSOR_ONLY:
        return Body()
    own = _FIXED[step.name](step, image) if step.name in _FIXED else None
    return own or Body((f"images = {_constructed(step)}(images)",), v2=True)


def _assign(value: str, step: ir.Call) -> Body:
    """`images = value  # Step(…)`, the comment above where the line would be too long."""
    line, comment = f"images = {value}", f"# {written(step)}"
    if len(line) + len(comment) + 2 + 4 <= 88:
        return Body((f"{line}  {comment}",))
    return Body((comment, line) if len(comment) <= 84 else (line,))


def _resize(step: ir.Call, image: Image) -> Body | None:
    mode, antialias, size = step.get("interpolation"), step.get("antialias"), step.get("size")
    if mode not in ("bilinear", "bicubic", "nearest", "nearest-exact") or step.get("max_size") is not None:
        return None
    options = f'mode="{mode}"' + (", antialias=True" if antialias and mode in ("bilinear", "bicubic") else "")
    new = _next(step, image)
    if isinstance(size, (tuple, list)) and len(size) == 2:
        new = new._replace(height=size[0], width=size[1])
    if new.height is not None:
        return _assign(f"F.interpolate(images, size=({new.height}, {new.width}), {options})", step)
    lines = ("height, width = images.shape[-2:]",)
    short = pair(size)[0]
    value = f"int({short} * height / min(height, width)), int({short} * width / min(height, width))"
    shape = Body((*lines, f"# {written(step)}: the shorter side gets {short} pixels", f"size = {value}"))
    return shape + Body((f"images = F.interpolate(images, size=size, {options})",))


def _center_crop(step: ir.Call, image: Image) -> Body:
    height, width = pair(step.get("size"))
    if image.height is None or image.width is None:
        body = _assign(f"center_crop(images, {height}, {width})", step)
        return body._replace(helpers=frozenset({"center_crop"}))
    body = Body()
    if height > image.height or width > image.width:
        x, y = max(0, width - image.width), max(0, height - image.height)
        padding = (x // 2, (x + 1) // 2, y // 2, (y + 1) // 2)
        body = _assign(f"F.pad(images, {padding})", step)
    top, left = (round((max(has, wants) - wants) / 2) for has, wants in ((image.height, height), (image.width, width)))
    if (max(image.height, height), max(image.width, width)) == (height, width):
        return body
    return body + _assign(f"images[..., {top}:{top + height}, {left}:{left + width}]", step)


def _pad(step: ir.Call, image: Image) -> Body | None:
    fill = step.get("fill")
    if step.get("padding_mode") != "constant" or not isinstance(fill, (int, float)):
        return None
    left, top, right, bottom = sides(step.get("padding"))
    value = f", value={literal(fill)}" if fill else ""
    return _assign(f"F.pad(images, ({left}, {right}, {top}, {bottom}){value})", step)


def _grayscale(step: ir.Call, image: Image) -> Body | None:
    channels = step.get("num_output_channels")
    if image.channels == 1:
        return Body() if channels == 1 else _assign("images.expand(-1, 3, -1, -1)", step)
    if image.dtype != "uint8":
        return None
    body = Body(("red, green, blue = images.unbind(1)",))
    body += _assign("red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)", step)
    expand = ".expand(-1, 3, -1, -1)" if channels == 3 else ""
    return body + Body((f"images = images.to(torch.uint8).unsqueeze(1){expand}",))


def _rgb(step: ir.Call, image: Image) -> Body:
    return _assign("images.expand(-1, 3, -1, -1)", step) if image.channels == 1 else Body()


_FIXED = {"Resize": _resize, "CenterCrop": _center_crop, "Pad": _pad, "Grayscale": _grayscale, "RGB": _rgb}


# --- steps by chance --------------------------------------------------------------------------------------------------


def _random_steps(calls: Sequence[ir.Call], image: Image) -> Body:
    """Statements of `augment`: `images` is a batch, or a list where the images still differ in size."""
    body, waiting = Body(), list[str]()
    stacked = threads = image.height is not None
    for step in calls:
        own = _in_one(step, image, not threads) if stacked else None
        if not stacked and is_own(step):
            body, waiting = body + _listed(waiting, len(body.constants)) + _own_of_pictures(step), []
            continue
        if not stacked and not waiting:
            own = _written(step, on_pictures(step))
        image = _next(step, image)
        if own is None:
            waiting.append(_constructed(step))
            if not stacked and image.height is not None:  # from here on the images are one tensor
                body, waiting, stacked = body + _one_by_one(waiting, len(body.constants), stacked), [], True
            continue
        body += _one_by_one(waiting, len(body.constants), stacked) + own
        waiting, stacked = [], True
    return body + _one_by_one(waiting, len(body.constants), stacked)


def _in_one(step: ir.Call, image: Image, threads: bool) -> Body | None:
    """A step on a whole batch, where it has a form of its own here."""
    if step.name in _RANDOM:
        return _RANDOM[step.name](step, image)
    own = _written(step, on_batch(step, image, threads))
    if own is not None:
        return own
    if step.name == "Resize":  # the images may be on a GPU, which resizes no bytes by itself
        return Body((f"images = {_constructed(step)}(images)",), v2=True)
    fixed = _fixed(step, image)
    return None if fixed.v2 else fixed


def _written(step: ir.Call, found: Lines | None) -> Body | None:
    """The lines of a step, and above them the step as the file has it."""
    if found is None or not found.lines:
        return None if found is None else Body()
    comment = f"# {written(step)}"
    lines = (comment if len(comment) <= 84 else f"# {step.name}", *found.lines)
    return Body(lines, functions=tuple(text.strip("\n") for text in found.functions))


def _listed(steps: list[str], number: int) -> Body:
    """What torchvision does to pictures that still differ in size behind it."""
    body = _one_by_one(steps, number, stacked=False)
    lines = (line.replace("images = torch.cat(", "pictures = ").removesuffix(")") for line in body.lines)
    return body._replace(lines=tuple(lines))


def _own_of_pictures(step: ir.Call) -> Body:
    """A transform of a Python file for pictures that differ in size."""
    changed, constants = applied(step, _arguments(step))
    line = f"pictures = [each({changed}, picture) for picture in pictures]"
    broken = ("pictures = [", f"    each({changed}, picture)", "    for picture in pictures", "]")
    lines = (line,) if len(line) <= 84 else broken
    return Body((f"# {step.name}", *lines), constants, functions=(EACH.strip("\n"),))


def _one_by_one(steps: list[str], number: int, stacked: bool) -> Body:
    """What torchvision does image by image, each with its own chance."""
    if not steps:
        return Body()
    name = "AUGMENT" if number == 0 else f"AUGMENT_{number + 1}"
    text = Text(steps[0])
    if len(steps) > 1:
        text = call("v2.Compose(", [call("[", [Text(step) for step in steps], "]", broken=True)], ")")
        constant = "\n".join([f"{name} = v2.Compose(", "    [", *(f"        {s}," for s in steps), "    ]", ")"])
    else:
        constant = "\n".join(text.lines(0, f"{name} = "))
    line = f"images = torch.cat([{name}(picture) for picture in pictures])"
    if stacked:
        line = f"images = torch.stack([{name}(image) for image in images])"
    return Body(("# one image at a time", line), (constant,), v2=True)


def _random_crop(step: ir.Call, image: Image) -> Body | None:
    fill = step.get("fill")
    if step.get("padding_mode") != "constant" or not isinstance(fill, (int, float)):
        return None
    assert image.height is not None
    assert image.width is not None
    height, width = pair(step.get("size"))
    left, top, right, bottom = sides(step.get("padding") if step.get("padding") is not None else 0)
    if step.get("pad_if_needed"):
        x, y = max(0, width - image.width - left - right), max(0, height - image.height - top - bottom)
        left, top, right, bottom = left + x, top + y, right + x, bottom + y
    value = f", value={literal(fill)}" if fill else ""
    padded = f"F.pad(images, ({left}, {right}, {top}, {bottom}){value})" if left or top or right or bottom else "images"
    comment = f"# {written(step)}: one of all the windows of an image"
    return Body(
        (
            comment if len(comment) <= 84 else "# RandomCrop: one of all the windows of an image",
            f"windows = {padded}.unfold(2, {height}, 1).unfold(3, {width}, 1)",
            "top = torch.randint(windows.shape[2], (len(images),))",
            "left = torch.randint(windows.shape[3], (len(images),))",
            "images = windows[torch.arange(len(images)), :, top, left]",
        )
    )


def _flip(axis: int, step: ir.Call) -> Body:
    return Body(
        (
            f"# {written(step)}",
            f"flip = torch.rand(len(images), 1, 1, 1) < {python(step.get('p'))}",
            f"images = torch.where(flip.to(images.device), images.flip({axis}), images)",
        )
    )


def _flip_x(step: ir.Call, image: Image) -> Body:
    return _flip(3, step)


def _flip_y(step: ir.Call, image: Image) -> Body:
    return _flip(2, step)


_RANDOM = {"RandomCrop": _random_crop, "RandomHorizontalFlip": _flip_x, "RandomVerticalFlip": _flip_y}


# --- from uint8 to what the network takes -----------------------------------------------------------------------------


def _conversion(calls: Sequence[ir.Call], image: Image, channels_last: bool) -> Body:
    """Statements of `preprocess`; in place, as the first of them makes a copy."""
    layout = ", memory_format=torch.channels_last" if channels_last else ""
    body = Body()
    for i, step in enumerate(calls):
        if step.name in CONVERSIONS:
            body += _to_dtype(step, image, layout)
        elif step.name == "Normalize":
            body += _normalize(step, sum(c.name == "Normalize" for c in calls[:i]), channels_last)
        else:
            body += _fixed(step, image)
        image = _next(step, image)
    if not calls and channels_last:
        return Body(("images = images.contiguous(memory_format=torch.channels_last)",))
    return body


def _to_dtype(step: ir.Call, image: Image, layout: str) -> Body:
    dtype = _next(step, image).dtype
    if image.dtype != "uint8":
        return Body() if dtype == image.dtype else _assign(f"images.to(torch.{dtype})", step)
    scaling = ".mul_(1 / 255)"  # how ToDtype and ConvertImageDtype compute it; the last bit may differ from a division
    if step.name == "ToTensor":
        scaling = ".div_(255)"
    elif step.name == "ToDtype" and not step.get("scale"):
        scaling = ""
    return _assign(f"images.to(torch.{dtype}{layout}){scaling}", step)


def _normalize(step: ir.Call, number: int, channels_last: bool) -> Body:
    """With numbers for each channel, a row of them where channels come last: three alone would be slow."""
    operands, constants = [], []
    for name in ("mean", "std"):
        value = step.get(name)
        values = [value] if isinstance(value, (int, float)) else [*value]  # type: ignore[misc]
        if len(values) == 1:
            operands.append(python(values[0]))
            continue
        constant = f"{name.upper()}_{number + 1}" if number else name.upper()
        operands.append(f"row_of({constant}, images)" if channels_last else f"{constant}.to(images.device)")
        constants.append(f"{constant} = torch.tensor({literal(values)}){'' if channels_last else '.view(-1, 1, 1)'}")
    line = f"images = images.sub_({operands[0]}).div_({operands[1]})"
    lines = (f"{line}  # Normalize",) if len(line) < 72 else ("# Normalize", line)
    return Body(lines, tuple(constants), frozenset({"row_of"} if channels_last and constants else ()))
