"""Whether the optimizer can train the parameters that the network has, in the way that the run makes its steps.

In: the training as checked, and the network where it is known. Out: what torch would raise in the first step, in the
report: matrices for Muon, sparse gradients for SparseAdam, and what LBFGS can't be combined with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import ir
from netc.checker.gaps import attempt
from netc.checker.parameter_groups import is_frozen
from netc.summary import weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netc.checker.settings import Settings
    from netc.diagnostics import Report

_TAKES_SPARSE = frozenset({"SGD", "Adagrad", "SparseAdam"})
_SHOWN = 3  # parameters that a message lists


def check(train: ir.Train, network: ir.Network | None, settings: Settings, report: Report) -> None:
    """Report an optimizer that doesn't fit."""
    attempt(_closure, train, settings, report)
    if network is not None:
        attempt(_parameters, train, network, report)


def _closure(train: ir.Train, settings: Settings, report: Report) -> None:
    """LBFGS computes the loss of a batch several times in a step, and has one set of settings for all parameters."""
    if train.optimizer.name != "LBFGS":
        return
    options = train.options
    against = {
        "accumulate": options.accumulate > 1,
        "clip_grad_norm": options.clip_grad_norm is not None,
        "clip_grad_value": options.clip_grad_value is not None,
        "precision": options.precision == "fp16",
    }
    for name, there in against.items():
        if there:
            report.add(
                "E0633", f"`LBFGS` can't be combined with `{name}`: it computes the loss several times in a step",
                settings[name].value.span, help=f"leave `{name}` out, or use another optimizer",
            )  # fmt: skip
    if train.groups:
        report.add(
            "E0633", "`LBFGS` has one set of settings for all parameters", train.groups[0].span,
            help="leave the groups out, or use another optimizer",
        )  # fmt: skip


def _parameters(train: ir.Train, network: ir.Network, report: Report) -> None:
    optimizer = train.optimizer
    trained = [w for w in weights(network) if w.trained and not is_frozen(w.path, train)]
    sparse = set(_sparse(network.children, ""))
    if optimizer.name == "Muon":
        other = [w.path for w in trained if len(w.shape) != 2]
        if other:
            report.add(
                "E0632", f"`Muon` trains matrices only, and {_listed(other)} {'is' if len(other) == 1 else 'are'} none",
                optimizer.span, help="use `AdamW`; or layers with `bias=False`, or `freeze` the others",
            )  # fmt: skip
    elif optimizer.name == "SparseAdam":
        dense = [w.path for w in trained if w.path not in sparse]
        if dense:
            report.add(
                "E0632", f"`SparseAdam` takes sparse gradients only, and {_listed(dense)} "
                f"{'has' if len(dense) == 1 else 'have'} dense ones", optimizer.span,
                help="use `Adam`; gradients are sparse of `Embedding(sparse=True)` and `EmbeddingBag(sparse=True)`",
            )  # fmt: skip
    elif optimizer.name not in _TAKES_SPARSE and any(w.path in sparse for w in trained):
        found = [w.path for w in trained if w.path in sparse]
        report.add(
            "E0632", f"`{optimizer.name}` takes no sparse gradients, and {_listed(found)} "
            f"{'has' if len(found) == 1 else 'have'} such", optimizer.span,
            help="leave out `sparse=True`, or use `SparseAdam`, `SGD` or `Adagrad`",
        )  # fmt: skip


def _listed(paths: list[str]) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"


def _sparse(children: Iterable[ir.Child], prefix: str) -> Iterator[str]:
    """The parameters whose gradients are sparse."""
    for child in children:
        if not isinstance(child, ir.Layer):
            yield from _sparse(child.children, f"{prefix}{child.label}.")
        elif child.call.get_or("sparse", False) is True:
            yield f"{prefix}{child.label}.weight"
