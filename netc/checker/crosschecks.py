"""How the data, the network and the training fit together.

In: both sections and the trained network, each right in itself. Out: the places where they disagree, in the report:
what the transform gives against the network's input, the classes of the data against the last layer, the loss against
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.data import dataset_facts
from netc.catalog.data_fields import compares_classes
from netc.catalog.data_official import OFFICIAL
from netc.catalog.loss_facts import CLASS_LOSSES
from netc.checker import mixing, sample_checks
from netc.checker.gaps import GAP, attempt
from netc.checker.graph import classes_row, output_row
from netc.checker.section_fixes import last_layer
from netc.checker.transforms import augmented_chain, follow, image_text
from netc.diagnostics import Edit, Fix, Label
from netc.shapes import same
from netc.source import Span

if TYPE_CHECKING:
    from netc.catalog.data import Image
    from netc.diagnostics import Report


def check(data: ir.Data, train: ir.Train, network: ir.Network, file: s.File, report: Report) -> None:
    """Report every disagreement."""
    for key, part in (("validation", data.validation), ("test", data.test)):
        if isinstance(part, ir.Call):
            attempt(sample_checks.same_kind, data.train, part, key, report)
    if data.train is not GAP and data.kind:
        attempt(sample_checks.check, data, train, network, file, report)
        if data.kind == "table" and train.loss is not GAP and compares_classes(train.loss):
            attempt(_classes, data, train, network, file, report)
        return
    attempt(_inputs, data, network, report)
    if data.train is not GAP and data.train.name == "CSV" and train.loss is not GAP:
        attempt(sample_checks.columns, data, train, network, report)
    attempt(_classes, data, train, network, file, report)
    attempt(mixing.check, data, train, network, report)
    for part in (data.validation, data.test):
        if isinstance(part, ir.Call):
            attempt(_same_kind, data.train, part, report)


def _facts(call: ir.Call) -> Any:
    return dataset_facts({n: a.value for n, a in call.args.items()}, call.name)


def _inputs(data: ir.Data, network: ir.Network, report: Report) -> None:
    """Follow an image through the transforms up to the input."""
    if len(network.inputs) != 1:
        report.add(
            "E0513",
            f"`{network.name}` has {len(network.inputs)} inputs, and a sample has one image",
            network.inputs[1].span,
            help="train a network of one input",
        )
        return
    facts = _facts(data.train)
    if facts is None:
        return
    evaluation = follow(data.transform, facts.image)
    augmented = follow(augmented_chain(data), facts.image) if data.augment and evaluation is not None else None
    for image, calls, what in ((evaluation, data.transform, "transform"), (augmented, data.augment, "augment")):
        if image is not None and not _arrives(data, calls, image, network.inputs[0], what, report):
            return  # the augmentation goes through the same transform


def _arrives(
    data: ir.Data, calls: tuple[ir.Call, ...], image: Image, declared: ir.Input, what: str, report: Report
) -> bool:
    """Compare what the transforms give with the input of the network; False where they disagree."""
    found = _disagreement(image, declared, what)
    if found is not None:
        code, message, help_text = found
        place = calls[-1].span if calls else data.train.span
        here = Label(declared.span, f"takes {declared.type}")
        end = Span(place.end, place.end)
        float_ = code == "E0515" and image.dtype == "uint8" and calls and what == "transform"
        fix = Fix("add `-> ToTensor`", (Edit(end, " -> ToTensor"),)) if float_ else None
        notes = _sizes(data, what) if code == "E0517" else []
        said = f"gives {image_text(image)}"
        report.add(code, message, place, said, secondary=[here], notes=notes, help=help_text, fix=fix)
    return found is None


def _sizes(data: ir.Data, what: str) -> list[str]:
    """Two pictures of the folder that come out unlike, where the folder is there."""
    from netc.checker.picture_sizes import sizes_note  # which only this mistake needs

    facts = _facts(data.train)
    folder = data.train.get("root") if data.train.name == "ImageFolder" else None
    if facts is None or not isinstance(folder, str):
        return []
    return sizes_note(folder, data.transform if what == "transform" else augmented_chain(data), facts.image)


def _disagreement(image: Image, declared: ir.Input, what: str) -> tuple[str, str, str] | None:
    """How an image and an input disagree, if they do: code, message, way out."""
    wanted, dtype = declared.type.shape[1:], declared.type.dtype
    sizes = (image.channels, image.height, image.width)
    if image.dtype != dtype:
        help_text = (
            "add `ToTensor` to the transform" if image.dtype == "uint8" else f"declare the input as {image.dtype}"
        )
        return "E0515", f"the network takes {dtype}, and the images are {image.dtype}", help_text
    if len(wanted) != 3:
        shape = ", ".join(str(s) if s else "S" for s in sizes)
        message = f"the network takes {len(wanted) + 1} axes, and a batch of images has 4"
        return "E0516", message, f"declare the input as `{declared.name}: [N, {shape}]`"
    if None in sizes[1:]:
        message = "the images differ in size and can't be put into a batch"
        return "E0517", message, f"bring them to one size: `Resize({_sides(wanted)})` before `ToTensor`"
    if any(size is not None and same(size, dim) is False for size, dim in zip(sizes, wanted, strict=True)):
        message = f"the images do not fit the network's input `{declared.name}`"
        return "E0518", message, _resize(sizes, wanted, what)
    return None


def _sides(wanted: tuple[Any, ...]) -> str:
    """Both sides written out: one number would be the shorter side alone."""
    return f"[{wanted[1]}, {wanted[2]}]"


def _both(wanted: tuple[Any, ...]) -> str:
    return str(wanted[1]) if wanted[1] == wanted[2] else f"[{wanted[1]}, {wanted[2]}]"


def _resize(sizes: tuple[Any, ...], wanted: tuple[Any, ...], what: str) -> str:
    if same(sizes[0], wanted[0]) is False:
        fix = "`Grayscale`" if wanted[0] == 1 else "`Grayscale(num_output_channels=3)`" if sizes[0] == 1 else None
        sized = f"add {fix} to the transform, or " if fix else ""
        return f"{sized}declare the input with {sizes[0]} channel{'s' * (sizes[0] != 1)}"
    if what == "augment":
        return f"let the augmentation end at {_both(wanted)} pixels, the size of the network's input"
    shape = f"[N, {', '.join(map(str, sizes))}]"
    return f"add `Resize({_both(wanted)})` to the transform, or declare the input as {shape}"


def _classes(data: ir.Data, train: ir.Train, network: ir.Network, file: s.File, report: Report) -> None:
    """The last layer gives one number for each class."""
    loss = train.loss
    if isinstance(loss, ir.Computed):
        compared = [o for o in network.outputs if loss.compared is not None and o.name in ("", loss.compared[0])]
        if loss.classes and compared:
            _count(data, network._replace(outputs=(compared[0],)), file, report)
        return
    if loss is GAP:
        if len(network.outputs) == 1 and len(network.output.shape) == 2:
            _count(data, network, file, report)
        return
    if loss.name not in CLASS_LOSSES or len(network.outputs) > 1:
        return  # which is reported
    output = network.output
    last = output_row(network)
    place = last.span if last is not None else network.span
    here = Label(place, f"gives {output}")
    if output.dtype in ("int64", "int32", "bool", "uint8"):
        report.add(
            "E0605",
            f"`{loss.name}` needs a floating-point output, and the network gives {output.dtype}",
            loss.span,
            secondary=[here],
        )
        return
    if len(output.shape) != 2:
        report.add(
            "E0606",
            f"`{loss.name}` compares [N, classes] with class labels, and the network gives {output}",
            place,
            secondary=[Label(loss.span, "the loss")],
            help="end the network with `Flatten -> name: Linear(classes)`",
        )
        return
    _count(data, network, file, report)


def _count(data: ir.Data, network: ir.Network, file: s.File, report: Report) -> None:
    """The first output has as many numbers as there are classes."""
    facts, output = _facts(data.train), network.output
    if facts is None or facts.classes is None or len(output.shape) < 2:
        return
    last = output_row(network)
    place = last.span if last is not None else network.span
    if same(output.shape[1], facts.classes) is False:
        sets = classes_row(network)
        report.add(
            "E0519",
            f"`{data.train.name}` has {facts.classes} classes, but the network's last layer gives {output.shape[1]}",
            sets.span if sets is not None else place,
            f"gives {sets.output if sets is not None else output}",
            secondary=[Label(data.train.span, f"{facts.classes} classes")],
            help=f"let the last layer give {facts.classes}",
            fix=last_layer(file, sets.span if sets is not None else place, output.shape[1], facts.classes),
        )


def _same_kind(train: ir.Call, other: ir.Call, report: Report) -> None:
    """Images and classes of the held-out sets are those of the training set."""
    ours, theirs = _facts(train), _facts(other)
    if ours is None or theirs is None:
        return
    if train.name != other.name and {train.name, other.name} & OFFICIAL.keys():
        report.add(
            "E0520", f"`{other.name}` is another set of pictures than `{train.name}`", other.span,
            secondary=[Label(train.span, "trained on this")], help="name another part of the same set",
        )  # fmt: skip
    elif ours.classes is not None and theirs.classes is not None and ours.classes != theirs.classes:
        report.add(
            "E0520",
            f"`{train.name}` has {ours.classes} classes, and `{other.name}` has {theirs.classes}",
            other.span,
            secondary=[Label(train.span, "trained on this")],
            help="evaluate on data of the same kind",
        )
    elif ours.image[:3] != theirs.image[:3] and None not in (*ours.image[:3], *theirs.image[:3]):
        report.add(
            "E0520",
            f"the images of `{other.name}` differ from those of `{train.name}`",
            other.span,
            f"gives {image_text(theirs.image)}",
            secondary=[Label(train.span, f"gives {image_text(ours.image)}")],
        )
