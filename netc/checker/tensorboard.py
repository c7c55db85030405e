"""The setting `tensorboard`: what the script writes for TensorBoard.

In: the setting as parsed. Out: the parts that are wanted, in their order; mistakes in the report. `check` holds them
against the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import syntax as s
from netc.checker.expressions import ERROR
from netc.diagnostics import Label, suggestion
from netc.fixes import spelling

if TYPE_CHECKING:
    from netc import ir
    from netc.checker.section_reader import Reader
    from netc.diagnostics import Report
    from netc.source import Span

PARTS = ("scalars", "images", "graph")


def read(reader: Reader, chain: s.Chain) -> Any:
    """The parts: `True` is the scalars, a list says which."""
    step = reader.single(chain, "True or a list")
    if step is ERROR:
        return ERROR
    if isinstance(step, s.Literal) and step.value in (True, False):
        return PARTS[:1] if step.value else ()
    if not isinstance(step, s.List):
        reader.report.add(
            "E0508", "`tensorboard` is True or a list of what is written", chain.span,
            help=f"write `tensorboard = [{', '.join(PARTS)}]`",
        )  # fmt: skip
        return ERROR
    names = [item.text if isinstance(item, s.Name) else None for item in step.items]
    for name, item in zip(names, step.items, strict=True):
        if name not in PARTS:
            shown = ", ".join(f"`{part}`" for part in PARTS)
            reader.report.add(
                "E0508", "what is written for TensorBoard is one of " + shown, item.span,
                help=suggestion(name or "", PARTS), fix=spelling(name, item.span, PARTS) if name else None,
            )  # fmt: skip
    return tuple(p for p in PARTS if p in names) if set(names) <= set(PARTS) else ERROR


def check(train: ir.Train, network: ir.Network, place: Span, report: Report) -> None:
    """Report `images` where what the network sees are no pictures that can be shown."""
    shape = network.inputs[0].type.shape
    pictures = len(shape) == 4 and (shape[1] in (1, 3) or not isinstance(shape[1], int))
    if "images" not in train.options.tensorboard or pictures:
        return
    report.add(
        "E0690", "TensorBoard shows pictures of 1 or 3 channels, and the network sees none", place,
        secondary=[Label(network.inputs[0].span, f"these are {network.inputs[0].type}")],
        help="leave out `images`",
    )  # fmt: skip
