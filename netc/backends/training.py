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
    training_loss,
    training_mixing,
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
from netc.backends.training_data import Part, files_to_ship, folders, parts, phrase
from netc.backends.training_images import NO_IMAGES, Images, function, images, python
from netc.backends.training_loop import checkpoint_text, criterion, main_text, model_text, words
from netc.backends.training_samples import Samples, samples_of
from netc.catalog.metrics import is_better_high, numbers, task
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

    @property
    def noun(self) -> str:
        """What the script calls its samples."""
        return "images" if self.samples is None else "samples"

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
        return self.held_out and usual and self.samples is None

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
    steps = images(data, sample, channels_last)
    plan = Plan(
        network, stem, data, train, found, steps, _storage(found, steps), outputs, channels_last, torchvision, inputs,
        results, output_class, shared=shared,
    )  # fmt: skip
    return _script(plan)


def _storage(found: tuple[Part, ...], steps: Images) -> str:
    if found[0].kind in ("folder", "listed"):
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
    found = [*_reading(plan), *_image_functions(plan)]
    if plan.mask:
        found.append(_held_out(plan))
    elif plan.held_out:
        found.append(training_split.split_text(plan.data, plan.data.split or "stratified"))
    return [*found, _load_data(plan)]


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
    whole = f"{_docstring(plan)}\n\n{_imports(plan, code, name, [*lines, *data_sets], units)}\n\n{body}\n"
    return training_own_loss.named(whole, plan.train.loss)


def _run_folders(plan: Plan) -> str:
    text = pieces.RUN_FOLDERS.strip("\n")
    if "confusion_matrix" in plan.train.metrics:  # whose rows begin with a name
        text = text.replace("rows: list[dict[str, float]]", "rows: list[dict[str, Any]]")
    return training_parallel.alone(text) if plan.train.options.parallel else text


def _without_strings(text: str) -> str:
    """Code without the insides of its strings, in which a name is not a use of it."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"', "", text)


def _docstring(plan: Plan) -> str:
    plain = re.fullmatch(r"[\w.-]+", plan.stem) is not None
    place = f"runs/{plan.stem}" if plain else "a folder of runs/"
    source = f"{plan.stem}.net" if plain else "a .net file"
    kept = plan.train.options.checkpoint
    last = "the newest epoch, where --resume goes on"
    if kept is not None and kept.every_steps is not None:
        last = "the newest state, where --resume goes on"
    every = kept.every_epochs if kept is not None else None
    named = "every epoch" if every == 1 else f"every {every} epochs"
    more = f"    epoch0001.pt the state after {named}\n" if every else ""
    board = "    events.*     for TensorBoard: tensorboard --logdir runs\n" if plan.train.options.tensorboard else ""
    column, end = criterion(plan)
    if kept is not None and kept.monitor is not None:
        best = f"the epoch with the {'lowest' if end == 'min' else 'highest'} {column.replace('_', ' ')}"
    elif plan.data.validation is None:
        best = "the epoch with the lowest loss in training, as there is no validation"
    elif measured := numbers(plan.train.metrics):
        most = "highest" if is_better_high(measured[0]) else "lowest"
        best = f"the epoch with the {most} {measured[0]} on the validation images"
    else:
        best = "the epoch with the lowest loss on the validation images"
    steps = (plan.images.prepare, plan.images.training, plan.images.augment, plan.images.preprocess)
    needed = ["torch", *["torchvision"] * (plan.torchvision or any(body.v2 for body in steps if body)), "tqdm"]
    needed[1:1] = [name for name in training_official.needed(plan.parts) if name not in needed]
    needed += ["tensorboard"] * bool(plan.train.options.tensorboard)
    needed += (
        ["Pillow", *["NumPy"] * training_pictures.cached(plan)]
        if plan.storage == "files" and plan.samples is None
        else []
    )
    arrays = plan.parts[0].kind == "arrays" if plan.samples is None else not plan.samples.table
    needed += ["NumPy"] * arrays
    needs = f"{', '.join(needed[:-1])} and {needed[-1]}"
    data = phrase(plan.data.train) if plan.samples is None else training_samples.phrase(plan.data.train)
    best = best.replace("images", plan.noun)
    matrix = ""
    if "confusion_matrix" in plan.train.metrics:
        matrix = "    confusion_matrix.csv  what best.pt takes each class for\n"
    return f'''"""Train {plan.network} (model.py, beside this file) on {data}.

{training_parallel.usage(plan)}
    python train.py --resume         # go on with the newest run

Each run gets a folder of its own, {place}/001 and so on, with these files:

    best.pt      {best}
    last.pt      {last}
{more}    metrics.csv  a row for each epoch
{matrix}{board}
Needs {needs}.
"""

# Generated by netc: change {source} and build it again.'''


_IMPORTS = (
    ("csv", r"\bcsv\."),
    ("errno", r"\berrno\."),
    ("gzip", r"\bgzip\."),
    ("hashlib", r"\bhashlib\."),
    ("io", r"\bio\."),
    ("json", r"\bjson\."),
    ("math", r"\bmath\."),
    ("os", r"\bos\."),
    ("pickle", r"\bpickle\."),
    ("random", r"(?<![.\w])random\."),
    ("re", r"\bre\."),
    ("shutil", r"\bshutil\."),
    ("signal", r"\bsignal\."),
    ("sys", r"\bsys\."),
    ("tempfile", r"\btempfile\."),
    ("time", r"\btime\."),
    ("warnings", r"\bwarnings\."),
    ("zipfile", r"\bzipfile\."),
    ("zlib", r"\bzlib\."),
)


def _imports(plan: Plan, code: str, name: str, data_sets: list[str], units: dict[str, str]) -> str:
    standard = ["import argparse", *(f"import {name}" for name, use in _IMPORTS if re.search(use, code))]
    abstract = [name for name in ("Callable", "Iterable", "Iterator") if re.search(rf"\b{name}\b", code)]
    if abstract:
        standard.append(f"from collections.abc import {', '.join(abstract)}")
    if "ThreadPoolExecutor" in code:
        standard.append("from concurrent.futures import ThreadPoolExecutor")
    if re.search(r"\bsuppress\(", code):
        standard.append("from contextlib import suppress")
    if re.search(r"(?<![.\w])copy\(", code):
        standard.append("from copy import copy")
    if "@dataclass" in code:
        standard.append("from dataclasses import dataclass, field")
    if "timedelta(" in code:
        standard.append("from datetime import timedelta")
    if "get_close_matches(" in code:
        standard.append("from difflib import get_close_matches")
    if "fnmatchcase(" in code:
        standard.append("from fnmatch import fnmatchcase")
    if "partial(" in code:
        standard.append("from functools import partial")
    if re.search(r"^@cache$", code, re.M):
        standard.append("from functools import cache")
    if "(compress(" in code:
        standard.append("from itertools import compress")
    typing = [name for name in ("Any", "Literal", "NamedTuple", "NoReturn", "Self") if re.search(rf"\b{name}\b", code)]
    standard += ["from pathlib import Path", f"from typing import {', '.join(typing)}"]
    third = ["import numpy as np"] * ("np." in code) + ["import torch", *training_parallel.imports(code)]
    if "Image.open" in code:
        third.append("from PIL import Image")
    third.append("from torch import Tensor, nn")
    if re.search(r"\bBeta\(", code):
        third.append("from torch.distributions import Beta")
    if "AveragedModel(" in code:
        third.append("from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn")
    if re.search(r"\bF\.", code):
        third.append("from torch.nn import functional as F")
    if re.search(r"(?<![.\w])datasets\.", code):
        third.append("from torchvision import datasets")
    if re.search(r"\bv2\.", code):
        third.append("from torchvision.transforms import v2")
    third.append("from tqdm import tqdm")
    loading = [name for name in ("DataLoader", "default_collate") if f"{name}(" in code]
    if loading:
        third.append(f"from torch.utils.data import {', '.join(loading)}")
    third = sorted(line for line in third if line.startswith("import")) + sorted(
        (line for line in third if line.startswith("from")), key=lambda line: line.split()[1].lower()
    )
    imported = plan.network if name == plan.network else f"{plan.network} as {name}"
    if plan.output_class and re.search(rf"\b{plan.output_class}\b", code):
        imported = f"{imported}, {plan.output_class}"
    if plan.train.options.parallel == "fsdp":
        imported = training_parallel.imported(imported, units)
    own = sorted([*data_sets, f"from model import {imported}"], key=lambda line: (line[0] != "i", line.lower()))
    return "\n".join([*standard, "", *third, "", "# isort: split", *own])


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
        lines += call("{", items, "}", broken=True).lines(0, "GROUPS = ")
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
    names = plan.parts[0].facts.class_names
    if plan.storage == "files":
        lines += training_pictures.constants(plan)
    if names is not None:
        lines += _names(names)
    elif plan.storage != "files":
        lines.append(f"IMAGE_SIZE = {literal(tuple(plan.parts[0].facts.image[:3]))}  # channels, height, width")
        lines += [f"CLASSES = {plan.outputs}  # the network's outputs"]
        lines += ["CLASS_NAMES = [str(i) for i in range(CLASSES)]"]
    return lines


def _folder_comment(part: Part, name: str) -> str:
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


# --- reading and images -----------------------------------------------------------------------------------------------


def _reading(plan: Plan) -> list[str]:
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
    return training_samples.image_reader(plan.parts[0].call)


_READERS = {
    "gzip": lambda plan: _idx_reader(packed=True),
    "idx": lambda plan: _idx_reader(packed=False),
    "qmnist": lambda plan: pieces.READ_QMNIST,
    "cifar": lambda plan: pieces.READ_CIFAR,
    "fake": lambda plan: pieces.READ_FAKE,
    "folder": _folder_reader,
    "arrays": _array_reader,
}


def _image_functions(plan: Plan) -> list[str]:
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


def _held_out(plan: Plan) -> str:
    count = "VALIDATION" if isinstance(plan.data.validation, int) else "round(len(labels) * VALIDATION)"
    return pieces.HELD_OUT.strip("\n").replace("@COUNT@", count)


# --- load_data --------------------------------------------------------------------------------------------------------


def _load_data(plan: Plan) -> str:
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
        lines += training_samples.one_class(part.call) if part.kind == "arrays" and not prefix else []
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
