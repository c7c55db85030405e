"""Whether the loss can compare the network's output with the labels of the data.

In: the sections as checked, and the trained network where it is known. Out: for a loss that is computed its
`ir.Computed`; for one that is named, what it can't compare, in the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc.catalog import loss_facts as facts
from netc.checker import loss_terms, samples
from netc.checker.gaps import GAP, attempt
from netc.checker.values import Tensor
from netc.diagnostics import Report
from netc.fixes import rewrite
from netc.shapes import Reject, same
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc import syntax as s
    from netc.checker.session import Session
    from netc.checker.units import Unit
    from netc.diagnostics import Fix
    from netc.shapes import TensorType

    Places = Mapping[Span, Mapping[str, Span]]  # of the arguments of each call


def computed(
    pending: loss_terms.Pending, data: Any, network: Any, session: Session, unit: Unit, report: Report
) -> Any:  # fmt: skip
    """The loss as checked: a `Call` where it compares the one output with the label; a gap where it is wrong."""
    made: list[ir.Call | ir.Computed] = []

    def follow() -> None:
        classes = _classes(pending.expr, data, network, session, unit)
        labels = samples.labels(data, network, classes)
        if labels is None:
            return
        found = loss_terms.follow(pending.expr, network, labels, session, unit, report, classes)
        if found is not None:
            made.append(_named(found, network) or found)
            _unused(found, network, report)

    attempt(follow)
    return made[0] if made else GAP


def _classes(expr: s.Expr, data: ir.Data, network: ir.Network, session: Session, unit: Unit) -> bool:
    """Whether a loss compares the numbers of classes: one of Python does where it can, and there are several."""
    if loss_terms.mentions_classes(expr):
        return True
    from netc.checker import loss_python

    shape = network.output.shape
    if not session.probing or not loss_python.stands_in(expr, unit) or len(shape) < 2 or same(shape[1], 1):
        return False
    labels = samples.labels(data, network, True)
    found = None if labels is None else loss_terms.follow(expr, network, labels, session, unit, Report(), True)
    return found is not None and any(type_.dtype == "int64" for type_ in (labels or {}).values()) and bool(found.labels)


def _unused(loss: ir.Computed, network: ir.Network, report: Report) -> None:
    """Outputs that are no part of the loss."""
    unused = [o.name for o in network.outputs if o.name and o.name not in loss.outputs]
    if unused:
        named = " and ".join(f"`{name}`" for name in unused)
        report.add(
            "W0836", f"the loss has no part in {named}: what only that needs is not trained", loss.span,
            help="add a term for it, or leave the output out",
        )  # fmt: skip


def _named(loss: ir.Computed, network: ir.Network) -> ir.Call | None:
    """The loss of torch that compares the one output with the label, where that is all."""
    expr = loss.training
    if len(network.outputs) != 1 or not isinstance(expr, ir.Function) or expr.callee not in dict(loss.losses):
        return None
    if is_python(loss.losses[0][1]):
        return None
    given = [a.name if isinstance(a, ir.Var) else "" for _, a in expr.arguments]
    return loss.losses[0][1] if given == [*loss.outputs, *loss.labels] and len(loss.labels) == 1 else None


def is_python(call: ir.Call) -> bool:
    """Whether a loss is of a Python file."""
    return call.entry.home.startswith("python:")


def _divisor(loss: ir.Call | ir.Computed, report: Report) -> None:
    """KLDivLoss, whose mean is over samples and classes; torch means to change that."""
    for call in (loss,) if isinstance(loss, ir.Call) else (c for _, c in loss.losses):
        if call.name == "KLDivLoss" and not is_python(call) and call.get("reduction") == "mean":
            report.add(
                "W0837", "the mean of `KLDivLoss` is over samples and classes, which is no divergence", call.span,
                help='add `reduction="batchmean"`, the mean over samples',
            )  # fmt: skip


def _autocast(train: ir.Train, report: Report) -> None:
    """BCELoss, which torch refuses under autocast."""
    loss, precision = train.loss, train.options.precision
    if precision not in ("bf16", "fp16"):
        return
    for call in (loss,) if isinstance(loss, ir.Call) else (c for _, c in loss.losses):
        if call.name == "BCELoss" and not is_python(call):
            report.add(
                "E0635", f"`BCELoss` can't be computed in {precision}: torch refuses it on a GPU", call.span,
                help="end the network without the sigmoid, and use `BCEWithLogitsLoss`",
            )  # fmt: skip


def check(data: ir.Data, train: ir.Train, network: ir.Network | None, places: Places, report: Report) -> None:
    """Report a loss that doesn't compare an output with such labels."""
    loss = train.loss
    _divisor(loss, report)
    _autocast(train, report)
    if not isinstance(loss, ir.Call):
        return
    name = Span(loss.span.start, loss.span.start + len(loss.name))
    if len(facts.tensors(loss.name).names) != 2:
        listed = facts.tensors(loss.name).listed
        report.add("E0629", f"`{loss.name}` takes {listed}", name, help=f"name them: `{loss.name}({listed})`")
    elif samples.of_classes(data) and loss.name not in facts.CLASS_LOSSES:
        fix = rewrite(name, "CrossEntropyLoss") if _one_logit_a_class(loss, network) else None
        _not_of_classes(loss.name, name, fix, report)
    elif network is not None and len(network.outputs) == 1:
        _types(loss, data, network, places, report)


def _one_logit_a_class(loss: ir.Call, network: ir.Network | None) -> bool:
    """Whether a loss of yes and no is given a number for each class by the network's last layer."""
    if loss.name != "BCEWithLogitsLoss" or loss.args or network is None or len(network.outputs) != 1:
        return False
    shape = network.output.shape
    classes = shape[1] if len(shape) == 2 else None
    return isinstance(classes, int) and classes > 1 and network.rows[-1].name == "Linear"


def _types(loss: ir.Call, data: ir.Data, network: ir.Network, places: Places, report: Report) -> None:
    labels = samples.labels(data, network, loss.name in facts.CLASS_LOSSES)
    if labels is None or len(labels) != 1:
        return
    output, (label,) = network.outputs[0], labels.values()
    if data.train.name == "CSV" and len(output.type.shape) == len(label.shape) == 2 and _other_count(output, label):
        return  # which is said of the columns
    values = {p.name: loss.get(p.name) for p in loss.entry.params}
    reject = facts.loss_type(loss.name, values, (output.type, label))
    if isinstance(reject, Reject) and (reject.argument or samples.of_classes(data) is not True):
        given = tuple(Tensor(ir.Var(n, t), t) for n, t in (("output", output.type), ("label", label)))
        place = places.get(loss.span, {}).get(reject.argument or "", loss.span)
        loss_terms.misfit(loss.name, reject, place, given, report)


def _other_count(output: ir.Output, label: TensorType) -> bool:
    """Whether there are other numbers of outputs and of columns."""
    return same(output.type.shape[1], label.shape[1]) is False


def _not_of_classes(name: str, span: Span, fix: Fix | None, report: Report) -> None:
    """A loss that doesn't compare an output with the numbers of classes."""
    from netc.checker.loss_fit import instead_of

    report.add(
        "E0601",
        f"`{name}` does not compare an output with class labels",
        span,
        notes=["the labels of the data are the numbers of classes, [N] int64"],
        help=instead_of(name) or f"use one of {', '.join(sorted(facts.CLASS_LOSSES))}",
        fix=fix,
    )
