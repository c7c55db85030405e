"""How `train.py` reads sets of pictures and prepares them, up to `load_data`.

In: the plan of `training`. Out: functions of the script. Guarantees: each is there only where the data asks for it.
Leaves the steps that pictures go through to `training_images`, and samples of other kinds to `training_samples`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.backends import (
    training_listed,
    training_mixing,
    training_official,
    training_pictures,
    training_samples,
    training_split,
)
from netc.backends import training_text as pieces
from netc.backends.layout import Text, call
from netc.backends.training_images import function
from netc.literals import literal

if TYPE_CHECKING:
    from netc.backends.training import Plan
    from netc.backends.training_data import Part

# --- reading and images -----------------------------------------------------------------------------------------------


def readers(plan: Plan) -> list[str]:
    """The functions that read the files of the data."""
    kinds = list(dict.fromkeys(part.kind for part in plan.parts))
    found = []
    if any(part.names and part.kind != "gzip" and not part.fetch for part in plan.parts):
        found.append(pieces.REQUIRE)
    if any(part.fetch for part in plan.parts):
        found.append(pieces.FETCH)
    found += [_READERS[kind](plan) for kind in kinds if kind in _READERS]
    found += training_official.functions(plan.parts)
    if plan.storage == "files":
        found.append(training_pictures.READ_PICTURE)
    if plan.storage == "files":
        found += training_pictures.class_text(plan)
    return [text.strip("\n") for text in found]


def _idx_reader(packed: bool) -> str:
    words = ("a gzipped IDX file", "gzip.decompress(path.read_bytes())", "(OSError, EOFError, zlib.error)")
    words = words if packed else ("an IDX file", "path.read_bytes()", "OSError")
    text = pieces.READ_IDX
    for mark, word in zip(("@FILE@", "@CONTENT@", "@ERRORS@"), words, strict=True):
        text = text.replace(mark, word)
    return text


def _folder_reader(plan: Plan) -> str:
    allow = plan.parts[0].detail == "True"
    empty = "        if not found:\n            fail(f\"{folder / name} has no pictures ({', '.join(SUFFIXES)})\")\n"
    none = '    if not files:\n        fail(f"{folder} has no pictures")\n'
    text = pieces.READ_FOLDER.replace("@CHECK_EMPTY@", "" if allow else empty)
    return text.replace("@CHECK_NONE@", none if allow else "")


def _array_reader(plan: Plan) -> str:
    return training_samples.image_reader(plan)


_READERS = {
    "gzip": lambda plan: _idx_reader(packed=True),
    "idx": lambda plan: _idx_reader(packed=False),
    "qmnist": lambda plan: pieces.READ_QMNIST,
    "cifar": lambda plan: pieces.READ_CIFAR,
    "fake": lambda plan: pieces.READ_FAKE,
    "folder": _folder_reader,
    "arrays": _array_reader,
    "rows": training_listed.functions,
}


def image_functions(plan: Plan) -> list[str]:
    """The functions that prepare, augment and convert images."""
    steps = plan.images
    found = []
    if any("center_crop" in body.helpers for body in (steps.prepare, steps.training) if body):
        found.append(pieces.CENTER_CROP.strip("\n"))
    fixed = [body for body in (steps.prepare, steps.training, steps.preprocess) if body]
    shared = dict.fromkeys(text for body in fixed for text in body.functions)
    found += shared
    if "row_of" in steps.preprocess.helpers:
        found.append(pieces.ROW_OF.strip("\n"))
    found.append(function("prepare", "What the transform does to uint8 images, before a batch is made.", steps.prepare))
    if steps.training is not None:
        about = "The same for training images, whose size is the affair of `augment`."
        found.append(function("prepare_training", about, steps.training))
    if steps.augment is not None:
        found += (text for text in steps.augment.functions if text not in shared)
        parameter = "images: Tensor" if steps.stacked else "pictures: list[Tensor]"
        about = "Change uint8 training images by chance."
        found.append(function("augment", about, steps.augment, parameter))
    shape = f"[N, {steps.result.channels}, {steps.result.height}, {steps.result.width}]"
    about = f"What the network takes, {steps.result.dtype} {shape}, from uint8 images."
    found.append(function("preprocess", about, steps.preprocess))
    found += training_mixing.function(plan.data, plan.outputs or 0)
    return [text for text in found if text]


def held_out(plan: Plan) -> str:
    """The function that says which images are held out."""
    count = "VALIDATION" if isinstance(plan.data.validation, int) else "round(len(labels) * VALIDATION)"
    return pieces.HELD_OUT.strip("\n").replace("@COUNT@", count)


# --- load_data --------------------------------------------------------------------------------------------------------


def load_data(plan: Plan) -> str:
    """The function `load_data`."""
    names = ["train", *(["validation"] if plan.data.validation is not None else [])]
    names += ["test"] if plan.data.test is not None else []
    quoted = [f'"{name}"' for name in names]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    kind = "Pictures" if plan.storage == "files" else "Tensor"
    ready = "prepared" if plan.storage != "raw" else "as they are on the disk"
    lines = [
        f"def load_data() -> dict[str, tuple[{kind}, Tensor]]:",
        f'    """Images, {ready}, and labels: {listed}."""',
        *_checks(plan),
    ]
    lines += training_pictures.load_lines(plan) if plan.storage == "files" else _load_tensors(plan, names)
    return "\n".join(lines)


def _checks(plan: Plan) -> list[str]:
    lines = []
    for part in plan.parts:
        if not part.names or part.kind == "gzip":
            continue
        folder = plan.folders[part.role]
        names = f"{part.role.upper()}_FILES" if part.kind == "cifar" else ""
        items = [Text(folder)]
        items.append(Text(names) if names else call("(", [Text(f'"{n}"') for n in part.names], ")"))
        items.append(Text(f'"{part.call.name}"'))
        items += map(Text, part.fetch)
        name = "fetch" if part.fetch else "require"
        lines += [f"    {line}" for line in call(f"{name}(", items, ")").lines(4, "")]
    return lines


def _read(plan: Plan, part: Part) -> Text:
    """The call that reads a part."""
    folder = plan.folders.get(part.role)
    if part.kind == "fake":
        size, shape, classes, offset = (
            part.call.get(name) for name in ("size", "image_size", "num_classes", "random_offset")
        )
        assert isinstance(shape, (tuple, list))
        return Text(f"make_images({size}, {literal(tuple(shape))}, {classes}, {offset})")
    if part.kind == "arrays":
        return training_samples.image_arrays(part.call, str(folder), plan.inputs[0].name)
    if part.kind == "opened":
        return Text(f'read_images("{part.role}")')
    if part.kind == "cifar":
        items = (str(folder), f"{part.role.upper()}_FILES", f'"{part.detail}"')
        return call("read_cifar(", [Text(item) for item in items], ")")
    return call("read_images(", [Text(f'{folder} / "{name}"') for name in part.names], ")")


def _load_tensors(plan: Plan, names: list[str]) -> list[str]:
    raw = plan.storage == "raw"
    training = "prepare_training" if plan.images.training is not None else "prepare"
    lines = []
    entries = {}
    for part in plan.parts:
        prefix = "" if part.role == "train" else f"{part.role}_"
        lines += [f"    {line}" for line in _read(plan, part).lines(4, f"{prefix}images, {prefix}labels = ")]
        lines += training_samples.one_class(part.call) if part.kind == "arrays" and not (prefix or plan.numeric) else []
        if part.detail.startswith("["):
            names_of = (f"{prefix}images", f"{prefix}labels")
            lines += [f"    {name} = {name}{part.detail}" for name in names_of]
        entries[part.role] = (f"{prefix}images", f"{prefix}labels")
    if plan.held_out and not plan.mask:
        shares = ("train", *training_split.held_out(plan.data))
        lines.append(f"    {', '.join(shares)} = split(labels).values()")
        entries |= {name: (f"images[{name}]", f"labels[{name}]") for name in shares}
    elif plan.held_out:
        lines.append("    held = held_out(labels)")
        entries["validation"] = ("images[held]", "labels[held]")
        entries["train"] = ("images[~held]", "labels[~held]")
    items = []
    for name in names:
        image, label = entries[name]
        prepared = image if raw else f"{training if name == 'train' else 'prepare'}({image})"
        items.append(Text(f'"{name}": ({prepared}, {label})'))
    return lines + [f"    {line}" for line in call("{", items, "}", broken=True).lines(4, "return ")]
