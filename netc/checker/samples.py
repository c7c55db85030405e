"""What a sample has beside the network's inputs: its labels, by name and type.

In: the data as checked, the network, and whether the loss compares classes. Out: the types of a batch of labels; None
where the data set doesn't tell before it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.data import dataset_facts
from netc.catalog.data_fields import SHIPPED, targets
from netc.shapes import TensorType

if TYPE_CHECKING:
    from netc import ir

LABEL = "label"


def labels(data: ir.Data, network: ir.Network, classes: bool) -> dict[str, TensorType] | None:
    """The labels of a batch; `classes` says that the loss compares numbers of classes."""
    facts = dataset_facts({n: a.value for n, a in data.train.args.items()}, data.train.name)
    if facts is None or (facts.label_dtype is None and not classes):
        return _of_fields(data, network, classes)
    return {LABEL: TensorType(network.inputs[0].type.shape[:1], facts.label_dtype or "int64")}


def of_classes(data: ir.Data) -> bool | None:
    """Whether the labels of a data set are numbers of classes; None where that hangs on the loss."""
    facts = dataset_facts({n: a.value for n, a in data.train.args.items()}, data.train.name)
    if data.kind == "table" and data.train.name in SHIPPED:
        return True if SHIPPED[data.train.name].classes else None
    return None if facts is None or facts.label_dtype is None else facts.label_dtype == "int64"


def _of_fields(data: ir.Data, network: ir.Network, classes: bool) -> dict[str, TensorType] | None:
    """Those of tables and arrays: of classes they have the output's shape without its classes, of numbers all of it."""
    name = data.train.name
    if not data.kind and name not in ("Arrays", "CSV"):
        return None
    batch, output = network.inputs[0].type.shape[:1], network.output.shape
    if classes:
        return {LABEL: TensorType(batch if data.kind == "table" else batch + output[2:], "int64")}
    if (data.kind != "table" and name != "CSV") or len(output) == 1:
        return {LABEL: TensorType(batch + output[1:], "float32")}
    count = len(targets({p.name: data.train.get(p.name) for p in data.train.entry.params}, name))
    return {LABEL: TensorType((*batch, count), "float32")}
