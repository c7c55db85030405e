"""MixUp and CutMix: where they stand, and whether the loss takes the shares of classes that they make of labels.

In: the sections as checked, and the trained network. Out: diagnostics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import ir
from netc.catalog.data import MIXING
from netc.diagnostics import Label

if TYPE_CHECKING:
    from netc.diagnostics import Report


def order(data: ir.Data, report: Report) -> None:
    """Report steps behind one that mixes a batch."""
    for call, after in zip(data.augment, data.augment[1:], strict=False):
        if call.name in MIXING and after.name not in MIXING:
            report.add(
                "E0560", f"`{after.name}` changes images, and `{call.name}` before it has mixed the batch", after.span,
                secondary=[Label(call.span, "mixes what the network takes")],
                help=f"put `{call.name}` at the end of `augment`",
            )  # fmt: skip


def check(data: ir.Data, train: ir.Train, network: ir.Network, report: Report) -> None:
    """Report a loss that takes no shares of classes, and another number of classes than the network's."""
    for call in data.augment:
        if call.name not in MIXING:
            continue
        loss = train.loss
        if not isinstance(loss, ir.Call) or loss.name != "CrossEntropyLoss":
            said = (
                f"`{loss.name}` takes the number of a class" if isinstance(loss, ir.Call) else "this loss is computed"
            )
            report.add(
                "E0561", f"`{call.name}` makes shares of classes of the labels, and {said}", loss.span,
                secondary=[Label(call.span, "mixes labels")], help="use `CrossEntropyLoss`, which takes both",
            )  # fmt: skip
        _classes(call, network, report)


def _classes(call: ir.Call, network: ir.Network, report: Report) -> None:
    given, outputs = call.get("num_classes"), network.output.shape[-1]
    if given is not None and isinstance(outputs, int) and given != outputs:
        report.add(
            "E0562", f"`{call.name}` is told of {given} classes, and the network tells {outputs} apart", call.span,
            secondary=[Label(network.span, f"gives {network.output}")],
            help="leave `num_classes` out; it follows from the network",
        )  # fmt: skip
