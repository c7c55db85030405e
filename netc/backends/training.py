"""Writes `train.py`: a training script that stands alone beside `model.py`.

In: the data and train sections as checked, the name of the network, the stem of the .net file. Out: Python as text.
Guarantees: the same text for the same program; nothing that the file did not ask for; values of the user's only as
literals; no line that `ruff check` or `ruff format` would change. Leaves the code of the network to the model backend.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netc import ir
from netc.backends import (
    training_blocked,
    training_listed,
    training_loss,
    training_official,
    training_options,
    training_own,
    training_own_loss,
    training_parallel,
    training_pictures,
    training_samples,
    training_schedule,
    training_split,
)
from netc.backends import training_text as pieces
from netc.backends.layout import Text, call
from netc.backends.training_data import Part, files_to_ship, folders, parts
from netc.backends.training_head import docstring, imports
from netc.backends.training_images import NO_IMAGES, Images, images, python
from netc.backends.training_loop import checkpoint_text, main_text, model_text, words
from netc.backends.training_reading import held_out, image_functions, load_data, readers
from netc.backends.training_samples import Samples, samples_of
from netc.catalog.data_fields import compares_classes
from netc.catalog.metrics import task
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["emit", "emit_program", "files_to_ship"]

MEMORY = 2 * 1024**3  # images beyond this many bytes are not all kept in memory
_EVALUATION_VALUES = 2**20  # of the input, in a batch without gradients


class Plan(NamedTuple):
    """What decides the text: the program's facts, and how the images are stored.

    loss_names: what the script calls names of a Python file that it has otherwise.
    storage: "tensor" (all images in one tensor on the device, prepared), "raw" (in one tensor in main memory, prepared
        batch by batch because the prepared ones would not fit), or "files" (decoded when asked for).
    """

    network: str
    stem: str
    data: ir.Data
    train: ir.Train
    parts: tuple[Part, ...]
    images: Images
    storage: str
    outputs: int | None
    channels_last: bool
    torchvision: bool
    inputs: tuple[ir.Input, ...] = ()
    results: tuple[ir.Output, ...] = ()
    output_class: str = ""
    samples: Samples | None = None
    loss_names: Mapping[str, str] = {}
    shared: training_parallel.Shared = training_parallel.Shared()
    blocked: training_blocked.Stretch | None = None

    @property
    def noun(self) -> str:
        """What the script calls its samples."""
        return "images" if self.samples is None else "samples"

    @property
    def numeric(self) -> bool:
        """Whether the labels of pictures are no classes: numbers, or several that are 0 or 1."""
        loss = self.train.loss
        compared = isinstance(loss, ir.Call) or bool(loss.labels)
        return bool(self.parts) and self.parts[0].kind in ("arrays", "rows") and compared and not compares_classes(loss)

    @property
    def accuracy(self) -> bool:
        """Whether the right answers of training are counted."""
        binary = not isinstance(self.train.loss, ir.Call) or task(self.train.loss.name) == "binary"
        one = all(len(o.type.shape) < 3 and (not binary or o.type.shape[1:] in ((), (1,))) for o in self.results)
        if self.train.optimizer.name == "LBFGS":  # whose steps keep the outputs to themselves
            return False
        return "accuracy" in self.train.metrics and (one or isinstance(self.train.loss, ir.Computed))

    @property
    def held_out(self) -> bool:
        """Whether a share of the images to train is held out."""
        return bool(training_split.held_out(self.data))

    @property
    def mask(self) -> bool:
        """Whether that is one share of each class, of images, which a mask tells apart."""
        usual = self.data.split in (None, "stratified") and not isinstance(self.data.test, (int, float))
        return self.held_out and usual and self.samples is None and not self.numeric

    @property
    def folders(self) -> dict[str, str]:
        return folders(self.parts)


def emit_program(program: ir.Program) -> tuple[str, tuple[tuple[Path, str], ...]]:
    """The text of `train.py` for a program with data and train sections, and the files that have to lie beside it.

    Raises:
        ValueError: if a section is missing, which the caller asks first.
    """
    network, data, train = program.trained, program.data, program.train
    if network is None or data is None or train is None:
        raise ValueError("nothing to train")
    outputs = network.output.shape[-1]
    text = emit(
        network.name,
        program.stem,
        network.inputs,
        data,
        train,
        outputs=outputs if isinstance(outputs, int) else None,
        channels_last=_has_filters(network.children),
        blocked=training_blocked.stretch(network),
        torchvision=_is_of_torchvision(network.children),
        results=network.outputs,
        output_class=_output_class(network.name, program.classes),
        looked_up=network.looked_up,
        shared=training_parallel.shared_of(network, program.classes) if train.options.parallel else None,
    )
    own = tuple((path, path.name) for path in training_own.companions(data))
    own += tuple((path, path.name) for path in training_own_loss.companions(train.loss))
    return text, tuple(dict.fromkeys((*files_to_ship(data), *own)))


def emit(
    network: str,
    stem: str,
    inputs: tuple[ir.Input, ...],
    data: ir.Data,
    train: ir.Train,
    *,
    outputs: int | None = None,
    channels_last: bool = True,
    blocked: training_blocked.Stretch | None = None,
    torchvision: bool = False,
    results: tuple[ir.Output, ...] = (),
    output_class: str = "",
    looked_up: Mapping[str, int] | None = None,
    shared: training_parallel.Shared | None = None,
) -> str:
    """The text of `train.py`.

    Args:
        network: the class in `model.py`; it is called without arguments.
        stem: the name of the .net file without its ending, under which runs are filed.
        inputs: the network's inputs; for pictures one, [N, C, H, W].
        outputs: how many classes the network tells apart, where the data set does not say it.
        channels_last: whether the network has two-dimensional convolutions, which are faster in that layout.
        blocked: the part of it that is faster on the CPU in oneDNN's own layout, the images in rows then.
        torchvision: whether model.py imports it.
        results: the network's outputs, and the class of model.py that holds them where there are several.
        looked_up: for an input of indices, how many entries the table has that it is looked up in.
        shared: what of the network decides how several processes train it.
    """
    shared = shared or training_parallel.Shared()
    channels_last = channels_last and train.options.parallel != "fsdp"  # which takes contiguous weights only
    if data.kind:
        samples = samples_of(data, train, inputs, results[0].type, looked_up or {})
        return _script(
            Plan(
                network, stem, data, train, (), NO_IMAGES, "files" if samples.asked else "tensor", outputs, False,
                torchvision, inputs, results, output_class, samples, shared=shared,
            )
        )  # fmt: skip
    found = parts(data)
    sample = found[0].facts.image
    if train.options.compile or train.options.precision in ("bf16", "fp16") or not channels_last:
        blocked = None
    steps = images(data, sample, channels_last and blocked is None)
    plan = Plan(
        network, stem, data, train, found, steps, _storage(found, steps), outputs, channels_last, torchvision, inputs,
        results, output_class, shared=shared, blocked=blocked,
    )  # fmt: skip
    return _script(plan)


def _storage(found: tuple[Part, ...], steps: Images) -> str:
    if found[0].kind in ("folder", "listed", "rows"):
        return "files"
    image = steps.result
    assert image.channels is not None
    assert image.height is not None
    assert image.width is not None
    count = sum((part.facts.train_size or 0) + (part.facts.test_size or 0) for part in found)
    return "tensor" if count * image.channels * image.height * image.width <= MEMORY else "raw"


def _output_class(network: str, classes: tuple[ir.Class, ...]) -> str:
    """The class of a network's outputs: that of the class that it stands on."""
    by_name = {made.name: made for made in classes}
    while network in by_name and by_name[network].base in by_name:
        network = by_name[network].base
    return f"{network}Output"


def _is_of_torchvision(children: Iterable[ir.Child]) -> bool:
    return any(
        child.call.entry.home.startswith("torchvision") if isinstance(child, ir.Layer) else
        _is_of_torchvision(child.children) for child in children
    )  # fmt: skip


def _has_filters(children: Iterable[ir.Child]) -> bool:
    for child in children:
        if not isinstance(child, ir.Layer):
            if _has_filters(child.children):
                return True
            continue
        rule = child.call.entry.rule
        if rule is not None and rule.state is not None:
            values = {p.name: child.call.get(p.name) for p in child.call.entry.params}
            if any(len(shape) == 4 for shape in rule.state(values).values()):
                return True
    return False


# --- the script -------------------------------------------------------------------------------------------------------


def _sample_functions(samples: Samples) -> list[str]:
    shared = training_split.held_out(samples.data)
    split = [training_split.split_text(samples.data, samples.split).replace("images", "samples")] if shared else []
    return [*training_samples.functions(samples), *split, training_samples.load_data(samples)]


def _functions(plan: Plan) -> list[str]:
    """What reads images and prepares them."""
    found = [*readers(plan), *image_functions(plan)]
    if plan.mask:
        found.append(held_out(plan))
    elif plan.held_out:
        found.append(
            training_split.split_text(plan.data, plan.data.split or ("random" if plan.numeric else "stratified"))
        )
    return [*found, load_data(plan)]


def _script(plan: Plan) -> str:
    data = plan.data
    before = [
        _constants(plan),
        pieces.FAIL.strip("\n"),
        *(_sample_functions(plan.samples) if plan.samples is not None else _functions(plan)),
        training_split.order_text(data),
        *([loss] if (loss := training_loss.function(plan)) else []),
        *training_schedule.functions(plan.train),
    ]
    model = model_text(plan)
    behind = [
        _run_folders(plan),
        checkpoint_text(plan),
        *training_options.functions(plan),
        pieces.CHOOSE_DEVICE.strip("\n"),
        *training_parallel.functions(plan, words(plan)),
        pieces.OPTIONS.strip("\n"),
        main_text(plan),
    ]
    data_sets, marks = training_samples.imports(data, _without_strings("\n".join([*before, model, *behind])))
    for mark, alias in marks.items():
        before = [text.replace(mark, alias) for text in before]
    whole = _without_strings("\n".join([*before, model, *behind]))
    lines, names = training_own.imports(data, whole)
    before = [training_own.named(text, names) for text in before]
    code = _without_strings("\n".join([*before, model, *behind]))
    taken = training_own_loss.aliases(plan.train.loss, code)
    if taken and not plan.loss_names:
        return _script(plan._replace(loss_names=taken))
    data_sets = training_own_loss.merged(data_sets, training_own_loss.imports(plan.train.loss, plan.loss_names))
    name = "Network" if re.search(rf"\b{plan.network}\b", code) else plan.network
    units = training_parallel.names_of_units(plan, code)
    behind = [training_parallel.named(text, units) for text in behind]
    body = "\n\n\n".join([*before, model.replace("@CLASS@", name), *behind])
    whole = f"{docstring(plan)}\n\n{imports(plan, code, name, [*lines, *data_sets], units)}\n\n{body}\n"
    return training_own_loss.named(whole, plan.train.loss)


def _run_folders(plan: Plan) -> str:
    text = pieces.RUN_FOLDERS.strip("\n")
    if "confusion_matrix" in plan.train.metrics:  # whose rows begin with a name
        text = text.replace("rows: list[dict[str, float]]", "rows: list[dict[str, Any]]")
    return training_parallel.alone(text) if plan.train.options.parallel else text


def _without_strings(text: str) -> str:
    """Code without the insides of its strings, in which a name is not a use of it."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"', "", text)


# --- constants --------------------------------------------------------------------------------------------------------


def _constants(plan: Plan) -> str:
    data, train = plan.data, plan.train
    lines = [
        f"SEED = {train.seed}  # of the split, the weights, the order and the augmentation",
        f"STEPS = {train.options.steps}  # of the optimizer"
        if train.options.steps is not None
        else f"EPOCHS = {train.epochs}  # times through the training {plan.noun}",
        f"BATCH_SIZE = {data.batch_size}  # {plan.noun} in a step",
        f"EVALUATION_BATCH = {_evaluation_batch(plan)}  # {plan.noun} at once where no gradients are kept",
    ]
    lines += training_split.constants(data, plan.noun)
    lines += training_options.constants(plan)
    lines += _data_constants(plan) if plan.samples is None else training_samples.constants(plan.samples)
    lines.append(f'RUNS = Path("runs") / {literal(plan.stem)}  # where each run gets its folder')
    lines += _parameters(plan)
    lines += _settings(plan)
    steps = plan.images
    bodies = (steps.prepare, steps.training, steps.augment, steps.preprocess)
    more = list(dict.fromkeys(c for body in bodies if body for c in body.constants))
    more += [""] if more else []
    if train.options.parallel is not None:
        more = [*training_parallel.CONSTANTS.strip("\n").split("\n"), "", *more]
    return "\n".join([*lines, "", *more, *training_loss.constants(plan)]).rstrip("\n")


def _parameters(plan: Plan) -> list[str]:
    """Which parameters keep their values, and which have settings of their own."""
    lines = []
    if plan.train.freeze:
        lines.append("# Parameters that keep their values, by their names")
        lines += call("[", [Text(literal(pattern)) for pattern, _ in plan.train.freeze], "]").lines(0, "FROZEN = ")
    if plan.train.groups:
        lines.append("# Settings of their own for parameters, by their names; the last that matches counts")
        items = [Text(f"{literal(g.pattern)}: {_own_settings(plan, g)}") for g in plan.train.groups]
        lines += call("{", items, "}", broken=True).lines(0, "GROUPS: dict[str, dict[str, Any]] = ")
    return lines


def _own_settings(plan: Plan, group: ir.ParameterGroup) -> str:
    types = {p.name: p.type for p in plan.train.optimizer.entry.params}
    values = {n: tuple(a.value) if isinstance(a.value, list) else a.value for n, a in group.settings.items()}
    return "{" + ", ".join(f'"{n}": {python(v, types.get(n, "any"))}' for n, v in values.items()) + "}"


def _evaluation_batch(plan: Plan) -> int:
    if plan.samples is not None:
        return max(plan.data.batch_size, training_samples.evaluation_batch(plan.samples, _EVALUATION_VALUES))
    image = plan.images.result
    values = (image.channels or 1) * (image.height or 1) * (image.width or 1)
    fitting = _EVALUATION_VALUES // max(values, 1)
    return max(plan.data.batch_size, 1 << max(fitting.bit_length() - 1, 0))


def _data_constants(plan: Plan) -> list[str]:
    lines = []
    written = set()
    for part in plan.parts:
        name = plan.folders.get(part.role)
        if name is not None and name not in written:
            written.add(name)
            lines.append(f"{name} = {part.folder}  # {_folder_comment(part, name)}")
    for part in plan.parts:
        if part.kind == "cifar":
            sums = [Text(f'"{n}": "{md5}"') for n, md5 in zip(part.names, part.sums, strict=True)]
            lines.append("# The MD5 sums that torchvision checks too")
            lines += call("{", sums, "}", broken=True).lines(0, f"{part.role.upper()}_FILES = ")
    lines += training_official.constants(plan.parts)
    if plan.parts[0].kind == "rows":
        lines += training_listed.constants(plan)
    names = plan.parts[0].facts.class_names
    if plan.storage == "files":
        lines += training_pictures.constants(plan)
    if names is not None:
        lines += _names(names)
    elif plan.storage != "files":
        lines.append(f"IMAGE_SIZE = {literal(tuple(plan.parts[0].facts.image[:3]))}  # channels, height, width")
        if not plan.numeric:
            lines += [f"CLASSES = {plan.outputs}  # the network's outputs"]
            lines += ["CLASS_NAMES = [str(i) for i in range(CLASSES)]"]
    return lines


def _folder_comment(part: Part, name: str) -> str:
    if part.kind == "rows":
        return "a row for each picture"
    return f"the files of {part.call.name}" if part.kind != "folder" else "a folder for each class"


def _names(names: tuple[str, ...]) -> list[str]:
    """The constant CLASS_NAMES; a long list of single words is one text, taken apart."""
    if len(names) <= 20 or any(re.search(r"\s", name) for name in names):
        return list(call("[", [Text(literal(n)) for n in names], "]").lines(0, "CLASS_NAMES = "))
    if names == tuple(str(i) for i in range(len(names))):
        return [f"CLASS_NAMES = [str(i) for i in range({len(names)})]"]
    whole = f"CLASS_NAMES = {literal(' '.join(names))}.split()"
    if len(whole) <= 88:
        return [whole]
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > 78:
            lines.append(line)
            line = ""
        line += f"{name} "
    lines.append(line.rstrip())
    return ["CLASS_NAMES = (", *(f"    {literal(line)}" for line in lines), ").split()"]


def _settings(plan: Plan) -> list[str]:
    """What a run that goes on must have in common with its beginning."""
    names = ["SEED", "BATCH_SIZE", *map(str.upper, training_split.held_out(plan.data))]
    options = plan.train.options
    names += [("STEPS" if options.steps else "EPOCHS")] if plan.train.schedule is not None else []
    names += ["ACCUMULATE"] if options.accumulate > 1 else []
    names += ["EMA"] if options.ema is not None else []
    pairs = ", ".join(f'"{name.lower()}": {name}' for name in names)
    comment = "  # a run goes on only with the same"
    line = f"SETTINGS = {{{pairs}}}"
    settings = [line + comment] if len(line + comment) <= 88 else [comment.strip().capitalize(), line]
    if settings[0].startswith("#"):
        settings[0] = "# A run goes on only with the same settings"
        settings[1:] = call("{", [Text(pair) for pair in pairs.split(", ")], "}").lines(0, "SETTINGS = ")
    return settings
