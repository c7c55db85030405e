"""What of a network can't be exported to ONNX, before torch is imported and minutes have gone.

In: a checked network. Out: a diagnostic for each place. Guarantees: what is reported fails in the export too. Leaves to
others: what only the export itself finds out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.unexportable import reason
from netc.diagnostics import Report

if TYPE_CHECKING:
    from netc import ir
    from netc.diagnostics import Diagnostic
    from netc.shapes import Dim


def unexportable(network: ir.Network) -> tuple[Diagnostic, ...]:
    """The layers and functions that have no form in ONNX, of those that a result of evaluation hangs on."""
    report = Report()
    for number in sorted(_needed(network)):
        row = network.rows[number]
        why = reason(row.name, _taken(network, row), row.output.shape)
        if why is not None:
            which = f"`{row.path}` ({row.name})" if row.path else f"`{row.name}`"
            report.add(
                "E0630", f"{which} can't be exported to ONNX: {why}", row.span,
                help="write it with other layers, or leave it out of the network that is exported",
            )  # fmt: skip
    return report.diagnostics


def _taken(network: ir.Network, row: ir.Row) -> tuple[Dim, ...] | None:
    """The shape of the first tensor that a row takes; None where it isn't followed."""
    source = next((s for taken in row.sources.values() for s in taken), None)
    if source is None or not isinstance(source[0], int) or source[1]:
        return None
    if source[0] < 0:
        return network.inputs[-1 - source[0]].type.shape
    return network.rows[source[0]].output.shape


def _needed(network: ir.Network) -> set[int]:
    """The rows behind the results of evaluation, as far as they are followed."""
    todo = [output.source for output in network.outputs if not output.training]
    found: set[int] = set()
    while todo:
        source = todo.pop()
        if source is None or not isinstance(source[0], int) or source[0] < 0 or source[0] in found:
            continue
        found.add(source[0])
        todo += [further for taken in network.rows[source[0]].sources.values() for further in taken]
    return found
