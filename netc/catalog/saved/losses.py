"""What the losses of torch.nn save.

In: the tape, the loss's arguments, its tensors in order. Out: the loss, a number. A target is counted as what is kept
of the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.catalog.saved.tape import Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.catalog.saved.tape import Tape

    Rule = Callable[[Tape, Mapping[str, Any], tuple[Value, ...]], None]


def play(t: Tape, name: str, args: Mapping[str, Any], given: tuple[Value, ...]) -> Value:
    """The loss of these tensors; raises `Unknown` where no fact tells what it saves."""
    rule = LOSSES.get(name)
    if rule is None:
        raise Unknown(name)
    if given[0].grad or any(v.grad for v in given):
        rule(t, args, given)
    whole = args.get("reduction", "mean") == "none"
    shape = given[0].shape if whole else ()
    return t.new(shape, given[0].dtype, any(v.grad for v in given))


def _cross_entropy(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The logarithms of softmax, and the target; with shares of the classes their product's factors."""
    x, target = given[:2]
    kept = t.like(x)
    t.save(kept, target)
    shares = target.dtype != "int64"
    if not shares and x.dim != 2 and x.dim != 4:
        t.save(t.contiguous(target))
    if shares and args.get("label_smoothing"):
        t.save(t.new(x.shape))


def _negative_log(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(given[1])
    if given[0].dim in (1, 2, 4) and args.get("_input"):
        t.save(given[0])


def _both(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(*given[:2])


def _logistic(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(*given[:2])
    if isinstance(args.get("pos_weight"), tuple):
        t.save(t.new((len(args["pos_weight"]),)))


def _target(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(given[1])


def _divergence(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The gradient of the input is the target alone."""
    t.save(given[1])
    if args.get("log_target"):
        t.save(t.like(given[1], grad=False))


LOSSES: dict[str, Rule] = {
    "CrossEntropyLoss": _cross_entropy, "NLLLoss": _negative_log, "MSELoss": _both, "L1Loss": _both,
    "SmoothL1Loss": _both, "HuberLoss": _both, "BCELoss": _both, "BCEWithLogitsLoss": _logistic,
    "KLDivLoss": _divergence, "SoftMarginLoss": _both, "MultiMarginLoss": _both,
}  # fmt: skip
_ = _target
