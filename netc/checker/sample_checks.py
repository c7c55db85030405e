"""How samples that are no pictures fit the network and the loss: tables and arrays.

In: both sections and the trained network, each right in itself. Out: the places where they disagree, in the report.
Guarantees: only what can be known before a file is opened; the rest is said by the script when it reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import ir
from netc.catalog.data_fields import SHIPPED, compares_classes, features, names_of, sample_kind, targets
from netc.checker.graph import classes_row, output_row
from netc.checker.section_fixes import last_layer
from netc.diagnostics import Label
from netc.shapes import same

if TYPE_CHECKING:
    from netc import syntax as s
    from netc.diagnostics import Report
    from netc.shapes import Dim
    from netc.source import Span

_FLOATS = ("float32", "float64", "float16", "bfloat16")


def transforms(data: ir.Data, places: dict[str, Span], report: Report) -> None:
    """Report transforms of samples that are no pictures."""
    if not data.kind:
        return
    for key, calls in (("transform", data.transform), ("augment", data.augment)):
        if calls:
            does = "standardises its columns by itself" if data.kind == "table" else "is taken as it is"
            way_out = f"leave `{key}` out"
            if data.kind == "arrays":
                way_out += ", or say that they are pictures: `image_size=(1, 28, 28)`"
            report.add(
                "E0540", f"`{key}` changes pictures, and the samples of `{data.train.name}` are none", places[key],
                secondary=[Label(data.train.span, does)], help=way_out,
            )  # fmt: skip


def check(data: ir.Data, train: ir.Train, network: ir.Network, file: s.File, report: Report) -> None:
    """Report every disagreement."""
    {"table": _table, "arrays": _arrays, "python": _python}[data.kind](data, network, report)
    if data.kind == "arrays" and data.train.get("path") is None and data.train.get("labels") is None:
        _no_labels(data, train, report)
    if data.kind != "table":
        return
    if data.train.get_or("folder", None) is not None:
        report.add(
            "E0308", "`CSV`: `folder` is where pictures lie, and no column names any", data.train.span,
            help='name the column of the files, as in `image="file"`, or leave `folder` out',
        )  # fmt: skip
    if data.train.name in SHIPPED:
        _shipped(data, train, network, file, report)
    else:
        columns(data, train, network, report)


def columns(data: ir.Data, train: ir.Train, network: ir.Network, report: Report) -> None:
    """The columns that a table predicts: one of classes, or as many numbers as outputs."""
    if isinstance(train.loss, ir.Computed) and not train.loss.labels:
        return
    if not compares_classes(train.loss):
        _numbers(data, network, report)
    elif len(_targets(data.train)) > 1:
        report.add(
            "E0543", f"`{_loss_name(train)}` compares one class, and `target` has {len(_targets(data.train))} columns",
            data.train.span, secondary=[Label(train.loss.span, "the loss")], help="name one column",
        )  # fmt: skip


def _no_labels(data: ir.Data, train: ir.Train, report: Report) -> None:
    """Inputs alone, and a loss that compares something with labels."""
    if isinstance(train.loss, ir.Call) or train.loss.labels:
        report.add(
            "E0543", f"`{data.train.name}` has no labels, and `{_loss_name(train)}` compares an output with them",
            data.train.span, secondary=[Label(train.loss.span, "the loss")],
            help='add them, as in `Arrays(inputs="x.npy", labels="y.npy")`',
        )  # fmt: skip


def _loss_name(train: ir.Train) -> str:
    return str(getattr(train.loss, "name", "the loss"))


def _values(call: ir.Call) -> dict[str, object]:
    return {p.name: call.get(p.name) for p in call.entry.params}


def _targets(call: ir.Call) -> tuple[str, ...]:
    return targets(_values(call), call.name)


def _table(data: ir.Data, network: ir.Network, report: Report) -> None:
    """A row is one vector of numbers."""
    name = data.train.name
    if len(network.inputs) != 1:
        report.add(
            "E0542", f"`{network.name}` has {len(network.inputs)} inputs, and a row of `{name}` is one",
            network.inputs[1].span, secondary=[Label(data.train.span, "gives rows of numbers")],
            help="declare one input, and take it apart in the network: `_[:, :4]`",
        )  # fmt: skip
        return
    declared = network.inputs[0]
    count = features(_values(data.train), name)
    shape = declared.type.shape
    wanted = f"[N, {count if count is not None else 'D'}]"
    here = Label(data.train.span, f"gives {wanted} float32")
    if len(shape) != 2 or declared.type.dtype not in _FLOATS:
        report.add(
            "E0542", f"the network takes {declared.type}, and rows of a table are {wanted} float32", declared.span,
            secondary=[here], help=f"declare the input as `{declared.name}: {wanted}`",
        )  # fmt: skip
    elif count is not None and same(shape[1], count) is False:
        report.add(
            "E0542", f"the network takes {shape[1]} numbers, and a row of `{name}` has {count}", declared.span,
            secondary=[here], help=f"declare the input as `{declared.name}: [N, {count}]`",
        )  # fmt: skip
    elif not isinstance(shape[1], int):
        report.add(
            "E0542", "the number of columns has to be known", declared.span, secondary=[here],
            help=f"declare the input with a number, as in `{declared.name}: [N, {count or 8}]`",
        )  # fmt: skip


def _arrays(data: ir.Data, network: ir.Network, report: Report) -> None:
    """An array for each input."""
    given = names_of(data.train.get("inputs"))
    count = len(network.inputs)
    if given and len(given) != count:
        inputs = ", ".join(f"`{i.name}`" for i in network.inputs)
        report.add(
            "E0542", f"`inputs` names {len(given)} array{'s' * (len(given) != 1)}, and `{network.name}` has {count} "
            f"input{'s' * (count != 1)}", data.train.span,
            secondary=[Label(network.inputs[-1].span, f"takes {inputs}")],
            help="name one array for each, in this order",
        )  # fmt: skip


def _python(data: ir.Data, network: ir.Network, report: Report) -> None:
    """A field for each input."""
    missing = [i for i in network.inputs if data.fields and i.name not in data.fields]
    if missing:
        report.add(
            "E0542", f"`fields` has no `{missing[0].name}`, which `{network.name}` takes", data.span,
            secondary=[Label(missing[0].span, "an input")], help="name a field as each input is named",
        )  # fmt: skip


def shared_out(data: ir.Data, train: ir.Train, network: ir.Network, places: dict[str, Span], report: Report) -> None:
    """Classes are what is kept in proportion, or drawn equally often: one for each sample."""
    classes = compares_classes(train.loss)
    if (not data.kind and data.train.name not in ("Arrays", "CSV")) or (classes and len(network.output.shape) == 2):
        return
    has = "compares a class at each place" if classes else "compares numbers"
    needs = "one class for each sample" if classes else "classes"
    for key, asked in (("split", data.split == "stratified"), ("balance", data.balance)):
        if asked:
            what = '`split = "stratified"`' if key == "split" else "`balance`"
            report.add(
                "E0543", f"{what} needs {needs}, and `{_loss_name(train)}` {has}", places[key],
                secondary=[Label(train.loss.span, "the loss")], help="leave it out",
            )  # fmt: skip


def _shipped(data: ir.Data, train: ir.Train, network: ir.Network, file: s.File, report: Report) -> None:
    """The labels of a table that is known."""
    facts = SHIPPED[data.train.name]
    classes = compares_classes(train.loss)
    if not facts.classes:
        if classes:
            report.add(
                "E0543", f"`{_loss_name(train)}` compares classes, and `{facts.target}` of `{data.train.name}` is a "
                "number", train.loss.span, secondary=[Label(data.train.span, "gives numbers")],
                help="use a loss for numbers, such as `MSELoss`",
            )  # fmt: skip
        else:
            _numbers(data, network, report)
    elif classes and len(network.output.shape) == 2 and same(network.output.shape[1], len(facts.classes)) is False:
        count, sets, last = len(facts.classes), classes_row(network), output_row(network)
        row = sets or last
        place = row.span if row is not None else network.span
        report.add(
            "E0519", f"`{data.train.name}` has {count} classes, but the network's last layer gives "
            f"{network.output.shape[1]}", place, f"gives {row.output if row is not None else network.output}",
            secondary=[Label(data.train.span, f"{count} classes")], help=f"let the last layer give {count}",
            fix=last_layer(file, place, network.output.shape[1], count),
        )  # fmt: skip


def _numbers(data: ir.Data, network: ir.Network, report: Report) -> None:
    """As many outputs as numbers to predict."""
    output, columns = network.output, _targets(data.train)
    gives: Dim | None = output.shape[1] if len(output.shape) == 2 else 1 if len(output.shape) == 1 else None
    if gives is not None and same(gives, len(columns)) is not False:
        return
    last = output_row(network)
    what = f"{len(columns)} number{'s' * (len(columns) != 1)} to predict ({', '.join(columns)})"
    report.add(
        "E0543", f"`{data.train.name}` has {what}, and the network gives {output}",
        last.span if last is not None else network.span,
        secondary=[Label(data.train.span, what)], help=f"end the network with `Linear({len(columns)})`",
    )  # fmt: skip


def same_kind(train: ir.Call, other: ir.Call, key: str, report: Report) -> None:
    """Report a held-out set that is read in another way than the training set."""
    kinds = [sample_kind(c.name, c.entry.home, c.get_or("image_size", None)) for c in (train, other)]
    if train.name == other.name == "CSV" and other.get("image") is None:
        other = other._replace(args={**other.args, **{n: a for n, a in train.args.items() if n == "image"}})
    if not any(kinds) or kinds == ["python", "python"]:
        return
    if train.name != other.name:
        report.add(
            "E0520", f"`{other.name}` is not the kind of data that `{train.name}` is", other.span,
            secondary=[Label(train.span, "trained on this")], help="evaluate on data of the same kind",
        )  # fmt: skip
        return
    files = ("path", "folder") if train.get_or("path", None) is not None else ("path", "inputs", "labels")
    for name, arg in other.args.items():
        if name not in files and arg.value != train.get(name):
            report.add(
                "E0520", f"`{name}` of the data for {key} differs from that for training", other.span,
                secondary=[Label(train.span, "trained on this")],
                help=f"leave `{name}` out here, or make both the same",
            )  # fmt: skip
