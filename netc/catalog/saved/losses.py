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
    """The logarithms of softmax, and the target; smoothed, also which targets count."""
    x, target = given[:2]
    shares, smooth = target.dtype != "int64", bool(args.get("label_smoothing"))
    t.save(t.like(x), t.new(x.shape) if shares and smooth else target)
    if smooth and not shares:
        t.save(t.new(target.shape, "bool"))
    _weighted(t, args)


def _weighted(t: Tape, args: Mapping[str, Any]) -> None:
    """Weights that a loss is given are lists of numbers."""
    for name in ("weight", "pos_weight"):
        if isinstance(args.get(name), (tuple, list)):
            t.save(t.new((len(args[name]),)))


def _both(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(*given[:2])
    _weighted(t, args)


def _difference(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(t.like(given[0]))


def _divergence(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The gradient of the input is the target alone, or what it is the logarithm of."""
    t.save(t.like(given[1], grad=False) if args.get("log_target") else given[1])


def _hinge(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """What the margin leaves, and which of the two each target is."""
    x = given[0]
    t.save(t.like(x), t.new(x.shape, "bool"), t.new(x.shape, "bool"))


def _poisson(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The target, and the exponential of the input, or the input with what its logarithm is taken of."""
    t.save(given[1], t.like(given[0]))


def _soft_margins(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The logarithms of the sigmoid of the input and of its opposite, each with a buffer; the target and 1 - target."""
    x, target = given[:2]
    t.save(x, target, t.like(x), t.like(target), *([] if t.cuda else [t.like(x), t.like(x)]))
    _weighted(t, args)


def _margins(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(*given[:2], t.like(given[0]))


def _cosine(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """Both, five numbers of each pair, and two flags."""
    rows = given[0].shape[:-1]
    t.save(*given[:2], t.new((*rows, 5)), t.new((*rows, 2), "bool"))


def _ranking(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    t.save(given[2], t.like(given[0]))


def _triplet(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The differences whose norms are compared, these, and what the margin leaves; with `swap` a third pair."""
    pairs = 3 if args.get("swap") else 2
    t.save(*(t.like(given[0]) for _ in range(pairs)), t.new((pairs + 1, *given[0].shape[:-1])))


def _gaussian(t: Tape, args: Mapping[str, Any], given: tuple[Value, ...]) -> None:
    """The variance and the difference; for the variance's gradient the square, too."""
    x = given[0]
    t.save(t.like(x), t.like(x), *([t.like(x)] if given[2].grad else []))


LOSSES: dict[str, Rule] = {
    "CrossEntropyLoss": _cross_entropy, "NLLLoss": _both, "MSELoss": _both, "L1Loss": _difference,
    "SmoothL1Loss": _both, "HuberLoss": _both, "BCELoss": _both, "BCEWithLogitsLoss": _both, "KLDivLoss": _divergence,
    "SoftMarginLoss": _both, "MultiMarginLoss": _both, "HingeEmbeddingLoss": _hinge, "PoissonNLLLoss": _poisson,
    "MultiLabelSoftMarginLoss": _soft_margins, "MultiLabelMarginLoss": _margins, "CosineEmbeddingLoss": _cosine,
    "MarginRankingLoss": _ranking, "TripletMarginLoss": _triplet, "TripletMarginWithDistanceLoss": _triplet,
    "GaussianNLLLoss": _gaussian,
}  # fmt: skip
