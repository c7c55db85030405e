"""The settings `parallel` and `sync_batchnorm`: whether several processes can train this network together.

In: the settings as parsed; then the sections as checked, and the network. Out: the kind, "ddp" or "fsdp"; in the report
what can't be shared out among processes, and what comes out otherwise than in one. Leaves how many processes there are,
and on which devices, to the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc.catalog.loss_facts import scale
from netc.checker.expressions import ERROR
from netc.checker.gaps import GAP
from netc.diagnostics import suggestion
from netc.fixes import rewrite

if TYPE_CHECKING:
    from netc import syntax as s
    from netc.checker.section_reader import Reader
    from netc.checker.settings import Settings
    from netc.diagnostics import Report
    from netc.source import Span

KINDS = ("ddp", "fsdp")
_MEANT = {
    "distributeddataparallel": "ddp", "dataparallel": "ddp", "dp": "ddp", "data": "ddp", "true": "ddp",
    "fsdp2": "fsdp", "fully_shard": "fsdp", "fullyshardeddataparallel": "fsdp", "zero": "fsdp", "zero3": "fsdp",
}  # fmt: skip
_WHOLE = "it needs each matrix as a whole, and a process has a part of it only"
_SPARSE = "its sparse gradients are not added up over processes"
# Optimizers that can't train shards, or not with several processes at all, each with the reason.
_AGAINST = {
    "fsdp": {"Adafactor": _WHOLE, "Muon": _WHOLE},
    "ddp": {"LBFGS": "it chooses its steps by the loss of one process", "SparseAdam": _SPARSE},
}


def read(reader: Reader, chain: s.Chain) -> Any:
    """The kind."""
    value = reader.value(chain, '"ddp" or "fsdp"')
    if value is ERROR or value in KINDS:
        return value
    meant = _MEANT.get(str(value).lower())
    reader.report.add(
        "E0508", '`parallel` is "ddp" or "fsdp"', chain.span, f"this is `{value!r}`",
        help=f'write `parallel = "{meant}"`' if meant else suggestion(str(value), KINDS) or
        '"ddp" keeps the whole network in each process, "fsdp" a share of it',
        fix=rewrite(chain.span, f'"{meant}"') if meant else None,
    )  # fmt: skip
    return ERROR


def check(train: ir.Train, data: ir.Data, network: ir.Network, settings: Settings, report: Report) -> None:
    """Report what doesn't go together."""
    options = train.options
    norms = [row for row in network.rows if "BatchNorm" in row.name]
    if options.sync_batchnorm and not norms:
        report.add(
            "E0672", f"`{network.name}` has no batch norm that could be synchronised",
            settings["sync_batchnorm"].value.span, help="leave `sync_batchnorm` out",
        )  # fmt: skip
    if options.parallel is None:
        return
    place = settings["parallel"].value.span if "parallel" in settings else train.span
    _optimizer(train, place, report)
    for name, reason in _options(options).items():
        report.add(
            "E0670", f"`{name}` can't be combined with `parallel = \"{options.parallel}\"`: {reason}",
            settings[name].value.span, help=f'leave `{name}` out, or train with `parallel = "ddp"`',
        )  # fmt: skip
    if train.loss is not GAP:
        _loss(train.loss, report)
    if norms and not options.sync_batchnorm:
        report.add(
            "W0851", f"`{norms[0].path or norms[0].name}` takes mean and deviation of each process's share of a batch",
            norms[0].span, notes=["the result depends on the number of processes"],
            help="on GPUs, add `sync_batchnorm = True`; else take a norm over the features of each sample",
        )  # fmt: skip


def _optimizer(train: ir.Train, place: Span, report: Report) -> None:
    kind, optimizer = train.options.parallel, train.optimizer
    if optimizer is GAP:
        return
    reason = _AGAINST["ddp"].get(optimizer.name) or (_AGAINST["fsdp"].get(optimizer.name) if kind == "fsdp" else None)
    if reason is not None:
        other = ', or train with `parallel = "ddp"`' if optimizer.name not in _AGAINST["ddp"] else ""
        report.add(
            "E0670", f"`{optimizer.name}` can't be combined with `parallel = \"{kind}\"`: {reason}", optimizer.span,
            help=f"use another optimizer, such as AdamW{other}",
        )  # fmt: skip


def _options(options: ir.Options) -> dict[str, str]:
    """The settings that shards don't go with, each with the reason."""
    if options.parallel != "fsdp":
        return {}
    found = {}
    if options.compile:
        found["compile"] = "the weights are gathered between layers, in the middle of what would be compiled"
    if options.unfreeze is not None:
        found["unfreeze"] = "what learns is decided when the weights are shared out"
    return found


def _loss(loss: ir.Call | ir.Computed, report: Report) -> None:
    """The loss of a batch has to follow from those of its shares."""
    kind = loss.scale if isinstance(loss, ir.Computed) else _kind(loss)
    if kind == "mixed":
        report.add(
            "E0671", "the loss of a batch doesn't follow from the losses of its shares: one part is a mean, one a sum",
            loss.span, help="make the sum a mean over samples: divide it by `.shape[0]` of what it sums over",
        )  # fmt: skip
    elif kind == "whole":
        report.add(
            "W0850", "this loss is no mean and no sum over samples: the mean of those of the processes is taken",
            loss.span, notes=["the result depends on the number of processes"],
        )  # fmt: skip


def _kind(loss: ir.Call) -> str:
    return scale(loss.name, {p.name: loss.get(p.name) for p in loss.entry.params})
