"""The setting `metrics`: which measures of the network stand in metrics.csv.

In: the list as parsed; then the loss, the data and the network. Out: the columns; what there isn't, and what doesn't
fit the task, in the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.metrics import AVERAGES, METRICS, fits, metric_of, task
from netc.checker import samples, section_fixes
from netc.checker.expressions import ERROR
from netc.diagnostics import suggestion
from netc.fixes import rewrite, spelling

if TYPE_CHECKING:
    from netc.checker.section_reader import Reader
    from netc.diagnostics import Report
    from netc.source import Span

    Places = dict[str, Span]  # of the columns

_AVERAGED = ("precision", "recall", "f1")
# What other libraries call them.
_ALIASES = {
    "acc": "accuracy", "accuracy_score": "accuracy", "auc": "auroc", "roc_auc": "auroc", "roc_auc_score": "auroc",
    "f1_score": "f1", "fscore": "f1", "precision_score": "precision", "recall_score": "recall", "sensitivity": "recall",
    "mean_squared_error": "mse", "mean_absolute_error": "mae", "root_mean_squared_error": "rmse", "r2_score": "r2",
    "r_squared": "r2", "confusion": "confusion_matrix", "top_k": "topk(5)", "top5": "topk(5)", "top_5": "topk(5)",
    "top5_accuracy": "topk(5)", "top1": "accuracy", "top_k_accuracy": "topk(5)", "balanced_accuracy": "recall",
}  # fmt: skip


def read(reader: Reader, chain: s.Chain, places: Places) -> Any:
    """The columns of a list of metrics; `places` notes where each stands."""
    step = reader.single(chain, "a list of metrics")
    if not isinstance(step, s.List):
        one = step is not ERROR and isinstance(step, (s.Name, s.Call)) and _name(step) in METRICS
        fix = rewrite(chain.span, f"[{step.text}]") if one and isinstance(step, s.Name) else None
        if step is not ERROR:
            reader.report.add(
                "E0602", "`metrics` is a list", chain.span, help="write `metrics = [accuracy]`", fix=fix
            )  # fmt: skip
        return ERROR
    columns = [_column(reader, item) for item in step.items]
    for column, item in zip(columns, step.items, strict=True):
        if column is not ERROR:
            places.setdefault(column, item.span)
    return ERROR if ERROR in columns else tuple(dict.fromkeys(columns))


def _name(item: s.Expr) -> str:
    callee = item.callee if isinstance(item, s.Call) else item
    return callee.text if isinstance(callee, s.Name) else ""


def _column(reader: Reader, item: s.Expr) -> Any:
    name = _name(item)
    if name not in METRICS:
        _unknown(reader.report, item, name)
        return ERROR
    values = [
        (a.name.text if a.name else None, reader.evaluator.evaluate(a.value)) for a in getattr(item, "arguments", ())
    ]
    if any(value is ERROR for _, value in values):
        return ERROR
    if name == "topk":
        return _top(reader.report, item, values)
    if not values:
        return name
    key, value = values[0]
    if len(values) > 1 or name not in _AVERAGED or key not in ("average", None):
        takes = "takes `average`" if name in _AVERAGED else "takes no arguments"
        reader.report.add("E0302", f"`{name}` {takes}", item.span, help=f"write `{name}`")
        return ERROR
    if value not in AVERAGES:
        listed = ", ".join(f'"{a}"' for a in AVERAGES)
        reader.report.add(
            "E0308", f"`average` of `{name}` can't be {value!r}", item.span, help=f"it is one of {listed}"
        )
        return ERROR
    return name if value == "macro" else f"{name}_{value}"


def _top(report: Report, item: s.Expr, values: list[tuple[str | None, Any]]) -> Any:
    count = values[0][1] if len(values) == 1 and values[0][0] in (None, "k") else None
    if isinstance(count, int) and not isinstance(count, bool) and count > 0:
        return f"top{count}"
    report.add(
        "E0308", "`topk` takes how many of the highest outputs count", item.span, help="write `topk(5)`"
    )  # fmt: skip
    return ERROR


def _unknown(report: Report, item: s.Expr, name: str) -> None:
    from netc.checker.loss_fit import measures

    what = measures(name) if name else None
    if what:
        report.add(
            "E0610", f"`{name}` measures {what}, and netc has no task of that kind", item.span,
            help=f"there are {', '.join(f'`{n}`' for n in METRICS)}",
        )  # fmt: skip
        return
    known = tuple(METRICS)
    word = item.value.lower() if isinstance(item, s.String) else ""
    alias = _ALIASES.get(name.lower()) if name else None
    quoted = f"write `{word}`, without quotes" if word in METRICS else None
    help_text = f"write `{alias}`" if alias else (suggestion(name, known) if name else None) or quoted
    fix = rewrite(item.span, alias) if alias and isinstance(item, s.Name) and name != "balanced_accuracy" else None
    report.add(
        "E0603",
        f"there is no metric `{name}`" if name else "a metric is a name",
        item.span,
        help=help_text or f"there are {', '.join(f'`{n}`' for n in METRICS)}",
        fix=fix or (spelling(name, item.span, known) if name else section_fixes.without_quotes(item, known)),
    )


def check(train: ir.Train, data: ir.Data, network: ir.Network | None, places: Places, report: Report) -> None:
    """Report metrics that say nothing of what the loss compares."""
    loss, pair = train.loss, ("output", "label")
    if isinstance(loss, ir.Computed):
        if loss.compared is None and places:
            report.add(
                "E0610", "metrics compare what the first loss of torch compares, and the loss has none",
                next(iter(places.values())), help="leave `metrics` out, or use a loss such as `MSELoss`",
            )  # fmt: skip
            return
        pair = loss.compared or pair
    kind = "classes" if isinstance(loss, ir.Computed) and loss.one_hot else task(loss.name)
    misplaced = isinstance(loss, ir.Call) and kind != "classes" and samples.of_classes(data)  # which is reported
    for column in places:
        metric = metric_of(column)
        if not fits(metric, kind, loss.name) and not misplaced:
            fitting = ", ".join(f"`{m.name}`" for m in METRICS.values() if fits(m, kind, loss.name))
            report.add(
                "E0610", f"`{metric.name}` measures {_OF[kind in ('classes', 'binary')]}, and `{loss.name}` compares "
                f"{_COMPARED[kind]}", places[column], help=f"there are {fitting}",
            )  # fmt: skip
    _columns(data, network, pair[0], places, report)


_OF = {True: "predicted numbers", False: "how well classes are told apart"}
_COMPARED = {"classes": "with classes", "binary": "with yes and no", "numbers": "numbers"}


def _columns(data: ir.Data, network: ir.Network | None, output: str, places: Places, report: Report) -> None:
    """What single metrics ask for: enough classes, and a set to be measured on."""
    if "confusion_matrix" in places and data.validation is None and data.test is None:
        report.add(
            "E0610", "`confusion_matrix` is of the validation or test images, and there are none",
            places["confusion_matrix"], help="add `validation = 0.1` to `data`",
        )  # fmt: skip
    if network is None:
        return
    types = {o.name: o.type for o in network.outputs}
    shape = types.get(output, network.output).shape
    count = shape[1] if len(shape) > 1 else None
    for column in places:
        if metric_of(column).name == "topk" and isinstance(count, int) and int(column[3:]) >= count:
            report.add(
                "E0308", f"`topk({column[3:]})` counts all as right: there are {count} classes", places[column],
                help=f"choose a number below {count}",
            )  # fmt: skip
