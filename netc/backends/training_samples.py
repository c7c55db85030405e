"""How `train.py` gets at samples that are no pictures: tables and arrays, their constants, functions and `load_data`.

In: the data section as checked, the inputs and the output of the network, the loss. Out: pieces of Python, and how the
fixed pieces speak of these samples. Guarantees: what the file says stands in the script as literals only. Leaves the
text to `training_table` and `training_arrays`, what is held out to `training_split`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc.backends import training_workers
from netc.backends.layout import Text, call
from netc.backends.training_arrays import AS_INPUT, ASKED, IMAGES, LABELS, READ, SAMPLES
from netc.backends.training_images import python
from netc.backends.training_main import select
from netc.backends.training_mapped import MAP, MAPPED
from netc.backends.training_split import held_out
from netc.backends.training_table import ENCODING, LOAD, TABLE
from netc.catalog.data_fields import SHIPPED, compares_classes, features, names_of, targets
from netc.catalog.metrics import task
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netc.backends.training import Plan
    from netc.shapes import TensorType

_LARGEST_BATCH = 2**13  # of small samples: a network makes more of each than it takes
MISSING = 'MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}  # a cell without a number'
LARGEST = "LARGEST = torch.finfo(torch.float32).max  # number that a network can take"


class Samples(NamedTuple):
    """What decides the text for samples that are no pictures.

    split: how shares are held out: "stratified", "random" or "ordered".
    classes: whether labels are classes; numbers otherwise.
    looked_up: for an input of indices, how many entries the table has that it is looked up in.
    labelled: whether the loss or a metric compares something with labels.
    yes_no: whether the loss takes each number of a label as the probability of something.
    parallel: whether several processes train together.
    """

    data: ir.Data
    inputs: tuple[ir.Input, ...]
    output: TensorType
    classes: bool
    split: str
    looked_up: Mapping[str, int] = {}
    labelled: bool = True
    yes_no: bool = False
    parallel: bool = False

    @property
    def table(self) -> bool:
        return self.data.kind == "table"

    @property
    def asked(self) -> bool:
        """Whether samples are asked for in each epoch anew, and not kept."""
        return self.data.kind in ("python", "arrays") and self.data.cache is False

    @property
    def mapped(self) -> bool:
        """Whether arrays stay on the disk."""
        return self.asked and self.data.kind == "arrays"

    @property
    def several(self) -> bool:
        return len(self.inputs) > 1

    @property
    def outputs(self) -> int | None:
        """How many classes the network tells apart."""
        count = self.output.shape[1] if len(self.output.shape) > 1 else None
        return count if isinstance(count, int) else None


def samples_of(
    data: ir.Data, train: ir.Train, inputs: tuple[ir.Input, ...], output: TensorType, looked_up: Mapping[str, int]
) -> Samples:
    """What decides the text."""
    classes = compares_classes(train.loss)
    split = data.split or ("stratified" if classes and len(output.shape) == 2 else "random")
    compared = isinstance(train.loss, ir.Call) or bool(train.loss.labels) or bool(train.metrics)
    yes_no = isinstance(train.loss, ir.Call) and task(train.loss.name) == "binary"
    parallel = train.options.parallel is not None
    return Samples(data, inputs, output, classes, split, looked_up, compared, yes_no, parallel)


def phrase(data: ir.Call) -> str:
    """What the data is, for the docstring of the script."""
    if data.entry.home.startswith("python:"):
        return data.name
    if data.name in SHIPPED:
        return f"the table in {SHIPPED[data.name].file.partition('/')[0]}/"
    return "a table" if data.name == "CSV" else "arrays"


def files_to_ship(data: ir.Data) -> list[tuple[Path, str]]:
    """The tables that have to lie beside the script, each with the README that names its source and licence."""
    from pathlib import Path

    calls = [c for c in (data.train, data.validation, data.test) if isinstance(c, ir.Call)]
    if data.kind == "python":
        paths = {path for c in calls for path in _companions(c)}
        return [(path, path.name) for path in sorted(paths)]
    folders = {SHIPPED[c.name].file.partition("/")[0] for c in calls if c.name in SHIPPED}
    package = Path(__file__).parents[1]
    found = [path for folder in sorted(folders) for path in sorted((package / folder).iterdir())]
    return [(path, f"{path.parent.name}/{path.name}") for path in found if path.suffix in (".csv", ".md")]


def evaluation_batch(samples: Samples, values: int) -> int:
    """How many samples make up so many values of the inputs, as a power of 2."""
    if samples.asked and samples.data.workers:  # a batch is made by one of them
        return samples.data.batch_size
    count = sum(math.prod(s if isinstance(s, int) else 64 for s in i.type.shape[1:]) for i in samples.inputs)
    return min(1 << max((values // max(count, 1)).bit_length() - 1, 0), _LARGEST_BATCH)


def of_samples(text: str, samples: Samples) -> str:
    """A fixed piece of the script, which speaks of images that are prepared, of these samples."""
    text = text.replace(" for @READY@ images", "").replace("images", "samples")
    if samples.asked:
        text = re.sub(r"torch\.cat\((samples\.batch\((?:index|torch\.arange\(len\(samples\)\))\))\)", r"\1", text)
        if samples.several:
            text = re.sub(r"(samples\.batch\(.*\))\.to\(((?:labels\.)?device)\)", r"[x.to(\2) for x in \1]", text)
    text = _unprocessed(text)
    if samples.data.workers and samples.asked:
        text = training_workers.in_evaluation(text, samples.parallel)
        text = training_workers.at_once(text, samples.several, samples.parallel)
    if not samples.several:
        return text
    if samples.asked:
        return re.sub(r"\b(model|compiled)\((batch|ready)\)", r"\1(*\2)", text)
    text = text.replace("samples: Tensor", "samples: tuple[Tensor, ...]")
    text = text.replace(
        "def evaluate(model: nn.Module, samples: tuple[Tensor, ...], labels: Tensor)",
        "def evaluate(\n    model: nn.Module,\n    samples: tuple[Tensor, ...],\n    labels: Tensor,\n)",
    )
    text = text.replace(
        "data = {part: (x.to(device), y.to(device)) for part, (x, y) in load_data().items()}",
        "data = {}\n    for part, (xs, y) in load_data().items():\n"
        "        data[part] = tuple(x.to(device) for x in xs), y.to(device)",
    )
    text = text.replace(
        "for batch in samples.split(EVALUATION_BATCH):",
        "for batch in zip(*(x.split(EVALUATION_BATCH) for x in samples), strict=True):",
    )
    text = text.replace(
        "for batch in in_turn(samples.split(EVALUATION_BATCH)):",
        "batches = zip(*(x.split(EVALUATION_BATCH) for x in samples), strict=True)\n    for batch in in_turn(batches):",
    )
    text = text.replace("model(batch.to(device))", "model(*(x.to(device) for x in batch))")
    text = text.replace("ready = batch.to(device)", "ready = [x.to(device) for x in batch]")
    text = text.replace("samples[index].to(device)", "[x[index].to(device) for x in samples]")
    text = text.replace("samples.to(labels.device)", "[x.to(labels.device) for x in samples]")
    return re.sub(r"\b(model|compiled)\((batch|ready)\)", r"\1(*\2)", text)


def _unprocessed(text: str) -> str:
    """A text without the calls of `preprocess`; what they are given stays."""
    before, found, behind = text.partition("preprocess(")
    if not found:
        return text
    depth, end = 1, 0
    while depth:
        depth += (behind[end] == "(") - (behind[end] == ")")
        end += depth > 0
    return f"{before}{behind[:end]}{_unprocessed(behind[end + 1 :])}"


def with_encoding(text: str, samples: Samples) -> str:
    """The text of `main` for a table, whose encoding goes into checkpoints."""
    if not samples.table:
        return text
    read, loaded = " in load_data().items()}", " in loaded.items()}"
    first = "    data = {part: (x.to(device), y.to(device)) for part, (x, y)"
    with_it = "    encoding = Encoding()\n    loaded = load_data(encoding)\n"
    return text.replace(f"{first}{read}", f"{with_it}{first}{loaded}")


def taken(samples: Samples) -> str:
    """The expression for what the network takes in a step."""
    if samples.asked:
        return "[x.to(device) for x in samples.batch(index)]" if samples.several else "samples.batch(index).to(device)"
    return "[x[index] for x in samples]" if samples.several else "samples[index]"


def _companions(data: ir.Call) -> tuple[Path, ...]:
    """The Python file of a data set, and those beside it that it needs."""
    shape: Any = data.entry.rule.shape if data.entry.rule is not None else None
    companions: tuple[Path, ...] = shape.file.companions
    return companions


def imports(data: ir.Data, code: str) -> tuple[list[str], dict[str, str]]:
    """The lines that import Python data sets, and for each its mark and its name in a script of this code."""
    calls = [c for c in (data.train, data.validation, data.test) if isinstance(c, ir.Call)] if data.kind else []
    modules: dict[str, set[str]] = {}
    marks = {}
    for name, home in {c.name: c.entry.home for c in calls if c.entry.home.startswith("python:")}.items():
        alias = f"{name}Data" if re.search(rf"\b{name}\b", code) else name
        marks[_mark(name)] = alias
        module = home.removeprefix("python:").replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        modules.setdefault(module, set()).add(name if alias == name else f"{name} as {alias}")
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in modules.items()], marks


def _mark(name: str) -> str:
    return f"@DATASET_{name}@"


def _further(data: ir.Data) -> list[tuple[str, ir.Call]]:
    named = (("validation", data.validation), ("test", data.test))
    return [(part, value) for part, value in named if isinstance(value, ir.Call)]


def _path(data: ir.Call) -> str:
    if data.name in SHIPPED:
        return f'Path(__file__).parent / "{SHIPPED[data.name].file}"'
    return f"Path({literal(data.get('path'))})"


# --- constants --------------------------------------------------------------------------------------------------------


def constants(samples: Samples) -> list[str]:
    """The constants of the data."""
    found = _table_constants(samples) if samples.table else _array_constants(samples)
    if samples.data.workers:
        found.insert(0, f"WORKERS = {samples.data.workers}  # processes that make samples")
    if samples.classes and samples.outputs is not None:
        found.append(f"CLASSES = {samples.outputs}  # the network's outputs")
        if not samples.table:
            found.append("CLASS_NAMES = [str(i) for i in range(CLASSES)]")
    return found


def _files(samples: Samples) -> list[str]:
    named = [("DATA", samples.data.train), *((f"{p.upper()}_DATA", c) for p, c in _further(samples.data))]
    return [f"{name} = {_path(data)}" for name, data in named]


def _listed(name: str, values: tuple[str, ...], comment: str = "") -> list[str]:
    lines = list(call("[", [Text(literal(v)) for v in values], "]").lines(0, f"{name} = "))
    if comment and len(lines) == 1 and len(lines[0]) + len(comment) + 4 <= 88:
        return [f"{lines[0]}  # {comment}"]
    return [f"# {comment.capitalize()}", *lines] if comment else lines


def _table_constants(samples: Samples) -> list[str]:
    data, args = samples.data.train, _values(samples.data.train)
    predicted = targets(args, data.name)
    lines = _files(samples)
    if samples.classes:
        lines.append(f"TARGET = {literal(predicted[0])}  # the column to predict")
    else:
        lines += _listed("TARGETS", predicted, "the columns to predict" if len(predicted) > 1 else "what to predict")
    given, categorical = args.get("features"), names_of(args.get("categorical"))
    if given is not None:
        lines += _listed("FEATURES", names_of(given), "the columns to predict from")
    if categorical:
        lines += _listed("CATEGORICAL", categorical, "columns of names, each name a number of its own")
    size = samples.inputs[0].type.shape[-1]
    lines.append(f"INPUTS = {size}  # numbers a row, which the network takes")
    lines += [MISSING, LARGEST]
    return lines


def _array_constants(samples: Samples) -> list[str]:
    lines = _files(samples) if samples.data.train.get_or("path", None) is not None else []
    lines.append("# What the network takes: the type of each input, and its shape without the batch")
    items = []
    for name, input_ in zip(_input_names(samples), samples.inputs, strict=True):
        sizes = [str(size) if isinstance(size, int) else "None" for size in input_.type.shape[1:]]
        shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
        items.append(Text(f"{literal(name)}: (torch.{input_.type.dtype}, {shape})"))
    lead = "INPUTS: dict[str, tuple[torch.dtype, tuple[int | None, ...]]] = "
    lines += call("{", items, "}", broken=True).lines(0, lead)
    if samples.looked_up:
        known = {n: samples.looked_up[i.name] for n, i in _named(samples) if i.name in samples.looked_up}
        lines.append(f"ENTRIES = {literal_dict(known)}  # of tables that are looked up in")
    return lines


def literal_dict(values: Mapping[str, int]) -> str:
    """A dictionary as Python."""
    return "{" + ", ".join(f"{literal(k)}: {v}" for k, v in values.items()) + "}"


def _named(samples: Samples) -> list[tuple[str, ir.Input]]:
    return list(zip(_input_names(samples), samples.inputs, strict=True))


def _input_names(samples: Samples) -> tuple[str, ...]:
    """What messages call the inputs: their names in the network."""
    return tuple(i.name for i in samples.inputs)


def _values(data: ir.Call) -> dict[str, object]:
    return {p.name: data.get(p.name) for p in data.entry.params}


# --- functions --------------------------------------------------------------------------------------------------------


def functions(samples: Samples) -> list[str]:
    """The functions that read the data, but for `split` and `load_data`."""
    labels = [LABELS] if samples.labelled else []
    arrays = [READ, AS_INPUT, *labels, ASKED if samples.asked else SAMPLES]
    if samples.mapped:
        arrays = [MAP, AS_INPUT, *labels, MAPPED]
    if samples.data.workers:
        arrays = [training_workers.WORKERS, *arrays]
    pieces = [TABLE, ENCODING] if samples.table else arrays
    return [_filled(piece, samples) for piece in pieces]


def load_data(samples: Samples) -> str:
    """The function `load_data`."""
    return _filled(LOAD, samples) if samples.table else _load_arrays(samples)


def words(samples: Samples) -> frozenset[str]:
    """What the lines of the pieces ask for."""
    data = samples.data.train
    found = {"classes" if samples.classes else "numbers"} | ({"yes_no"} if samples.yes_no else set())
    found |= {"split"} if held_out(samples.data) else set()
    found |= {"further"} if _further(samples.data) else set()
    found |= {"several"} if samples.several else set()
    if samples.classes and samples.outputs is not None:
        found.add("count_classes")
    if samples.table:
        args = _values(data)
        missing, standardize = args.get("missing", "error"), args.get("standardize", True)
        found |= {str(missing)} if missing != "error" else set()
        found |= {"given"} if args.get("features") is not None else set()
        found |= {"categorical"} if args.get("categorical") else set()
        found |= {"standardize"} if standardize else set()
        found |= {"learned"} if standardize or missing == "mean" else set()
        found |= {"positions"} if samples.classes or args.get("categorical") else set()
    else:
        found |= {"asked"} if samples.asked else set()
        found |= {"parallel"} if samples.parallel else set()
        found |= {"workers"} if samples.data.workers else set()
        found |= {"exact"} if samples.labelled or samples.data.fields else set()
        found |= {"mapped", f"in_{_reader(data)}"} if samples.mapped else {_reader(data)}
        found |= {"unlabelled"} if not samples.labelled else set()
        found |= {"floats"} if any(i.type.dtype.startswith("float") for i in samples.inputs) else set()
        found |= {"table"} if samples.looked_up else set()
        found |= {"column"} if not samples.classes and samples.output.shape[1:] == (1,) else set()
    return frozenset(found)


def _filled(piece: str, samples: Samples) -> str:
    text = select(piece, words(samples)).rstrip("\n")
    marks = _table_marks(samples) if samples.table else _array_marks(samples)
    for mark, word in marks.items():
        text = text.replace(f"@{mark}@", word)
    return text


def parts_of(data: ir.Data) -> str:
    """The parts that there are, in words."""
    names = ["train", *(p for p in ("validation", "test") if getattr(data, p) is not None)]
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _table_marks(samples: Samples) -> dict[str, str]:
    data, args = samples.data.train, _values(samples.data.train)
    delimiter = args.get("delimiter", ",")
    count = features(args, data.name)
    given = args.get("features") is not None
    predicted = "[TARGET]" if samples.classes else "TARGETS"
    rest = "name != TARGET" if samples.classes else "name not in TARGETS"
    used = f"[*FEATURES, *{predicted}]" if given else "table.columns"
    learned = [w for w, k in (("the means", "mean"), ("the scale", "standardize"))
               if k in words(samples)]  # fmt: skip
    flat = len(samples.output.shape) == 1
    further = ", ".join(f'("{part}", {part.upper()}_DATA)' for part, _ in _further(samples.data))
    return {
        "DELIMITER": "" if delimiter == "," else f", delimiter={literal(delimiter)}",
        "FEATURES": "FEATURES" if given else f"[name for name in table.columns if {rest}]",
        "NAMES": " and ".join(["names of the classes"] * samples.classes or ["categories"]),
        "COUNT": str(count or "INPUTS"),
        "LEARNED": " and ".join(learned).capitalize(),
        "LABELS": "[N]" if flat else f"[N, {len(targets(args, data.name))}]",
        "FLAT": ".squeeze(1)" if flat else "",
        "USED": used,
        "USED_FURTHER": used,
        "TRAINING": 'rows[parts["train"]]' if held_out(samples.data) else "rows",
        "PARTS": parts_of(samples.data),
        "FURTHER": f"[{further}]",
    }


def _array_marks(samples: Samples) -> dict[str, str]:
    shape = samples.output.shape
    inputs = [i.name for i in samples.inputs]
    labels = ["label"] if samples.labelled else []
    names = list(samples.data.fields) or [*inputs, *labels]
    chosen = tuple(names.index(n) for n in (*inputs, *labels) if n in names)
    sizes = [*shape[:1], *shape[2:]] if samples.classes else [*shape]
    wanted = ", ".join(str(size) for size in sizes)
    found = [f"labels.ndim != {len(sizes)}"]
    found += [f"labels.shape[{i}] != {size}" for i, size in enumerate(sizes) if i and isinstance(size, int)]
    return {
        "KIND": "tuple[Tensor, ...]" if samples.several else "Tensor",
        "LABELS": f"[{wanted}]",
        "AXES": str(len(sizes)),
        "WRONG_SHAPE": " or ".join(found),
        "FIELDS": str(len(names)),
        "CHOSEN": str(chosen),
        "CHOSEN_INPUTS": str(chosen[: len(inputs)]),
        "CHOSEN_INPUT": str(chosen[0]) if chosen else "",
        "CHOSEN_LABEL": str(chosen[-1]) if chosen else "",
    }


def _reader(data: ir.Call) -> str:
    """What is read: "npz" or "npy" files, or a "python" data set."""
    if data.entry.home.startswith("python:"):
        return "python"
    return "npz" if data.get("path") is not None else "npy"


def image_reader(plan: Plan) -> str:
    """The functions that read arrays of pictures and their labels."""
    reader = _reader(plan.data.train)
    read = select(READ, frozenset({reader})).strip("\n")
    if plan.numeric:
        labels = _filled(LABELS, samples_of(plan.data, plan.train, plan.inputs, plan.results[0].type, {}))
        kind = labels.partition('"""')[2].partition(", ")[2].partition('."""')[0]
        return "\n\n\n".join(
            [read, labels, IMAGES.strip("\n").replace("int64 [N]", kind).replace("classes", "numbers")]
        )
    labels = select(LABELS, frozenset({reader, "classes"})).replace("@LABELS@", "[N]").replace("@AXES@", "1")
    return "\n\n\n".join([read, labels, IMAGES.strip("\n")])


def image_arrays(data: ir.Call, name: str, image: str) -> Text:
    """The call that reads the pictures of a part; `image` is the network's input."""
    inputs = names_of(data.get("inputs")) or (image,)
    return call("as_images(", [_files_of(data, name, inputs, (str(data.get("labels") or "label"),))], ")")


def one_class(data: ir.Call) -> list[str]:
    """The lines that end a training whose labels are all alike; without a look at parts that are only evaluated."""
    where = data.name if _reader(data) == "python" else data.get("path") or data.get("labels")
    said = call("fail(", [Text(literal(f"{where} has labels of one class only"))], ")")
    return ["    if labels.min() == labels.max():", *(f"        {line}" for line in said.lines(8, ""))]


def _constructed(data: ir.Call) -> Text:
    """The call that makes a Python data set."""
    types = {p.name: p.type for p in data.entry.params}
    items = []
    for name, arg in data.args.items():
        value = python(arg.value, types.get(name, "any"))
        items.append(Text(value if arg.positional or name.startswith("*") else f"{name}={value}"))
    return call(f"{_mark(data.name)}(", items, ")")


def _arrays(data: ir.Call, samples: Samples, name: str) -> Text:
    """The call that reads the arrays of a part."""
    if _reader(data) == "python":
        return call("read_dataset(", [_constructed(data)], ")")
    inputs = names_of(data.get("inputs")) or tuple(i.name for i in samples.inputs)
    return _files_of(data, name, inputs, (str(data.get("labels") or "label"),) if samples.labelled else ())


def _files_of(data: ir.Call, name: str, inputs: tuple[str, ...], labels: tuple[str, ...]) -> Text:
    if data.get("path") is not None:
        keys = call("[", [Text(literal(n)) for n in (*inputs, *labels)], "]")
        return call("read_arrays(", [Text(name), keys], ")")
    read = [Text(f"read_array(Path({literal(n)}))") for n in (*inputs, *labels)]
    return call("[", read, "]")


def _load_arrays(samples: Samples) -> str:
    if samples.asked:
        return _load_asked(samples)
    kind = "tuple[Tensor, ...]" if samples.several else "Tensor"
    lines = [
        f"def load_data() -> dict[str, tuple[{kind}, Tensor]]:",
        f'    """What the network takes, and labels: {parts_of(samples.data)}."""',
    ]
    arrays = _arrays(samples.data.train, samples, "DATA")
    lines += [f"    {line}" for line in call("as_samples(", [arrays], ")").lines(4, "samples, labels = ")]
    lines += one_class(samples.data.train) if samples.classes and samples.labelled else []
    taken = "tuple(x[i] for x in samples)" if samples.several else "samples[i]"
    if held_out(samples.data):
        lines.append("    parts = split(labels)")
        made = f"{{p: ({taken}, labels[i]) for p, i in parts.items()}}"
    else:
        made = '{"train": (samples, labels)}'
    if not _further(samples.data):
        return "\n".join([*lines, f"    return {made}"])
    lines.append(f"    data = {made}")
    for part, further in _further(samples.data):
        arrays = _arrays(further, samples, f"{part.upper()}_DATA")
        lines += [f"    {line}" for line in call("as_samples(", [arrays], ")").lines(4, f'data["{part}"] = ')]
    return "\n".join([*lines, "    return data"])


def _mapped(data: ir.Call, samples: Samples, name: str) -> Text:
    """The arrays of a part, each left on the disk."""
    inputs = names_of(data.get("inputs")) or tuple(i.name for i in samples.inputs)
    names = (*inputs, *((str(data.get("labels") or "label"),) if samples.labelled else ()))
    if data.get("path") is not None:
        return call("[", [Text(f"map_array({name}, {literal(n)})") for n in names], "]")
    return call("[", [Text(f"map_array(Path({literal(n)}))") for n in names], "]")


def _load_mapped(samples: Samples) -> str:
    lines = [
        "def load_data() -> dict[str, tuple[Mapped, Tensor]]:",
        f'    """Samples by their index, and labels: {parts_of(samples.data)}."""',
    ]
    for part, data in (("train", samples.data.train), *_further(samples.data)):
        name = "DATA" if part == "train" else f"{part.upper()}_DATA"
        lines += [f"    {line}" for line in _mapped(data, samples, name).lines(4, "arrays = ")]
        lines.append("    labels = look_at(arrays)")
        lines += one_class(data) if part == "train" and samples.classes and samples.labelled else []
        if part == "train" and held_out(samples.data):
            lines.append("    parts = split(labels)")
            lines.append("    data = {p: (Mapped(arrays, i), labels[i]) for p, i in parts.items()}")
        elif part == "train":
            lines.append('    data = {"train": (Mapped(arrays, torch.arange(len(labels))), labels)}')
        else:
            lines.append(f'    data["{part}"] = Mapped(arrays, torch.arange(len(labels))), labels')
    return "\n".join([*lines, "    return data"])


def _load_asked(samples: Samples) -> str:
    if samples.mapped:
        return _load_mapped(samples)
    lines = [
        "def load_data() -> dict[str, tuple[Asked, Tensor]]:",
        f'    """Samples by their index, and labels: {parts_of(samples.data)}."""',
    ]
    whole = "(Asked(dataset, torch.arange(len(labels))), labels)"
    shared = bool(held_out(samples.data))
    for part, data in (("train", samples.data.train), *_further(samples.data)):
        made = _constructed(data)
        if samples.data.workers:
            made = call("Workers(", [made], ")")
        lines += [f"    {line}" for line in made.lines(4, "dataset = ")]
        lines.append("    labels = read_labels(dataset)")
        lines += one_class(data) if part == "train" and samples.classes and samples.labelled else []
        if part != "train":
            lines.append(f'    data["{part}"] = {whole}')
        elif shared:
            lines.append("    parts = split(labels)")
            lines.append("    data = {p: (Asked(dataset, i), labels[i]) for p, i in parts.items()}")
        else:
            lines.append(f'    data = {{"train": {whole}}}')
    return "\n".join([*lines, "    return data"])
