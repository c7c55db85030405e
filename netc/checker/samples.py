"""What a sample has beside the network's inputs: its labels, by name and type.

In: the data as checked, the network, and whether the loss compares classes. Out: the types of a batch of labels; None
where the data set doesn't tell before it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.data import dataset_facts
from netc.shapes import TensorType

if TYPE_CHECKING:
    from netc import ir

LABEL = "label"


def labels(data: ir.Data, network: ir.Network, classes: bool) -> dict[str, TensorType] | None:
    """The labels of a batch; `classes` says that the loss compares numbers of classes."""
    facts = dataset_facts({n: a.value for n, a in data.train.args.items()}, data.train.name)
    if facts is None:
        return None
    return {LABEL: TensorType(network.inputs[0].type.shape[:1], facts.label_dtype)}


def of_classes(data: ir.Data) -> bool | None:
    """Whether the labels of a data set are numbers of classes; None where that hangs on the loss."""
    facts = dataset_facts({n: a.value for n, a in data.train.args.items()}, data.train.name)
    return None if facts is None else facts.label_dtype == "int64"
