"""The chains of transforms: what stands in the wrong one, and steps that are done twice or on other values than meant.

In: the data section as checked, with the place of each argument. Out: diagnostics. Whether the images fit the
network is left to `crosschecks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.data import CONVERSIONS, dataset_facts, is_random, training_chain, transform_image
from netc.checker import mixing
from netc.diagnostics import Label
from netc.fixes import leave_out
from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc import ir
    from netc.catalog.data import Image
    from netc.diagnostics import Report
    from netc.source import Span

    Places = Mapping[Span, Mapping[str, Span]]


def check(data: ir.Data, places: Places, report: Report) -> None:
    """Report what stands in the wrong chain, and otherwise follow the images through `transform`."""
    before = len(report.errors)
    for call in data.transform:
        if is_random(call.name):
            report.add(
                "E0523", f"`{call.name}` changes images by chance, and `transform` is for all images alike", call.span,
                help=f"put it into `augment`, which changes training images only: `augment = {call.name}`",
            )  # fmt: skip
    for call in data.augment:
        if call.name in CONVERSIONS or call.name == "Normalize":
            report.add(
                "E0524", f"`{call.name}` stands in `augment`, which works on uint8 images", call.span,
                help=_where(call, data),
            )  # fmt: skip
    mixing.order(data, report)
    facts = dataset_facts({n: a.value for n, a in data.train.args.items()}, data.train.name)
    if facts is None or len(report.errors) > before:
        return
    if _accepted(data.transform, facts.image, places, report):
        _accepted(augmented_chain(data), facts.image, places, report)
        _twice(data, facts.image, places, report)


def augmented_chain(data: ir.Data) -> tuple[ir.Call, ...]:
    """What a training image goes through."""
    names = [c.name for c in data.transform], [c.name for c in data.augment]
    return tuple((data.transform if which == "transform" else data.augment)[i] for which, i in training_chain(*names))


def follow(calls: tuple[ir.Call, ...], image: Image) -> Image | None:
    """The image that comes out of a chain; None where a step rejects it."""
    for call in calls:
        out = transform_image(call.name, _args(call), image)
        if isinstance(out, Reject):
            return None
        image = out
    return image


def image_text(image: Image) -> str:
    """An image in a message: sizes, type and range."""
    sizes = ", ".join("?" if s is None else str(s) for s in (image.channels, image.height, image.width))
    span = "" if image.low is None else f" from {image.low:g} to {image.high:g}"
    return f"images [{sizes}] {image.dtype}{span}"


def _args(call: ir.Call) -> dict[str, object]:
    return {p.name: call.get(p.name) for p in call.entry.params}


def _accepted(calls: tuple[ir.Call, ...], image: Image, places: Places, report: Report) -> bool:
    """Whether every step takes its image, which is reported where not."""
    for call in calls:
        out = transform_image(call.name, _args(call), image)
        if isinstance(out, Reject):
            given = out.argument in call.args
            what = f"`{out.argument}` of `{call.name}` can't be {out.got}" if given else f"`{call.name}`"
            expected = f"expected {out.expected}" if out.expected else ""
            report.add(
                "E0514", f"{what}: {out.reason}", places.get(call.span, {}).get(out.argument or "", call.span),
                expected if given or not expected else f"{expected}, got {out.got}",
                notes=[f"it receives {image_text(image)}"],
            )  # fmt: skip
            return False
        image = out
    return True


def _where(call: ir.Call, data: ir.Data) -> str:
    if any(c.name == call.name or (c.name in CONVERSIONS and call.name in CONVERSIONS) for c in data.transform):
        return "remove it: training images go through `transform` too, behind `augment`"
    return f"put it into `transform`, through which training images go too: `transform = … -> {call.name}`"


def _twice(data: ir.Data, image: Image, places: Places, report: Report) -> None:
    """Steps that are done twice, or with numbers for other values."""
    normalised: ir.Call | None = None
    for call in data.transform:
        out = transform_image(call.name, _args(call), image)
        if isinstance(out, Reject):
            return
        if call.name in CONVERSIONS and out == image:
            _again(call, image, report)
        if call.name == "Normalize":
            if normalised is not None:
                report.add(
                    "W0828", "the images are normalised twice", call.span, "again",
                    secondary=[Label(normalised.span, "first here")], help="remove one of them",
                )  # fmt: skip
            else:
                _scale(call, image, places, report)
            normalised = call
        image = out
    if image.dtype != "uint8" and image.low == 0 and image.high == 255 and normalised is None:
        report.add(
            "W0827", "the network receives values from 0 to 255", data.transform[-1].span,
            help="bring them to 0 to 1: `ToTensor`, or `ToDtype(float32, scale=True)`",
        )  # fmt: skip


def _again(call: ir.Call, image: Image, report: Report) -> None:
    report.add(
        "W0826", f"`{call.name}` does nothing: the images are {image.dtype} already", call.span, help="remove it",
        fix=leave_out(call.span, call.name, "step"),
    )  # fmt: skip


def _scale(call: ir.Call, image: Image, places: Places, report: Report) -> None:
    """A mean that no image of such values can have."""
    mean, std = (_values(call.get(name)) for name in ("mean", "std"))
    if image.low is None or image.high is None:
        return
    place = places.get(call.span, {}).get("mean", call.span)
    here = f"from {image.low:g} to {image.high:g}"
    if max(mean) > image.high or min(mean) < image.low:
        of_bytes = image.high == 1 and max(mean) <= 255 and min(mean) >= 0
        scaled = ", ".join(f"{value / 255:.3g}" for value in mean), ", ".join(f"{value / 255:.3g}" for value in std)
        report.add(
            "W0829", f"`Normalize` takes off a mean that the images can't have: their values are {here}", place,
            help=f"divide by 255: `Normalize(mean=[{scaled[0]}], std=[{scaled[1]}])`" if of_bytes else
            f"choose a mean {here}",
        )  # fmt: skip
    elif image.high == 255 and max(mean) <= 1 and max(std) <= 1:
        report.add(
            "W0829", f"`Normalize` is given numbers for values from 0 to 1, and those of the images are {here}", place,
            help="convert the images to 0 to 1 before: `ToTensor`, or `ToDtype(float32, scale=True)`",
        )  # fmt: skip


def _values(value: object) -> list[float]:
    if isinstance(value, (int, float)):
        return [float(value)]
    assert isinstance(value, (list, tuple))
    return [float(item) for item in value]
