"""A network as a graph: what flows into each layer and function, and where its result goes; and what is odd in it.

In: the checked networks of a file. Out: warnings that need no more than the order of layers: a bias before a norm,
softmax over the batch, two linear layers with nothing between. A place is reported where all that the file builds of
it, in every turn, instance and network, is odd in the same way; what another file defines isn't reported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import ir
from netc import syntax as s
from netc.diagnostics import Edit, Fix, Label
from netc.fixes import rewrite
from netc.shapes import same
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.diagnostics import Report
    from netc.source import Source

CONVOLUTIONS = frozenset(f"Conv{t}{n}d" for t in ("", "Transpose") for n in (1, 2, 3))
# They subtract the mean of each channel, and with it any constant that was added.
CENTRED = frozenset({*(f"{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3)), "SyncBatchNorm"})
SOFTMAX = frozenset({"Softmax", "LogSoftmax", "Softmin", "softmax", "log_softmax", "softmin"})
WEIGHTED = CONVOLUTIONS | {"Linear", "Bilinear"}
_PLAIN = frozenset({"Conv1d", "Conv2d", "Conv3d"})
_JUDGED = CONVOLUTIONS | SOFTMAX | {"Linear"}


class Step(NamedTuple):
    """One application: the layer or function, and the row it is."""

    name: str
    row: ir.Row
    layer: ir.Layer | None

    def get(self, name: str) -> Any:
        """An argument, or its default; None where there is none of that name."""
        return self.row.values.get(name) if self.layer is None else self.layer.call.get_or(name, None)

    def stands_at(self, source: Source) -> bool:
        """Whether the text names this layer here, so that it is no module's of another file, and no parameter's."""
        return source.text.startswith(self.name, self.row.span.start)


class Graph:
    """The steps of a network by their numbers, and for each those that take its result."""

    def __init__(self, network: ir.Network) -> None:
        self.network = network
        self.layers = network.layers
        self.takers: list[list[int]] = [[] for _ in network.rows]
        for i, row in enumerate(network.rows):
            for several in row.sources.values():
                for source in several:
                    if source is not None and source[0].__class__ is int and source[0] >= 0:
                        self.takers[source[0]].append(i)
        self.results = {o.source[0] for o in network.outputs if o.source is not None}

    def step(self, number: int) -> Step:
        """The layer or function that a row is the application of."""
        row = self.network.rows[number]
        layer = self.layers.get(row.path)
        if layer is not None and row.name in (layer.call.name, f"{layer.label} again"):
            return Step(layer.call.name, row, layer)
        return Step(row.name, row, None)

    def before(self, number: int) -> int | None:
        """The step whose result is all that a step takes; None where it takes several, a part, or an input."""
        found = [source for several in self.network.rows[number].sources.values() for source in several]
        return _number(found[0]) if len(found) == 1 else None

    def output(self, output: ir.Output) -> int | None:
        """The step whose result is an output."""
        return _number(output.source)


def output_row(network: ir.Network) -> ir.Row | None:
    """The row whose result is the first output."""
    number = _number(network.outputs[0].source)
    return None if number is None else network.rows[number]


def classes_row(network: ir.Network) -> ir.Row | None:
    """The row that sets the size of axis 1 of the first output: the last layer, before what keeps that size."""
    row = output_row(network)
    while row is not None and row.name not in WEIGHTED:
        found = [source for several in row.sources.values() for source in several]
        number = _number(found[0]) if len(found) == 1 else None
        before = network.rows[number] if number is not None else None
        if before is None or len(before.output.shape) < 2 or not same(before.output.shape[1], row.output.shape[1]):
            break
        row = before
    return row


def _number(source: ir.Source) -> int | None:
    return source[0] if source is not None and isinstance(source[0], int) and source[0] >= 0 and not source[1] else None


# --- what is odd ------------------------------------------------------------------------------------------------------


def check(networks: Sequence[ir.Network], file: s.File, source: Source, report: Report) -> None:
    """Warn of what is odd in the networks of a file."""
    odd: dict[tuple[str, Span], tuple[Step, Step]] = {}
    fine: set[tuple[str, Span]] = set()
    for network in networks:
        graph = Graph(network)
        for number, row in enumerate(network.rows):
            if row.name not in _JUDGED and not row.name.endswith(" again"):
                continue
            step = graph.step(number)
            for code, other in _judged(graph, number, step):
                if other is None:
                    fine.add((code, step.row.span))
                else:
                    odd.setdefault((code, step.row.span), (step, other))
    blocks = _conditions(file) if odd else []
    for (code, span), (step, other) in odd.items():
        again = code == "W0807" and other.row.span == span  # a loop, whose first turn has another step before it
        if ((code, span) not in fine or again) and step.stands_at(source) and other.stands_at(source):
            _REPORTS[code](step, other, blocks, source, report)


def _judged(graph: Graph, number: int, step: Step) -> list[tuple[str, Step | None]]:
    """The codes that a step could have, each with the step that makes it odd where it is."""
    if step.name in SOFTMAX:
        return [("W0806", step if _over_batch(graph, step) else None)]
    if step.layer is None:
        return []
    out: list[tuple[str, Step | None]] = []
    if step.name == "Linear" or step.name in _PLAIN:
        out.append(("W0807", _linear_before(graph, number, step)))
    if step.name == "Linear" or step.name in CONVOLUTIONS:
        out.append(("W0805", _norm_behind(graph, number, step)))
    return out


def _norm_behind(graph: Graph, number: int, step: Step) -> Step | None:
    """The norm that takes all that a layer with a bias gives."""
    takers = [graph.step(i) for i in graph.takers[number]]
    if not takers or number in graph.results or not all(t.name in CENTRED and t.layer for t in takers):
        return None
    assert step.layer is not None
    rows = len(step.row.output.shape) == 2 or step.name != "Linear"  # else the features are not the channels
    return takers[0] if rows and "bias" not in step.layer.call.args else None


def _over_batch(graph: Graph, step: Step) -> bool:
    """Whether softmax mixes the samples of a batch."""
    shape, dim = step.row.output.shape, step.get("dim")
    if dim is None and len(shape) == 3:
        dim = 0  # torch's choice for three axes
    batch = graph.network.inputs[0].type.shape[0]
    return dim in (0, -len(shape)) and len(shape) > 1 and not isinstance(batch, int) and shape[0] == batch


def _linear_before(graph: Graph, number: int, step: Step) -> Step | None:
    """The layer of the same kind whose result a linear layer or convolution takes as it is, for nothing.

    Not for nothing is a narrow middle, which makes a factor of low rank, and a convolution that is split over its axes
    or its channels.
    """
    at = graph.before(number)
    if at is None or graph.takers[at] != [number] or at in graph.results:
        return None
    first = graph.step(at)
    if first.name != step.name or first.layer is None or first.layer is step.layer:
        return None
    if step.name != "Linear" and not (_whole(first) and _whole(step)):
        return None
    out, arriving = ("out_features", "in_features") if step.name == "Linear" else ("out_channels", "in_channels")
    middle, ends = first.get(out), (first.get(arriving), step.get(out))
    return first if any(same(middle, end) or middle > end for end in ends) else None


def _whole(step: Step) -> bool:
    """Whether a convolution joins all its channels, over the same distance in each axis."""
    kernel = step.get("kernel_size")
    square = not isinstance(kernel, (tuple, list)) or len(set(kernel)) == 1
    return step.get("groups") == 1 and square


# --- how it is said ---------------------------------------------------------------------------------------------------


def _bias(step: Step, norm: Step, blocks: list[Span], source: Source, report: Report) -> None:
    if _within(step.row.span, blocks) != _within(norm.row.span, blocks):
        return  # without the norm, the bias has its effect
    report.add(
        "W0805", f"the bias of `{_called(step)}` has no effect: `{norm.name}` behind it subtracts the mean",
        step.row.span, secondary=[Label(norm.row.span, "subtracts the mean of each channel")],
        help="add `bias=False`", fix=_without_bias(step, source),
    )  # fmt: skip


def _without_bias(step: Step, source: Source) -> Fix | None:
    text = source.slice(step.row.span)
    if not text.endswith(")") or "#" in text or ".bias" in source.text:  # which an init rule may be for
        return None
    inner = text[:-1].rstrip()
    at = step.row.span.start + len(inner)
    lead = "" if inner.endswith("(") else " " if inner.endswith(",") else ", "
    return Fix("leave out the bias", (Edit(Span(at, at), f"{lead}bias=False"),))


def _within(span: Span, blocks: list[Span]) -> list[Span]:
    return [block for block in blocks if block.start <= span.start < block.end]


def _conditions(file: s.File) -> list[Span]:
    """The blocks of all conditions of a file."""
    found: list[Span] = []
    todo: list[Any] = [file]
    while todo:
        node = todo.pop()
        if isinstance(node, s.If):
            blocks = [b for _, b in node.branches] + ([node.otherwise] if node.otherwise is not None else [])
            found += [b.span for b in blocks]
        if isinstance(node, tuple) and type(node) is not Span:
            todo += node
    return found


def _softmax(step: Step, other: Step, blocks: list[Span], source: Source, report: Report) -> None:
    axes = len(step.row.output.shape)
    chosen = "" if step.get("dim") is not None else " (torch's choice for three axes)"
    right = f"{step.name}({1 if axes in (2, 4) else -1})"
    written = re.sub(r"\s|\bdim=", "", source.slice(step.row.span))
    plain = re.fullmatch(rf"{step.name}(\(-?\d*\))?", written)
    report.add(
        "W0806", f"`{step.name}` over axis 0{chosen} mixes the samples of a batch", step.row.span,
        f"gives {step.row.output}", help=f"write `{right}`", fix=rewrite(step.row.span, right) if plain else None,
    )  # fmt: skip


def _linear(step: Step, first: Step, blocks: list[Span], source: Source, report: Report) -> None:
    names = [layer.label for layer in (first.layer, step.layer) if layer is not None and not layer.label.isdecimal()]
    kind = "linear layer" if step.name == "Linear" else "convolution"
    these = f"`{names[0]}` and `{names[1]}`" if len(names) == 2 else f"these two {kind}s"
    if first.row.span == step.row.span:
        these = f"this {kind} and that of the turn before"
    report.add(
        "W0807", f"nothing stands between {these}: in a row they compute no more than one {kind}", step.row.span,
        secondary=[Label(first.row.span, "its result goes straight on")] if first.row.span != step.row.span else (),
        help="put an activation between them, such as `ReLU`, or leave one out",
    )  # fmt: skip


def _called(step: Step) -> str:
    return step.layer.label if step.layer is not None and not step.layer.label.isdecimal() else step.name


_REPORTS = {"W0805": _bias, "W0806": _softmax, "W0807": _linear}
