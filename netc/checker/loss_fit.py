"""Whether the network ends as the loss wants it, and whether its norms can be trained with these batches.

In: the sections as parsed, the network that is trained, and the data. Out: errors and warnings. What reaches the output
is followed back through layers that leave values as they are (dropout, flatten), across modules and `seq`s. A loss
counts by its name, so that all is said in one run of a loss that is refused for another reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from netc import catalog, ir
from netc import syntax as s
from netc.catalog.loss_facts import OUTPUT
from netc.checker import loss_terms
from netc.checker.graph import WEIGHTED, Graph, Step
from netc.diagnostics import Edit, Fix, Label
from netc.shapes import product, same
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Source

_DROPOUT = frozenset(
    "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout dropout dropout1d dropout2d dropout3d "
    "alpha_dropout feature_alpha_dropout".split()
)
# They give the numbers that they take, in another order or shape at most.
_THROUGH = _DROPOUT | frozenset(
    "Identity Flatten flatten Unflatten unflatten squeeze unsqueeze reshape view contiguous permute transpose "
    "movedim swapaxes".split()
)
_SOFTMAX = frozenset("Softmax softmax Softmax2d Softmin softmin".split())
_SIGMOID = frozenset("Sigmoid sigmoid Hardsigmoid hardsigmoid".split())
_LOG_SOFTMAX = frozenset("LogSoftmax log_softmax".split())
_LOG = _LOG_SOFTMAX | {"LogSigmoid", "logsigmoid"}
_BENT = frozenset(
    "ReLU relu ReLU6 relu6 LeakyReLU leaky_relu PReLU prelu ELU elu SELU selu CELU celu GELU gelu SiLU silu Mish mish "
    "Tanh tanh Hardtanh hardtanh Hardswish hardswish Softplus softplus".split()
)
_CUT = frozenset("ReLU relu ReLU6 relu6".split())  # nothing below 0


class _Wants(NamedTuple):
    """What a loss takes: the steps that make it something else, in words."""

    what: str
    applies: str = ""  # the activation that the loss has in itself
    wants: str = ""  # the layer that gives what it takes
    instead: str = ""  # a loss that takes what a linear layer gives


_LOSSES = {
    "CrossEntropyLoss": _Wants("logits", applies="softmax"),
    "BCEWithLogitsLoss": _Wants("logits", applies="the sigmoid"),
    "MultiLabelSoftMarginLoss": _Wants("logits", applies="the sigmoid"),
    "NLLLoss": _Wants("log-probabilities", wants="LogSoftmax", instead="CrossEntropyLoss"),
    "KLDivLoss": _Wants("log-probabilities", wants="LogSoftmax"),
    "BCELoss": _Wants("probabilities", wants="Sigmoid", instead="BCEWithLogitsLoss"),
}


def check(
    found: dict[str, tuple[s.Section, Settings]], network: ir.Network | None, data: ir.Data | None, file: s.File,
    source: Source, report: Report,
) -> None:  # fmt: skip
    """Report how the network doesn't fit its training."""
    if network is None:
        return
    graph = Graph(network)
    loss = _loss(found)
    if loss is not None and len(network.outputs) > 1:
        loss_terms.several(loss.text, loss.span, network.name, tuple(o.name for o in network.outputs), report)
    for name, output in _compared(found, loss, network):
        _End(name, output, graph, file, source, report).check()
    if data is not None:
        _single_values(graph, data, found["data"][1], source, report)


def _loss(found: dict[str, tuple[s.Section, Settings]]) -> s.Name | None:
    """The loss by its name, where it is one of torch."""
    setting = found["train"][1].get("loss")
    if setting is None or len(setting.value.links) > 1:
        return None
    step = setting.value.links[0].step
    callee = step.callee if isinstance(step, s.Call) else step
    if isinstance(step, s.Call) and any(a.name is None for a in step.arguments):
        return None  # of named tensors
    return callee if isinstance(callee, s.Name) and catalog.loss(callee.text) is not None else None


def _compared(
    found: dict[str, tuple[s.Section, Settings]], loss: s.Name | None, network: ir.Network
) -> list[tuple[s.Name, ir.Output]]:
    """The losses of torch by their names, each with the output that it takes first."""
    if loss is not None:
        return [(loss, network.outputs[0])] if len(network.outputs) == 1 else []
    setting = found["train"][1].get("loss")
    outputs = {o.name or OUTPUT: o for o in network.outputs}
    out: dict[s.Name, ir.Output] = {}
    for call in _calls(setting.value if setting is not None else ()):
        first = next((a.value for a in call.arguments if a.name is None), None)
        if isinstance(call.callee, s.Name) and isinstance(first, s.Name) and first.text in outputs:
            out[call.callee] = outputs[first.text]
    return list(out.items())


def _calls(expr: Any) -> Iterator[s.Call]:
    """The calls in an expression."""
    if isinstance(expr, s.Call):
        yield expr
    for item in expr if isinstance(expr, tuple) else ():
        yield from _calls(item)


class _End:
    """The steps from the last one with weights or an activation up to the loss."""

    def __init__(
        self, loss: s.Name, output: ir.Output, graph: Graph, file: s.File, source: Source, report: Report
    ) -> None:  # fmt: skip
        self.loss = loss
        self.output = output
        self.graph = graph
        self.file = file
        self.source = source
        self.report = report
        self.here = Label(loss.span, "the loss")

    def check(self) -> None:
        last, passed = self._followed()
        for step in passed:
            if step.name in _DROPOUT and step.get("p") != 0:
                self._dropout(step)
        wants = _LOSSES.get(self.loss.text)
        if last is None or wants is None:
            return
        if wants.applies:
            self._logits(last, wants)
        elif last.name in _SOFTMAX | _SIGMOID | _LOG | _BENT | WEIGHTED and not _gives(last, wants):
            self._other(last, wants)

    def _followed(self) -> tuple[Step | None, list[Step]]:
        """The step that makes the values of the output, and those behind it, which leave them as they are."""
        number = self.graph.output(self.output)
        passed: list[Step] = []
        while number is not None:
            step = self.graph.step(number)
            if step.name not in _THROUGH:
                return step, passed
            passed.append(step)
            number = self.graph.before(number)
        return None, passed

    def _dropout(self, step: Step) -> None:
        self.report.add(
            "W0808", f"`{step.name}` behind the last layer drops what the loss compares", step.row.span,
            secondary=[self.here], help=f"put `{step.name}` before the last layer, or leave it out",
        )  # fmt: skip

    def _logits(self, last: Step, wants: _Wants) -> None:
        loss, name, span = self.loss.text, last.name, last.row.span
        twice = loss == "CrossEntropyLoss" and name in _LOG_SOFTMAX
        applies = Label(self.loss.span, f"applies {wants.applies} itself")
        fix = _without(last, self.file, self.source)
        if twice:
            self.report.add(
                "W0810", f"`{loss}` applies log-softmax itself; `{name}` before it changes nothing", span,
                secondary=[self.here], help=f"remove `{name}`", fix=fix,
            )  # fmt: skip
        elif name in _SOFTMAX | _SIGMOID | _LOG:
            gives = "log-probabilities" if name in _LOG else "probabilities"
            self.report.add(
                "E0607", f"`{loss}` takes logits, and `{name}` has made {gives} of them", span, f"gives {gives}",
                secondary=[applies], help=f"remove `{name}`; apply it where the probabilities are used", fix=fix,
            )  # fmt: skip
        elif name in _BENT:
            self.report.add(
                "W0809", f"`{loss}` takes the logits of the last layer as they are, and `{name}` changes them", span,
                "cuts off what is below 0" if name in _CUT else "", secondary=[self.here], help=f"remove `{name}`",
            )  # fmt: skip

    def _other(self, last: Step, wants: _Wants) -> None:
        loss = self.loss.text
        layer = f"{wants.wants}(1)" if wants.wants == "LogSoftmax" else wants.wants
        put = f"put `{layer}` in the place of `{last.name}`" if last.name not in WEIGHTED else f"add `-> {layer}`"
        before = f"`{last.name}`" if last.name in WEIGHTED else "the layer before it"
        instead = f", or use `{wants.instead}`, which takes what {before} gives" if wants.instead else ""
        gives = "probabilities" if last.name in _SOFTMAX | _SIGMOID else "any number"
        self.report.add(
            "E0608", f"`{loss}` takes {wants.what}, and the network ends with `{last.name}`", last.row.span,
            f"gives {gives}", secondary=[self.here], help=put + instead,
        )  # fmt: skip


def _gives(last: Step, wants: _Wants) -> bool:
    return last.name in (_LOG if wants.wants == "LogSoftmax" else _SIGMOID | _SOFTMAX)


def _without(step: Step, file: s.File, source: Source) -> Fix | None:
    """Take a step out of its chain; only where it stands in a network's own body."""
    span = step.row.span
    inside = any(isinstance(d, s.Network) and d.span.start <= span.start < d.span.end for d in file.definitions)
    if not inside or not step.stands_at(source):
        return None
    before = re.search(r"\s*->\s*(?:(\w+)\s*:\s*)?$", source.text[: span.start])
    if before is None or (before[1] and len(re.findall(rf"\b{before[1]}\b", source.text)) > 1):
        return None
    return Fix(f"remove `{step.name}`", (Edit(Span(before.start(), span.end), ""),))


# --- norms ------------------------------------------------------------------------------------------------------------


def _single_values(graph: Graph, data: ir.Data, settings: Settings, source: Source, report: Report) -> None:
    """Batch norms that see one value of each channel, with which torch doesn't train."""
    said = _lone_image(data)
    if not said:
        return
    batch = graph.network.inputs[0].type.shape[0]
    for number, row in enumerate(graph.network.rows):
        if "BatchNorm" not in row.name and not row.name.endswith(" again"):
            continue
        step, shape = graph.step(number), row.output.shape
        if "BatchNorm" in step.name and shape[0] == batch and same(product(shape[2:]), 1):
            place = settings["batch_size"].value.span
            larger = "choose a larger `batch_size`, or a norm over the features of each sample (`LayerNorm`)"
            other = f"choose another `batch_size`, such as {_without_rest(data)}"
            report.add(
                "E0609", f"`{_named(step)}` can't be trained on one value of each channel", row.span,
                f"{'' if step.stands_at(source) else 'in here it '}receives {row.output}",
                secondary=[Label(place, said)], help=other if data.batch_size > 1 else larger,
            )  # fmt: skip


def _named(step: Step) -> str:
    return step.layer.label if step.layer is not None and not step.layer.label.isdecimal() else step.name


def _lone_image(data: ir.Data) -> str:
    """What makes a batch of one image; empty where none is known to come."""
    if data.batch_size == 1:
        return "one image at a time"
    count = _images(data)
    if count is None or count % data.batch_size != 1:
        return ""
    return f"{count:,} images leave one for the last batch"


def _without_rest(data: ir.Data) -> int:
    """The next larger size of batches that leaves no batch of one image."""
    count, size = _images(data) or 0, data.batch_size + 1
    while count % size == 1:
        size += 1
    return size


def _images(data: ir.Data) -> int | None:
    """How many images an epoch has, where that is known."""
    from netc.catalog.data import dataset_facts

    call = data.train
    facts = dataset_facts({n: a.value for n, a in call.args.items()}, call.name)
    if facts is None:
        return None
    count: Any = facts.train_size if call.get_or("train", True) is not False else facts.test_size
    held = data.validation
    if not isinstance(count, int) or held is None or isinstance(held, ir.Call):
        return count if isinstance(count, int) else None
    return count - (held if isinstance(held, int) else round(count * held))


# --- what is refused by name ------------------------------------------------------------------------------------------

_ONE_CLASS = (
    "a label says which one class it is: use `CrossEntropyLoss` and one output for each class, two for yes and no"
)
_NO_QUANTITY = "the number of a class is no quantity: use `CrossEntropyLoss`, with one output for each class"
_INSTEAD = {
    **dict.fromkeys(("BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss", "SoftMarginLoss"), _ONE_CLASS),
    **dict.fromkeys(("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "GaussianNLLLoss"), _NO_QUANTITY),
}
_MEASURES = {
    **dict.fromkeys("iou miou mean_iou dice jaccard".split(), "segmented pixels"),
    **dict.fromkeys("bleu rouge perplexity wer cer".split(), "text"),
    **dict.fromkeys("psnr ssim lpips fid".split(), "generated images"),
    **dict.fromkeys("map mean_average_precision".split(), "detected objects"),
}


def instead_of(loss: str) -> str | None:
    """What to take in the place of a loss that doesn't compare an output with class labels."""
    return _INSTEAD.get(loss)


def measures(metric: str) -> str | None:
    """What a metric measures that netc hasn't: segmented pixels, text, and others."""
    name = metric.lower().removesuffix("_score")
    return _MEASURES.get(name)


__all__ = ["check", "instead_of", "measures"]
