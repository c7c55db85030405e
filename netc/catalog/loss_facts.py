"""Facts about losses: which tensors each takes, what it gives, and over what it is the mean.

In: the name of a loss of torch, its arguments with defaults filled in, the types of its tensors. Out: the type that it
gives, or a `Reject` where torch would raise, or would compute something else than what is meant (broadcasting).
Guarantees: no torch. Leaves to others: signatures (`netc.catalog`), the values of arguments (`training`), messages.

The conditions are those of torch 2.15, and a test asks torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.shapes import Reject, TensorType, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.catalog.entry import Entry
    from netc.shapes import Dim

    Args = Mapping[str, object]
    Types = tuple[TensorType, ...]
    Given = TensorType | Reject

OUTPUT = "output"  # what the one result of a network without `output` lines is called in a loss
FLOATS = ("float32", "float64", "float16", "bfloat16")
_INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
# Losses that compare an output with the number of a class, and those that need more than tensors.
CLASS_LOSSES = frozenset({"CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"})
REFUSED = {
    "AdaptiveLogSoftmaxWithLoss": (
        "it has weights of its own, which belong to the network",
        "end the network with a `Linear` and use `CrossEntropyLoss`",
    ),
    "LinearCrossEntropyLoss": (
        "it has weights of its own, which belong to the network",
        "end the network with a `Linear` and use `CrossEntropyLoss`",
    ),
}
# A label says which of two: 1 or -1.
SIGNS = frozenset({"HingeEmbeddingLoss", "SoftMarginLoss", "CosineEmbeddingLoss", "MarginRankingLoss"})
# The functions of torch that compute the same as a loss.
FUNCTIONS = {
    "binary_cross_entropy": "BCELoss", "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss", "cross_entropy": "CrossEntropyLoss", "ctc_loss": "CTCLoss",
    "gaussian_nll_loss": "GaussianNLLLoss", "hinge_embedding_loss": "HingeEmbeddingLoss", "huber_loss": "HuberLoss",
    "kl_div": "KLDivLoss", "l1_loss": "L1Loss", "margin_ranking_loss": "MarginRankingLoss", "mse_loss": "MSELoss",
    "multi_margin_loss": "MultiMarginLoss", "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss", "nll_loss": "NLLLoss",
    "poisson_nll_loss": "PoissonNLLLoss", "smooth_l1_loss": "SmoothL1Loss", "soft_margin_loss": "SoftMarginLoss",
    "triplet_margin_loss": "TripletMarginLoss", "triplet_margin_with_distance_loss": "TripletMarginWithDistanceLoss",
}  # fmt: skip


class Tensors(NamedTuple):
    """The tensors of a loss: their names in torch, in order."""

    names: tuple[str, ...]

    @property
    def listed(self) -> str:
        return ", ".join(self.names)


_PAIR = Tensors(("input", "target"))
_TENSORS = {
    "CosineEmbeddingLoss": Tensors(("input1", "input2", "target")),
    "MarginRankingLoss": Tensors(("input1", "input2", "target")),
    "TripletMarginLoss": Tensors(("anchor", "positive", "negative")),
    "TripletMarginWithDistanceLoss": Tensors(("anchor", "positive", "negative")),
    "GaussianNLLLoss": Tensors(("input", "target", "var")),
    "CTCLoss": Tensors(("log_probs", "targets", "input_lengths", "target_lengths")),
}


def tensors(name: str) -> Tensors:
    """The tensors that a loss takes."""
    return _TENSORS.get(name, _PAIR)


def constructor(entry: Entry) -> Entry:
    """The entry of a loss as a file gives it its arguments: weights are lists of numbers."""
    params = [p._replace(type="floats|None") if p.type == "tensor|None" else p for p in entry.params]
    return entry._replace(params=tuple(params))


def scale(name: str, args: Args) -> str:
    """How the loss of a set follows from those of its batches.

    "mean" over samples (weighted by their number), "sum" over samples, "weighted" (a mean whose divisor hangs on the
    labels, so that it follows from the batches only with their divisors), or "none" (a loss for each sample).
    """
    reduction = args.get("reduction", "mean")
    if reduction in ("none", "sum"):
        return str(reduction)
    weights = args.get("weight") is not None and name in ("CrossEntropyLoss", "NLLLoss")
    skips = args.get("ignore_index", -100) != -100
    return "weighted" if weights or skips or name == "CTCLoss" else "mean"


def loss_type(name: str, args: Args, given: Types) -> Given:
    """What a loss gives for these tensors: one number, or with `reduction="none"` one for each sample or element."""
    for which, type_ in zip(tensors(name).names[:1], given, strict=False):
        if type_.dtype not in FLOATS:
            return Reject(None, "a floating-point tensor", str(type_), f"its `{which}` is {type_.dtype}")
    found = _RULES.get(name, _alike)(name, args, given)
    if isinstance(found, Reject) or args.get("reduction", "mean") == "none":
        return found
    return TensorType((), given[0].dtype)


def _differ(first: str, a: TensorType, second: str, b: TensorType) -> Reject:
    return Reject(None, f"both of one shape, as {a}", str(b), f"its {first} is {_text(a)} and its {second} {_text(b)}")


def _text(type_: TensorType) -> str:
    return f"[{', '.join(map(str, type_.shape))}]"


def _equal(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> bool:
    return len(a) == len(b) and all(same(x, y) is not False for x, y in zip(a, b, strict=True))


def _number(which: str, type_: TensorType, what: str = "numbers") -> Reject | None:
    if type_.dtype in FLOATS:
        return None
    return Reject(None, "float32", type_.dtype, f"its {which} has to be {what} in floating point, and is {type_.dtype}")


def _alike(name: str, args: Args, given: Types) -> Given:
    """Two tensors of one shape, number by number. A loss that would broadcast computes other pairs than are meant."""
    a, b = given
    if not _equal(a.shape, b.shape):
        return _differ("input", a, "target", b)
    signs = name in SIGNS and b.dtype in _INTEGERS
    return (None if signs else _number("target", b)) or _weighted(args, a) or TensorType(a.shape, a.dtype)


def _weighted(args: Args, a: TensorType) -> Reject | None:
    for name in ("weight", "pos_weight"):
        weights = args.get(name)
        if isinstance(weights, (list, tuple)) and (not a.shape or same(a.shape[-1], len(weights)) is False):
            return Reject(name, f"one number for each of {a.shape[-1] if a.shape else 1}", f"{len(weights)} numbers",
                          f"the output is {_text(a)}")  # fmt: skip
    return None


def _classes(name: str, args: Args, given: Types) -> Given:
    """Scores [N, C] with the numbers of classes [N], or [N, C, d] with [N, d]; or with probabilities of one shape."""
    a, b = given
    axis = 1 if len(a.shape) > 1 else 0
    if not a.shape:
        return Reject(None, "[N, classes]", _text(a), "it takes a score for each class, and its input is one number")
    if name == "MultiMarginLoss" and len(a.shape) > 2:
        return Reject(None, "[N, classes]", _text(a), f"it takes one score for each class, and its input is {_text(a)}")
    wanted = a.shape[:axis] + a.shape[axis + 1 :]
    count = a.shape[axis]
    weights = args.get("weight")
    if isinstance(weights, (list, tuple)) and same(count, len(weights)) is False:
        return Reject("weight", f"{count} numbers", f"{len(weights)} numbers", f"there are {count} classes")
    soft = name == "CrossEntropyLoss" and b.dtype in FLOATS
    if soft and not _equal(b.shape, a.shape):
        reason = f"its target is {_text(b)} {b.dtype}, and probabilities of classes would be {_text(a)}"
        return Reject(None, f"{_text(TensorType(wanted))} int64", str(b), reason)
    if not soft and b.dtype != "int64":
        reason = f"its target has to be the numbers of classes, {_text(TensorType(wanted))} int64, and is {b.dtype}"
        return Reject(None, "int64", b.dtype, reason)
    if not soft and not _equal(b.shape, wanted):
        reason = f"its input is {_text(a)}, and its target {_text(b)} where {_text(TensorType(wanted))} fits"
        return Reject(None, _text(TensorType(wanted)), _text(b), reason)
    return TensorType(wanted, a.dtype)


def _margins(name: str, args: Args, given: Types) -> Given:
    """Scores [N, C], and as many labels: numbers of classes, filled up with -1; or 0 and 1 for each class."""
    a, b = given
    if not _equal(a.shape, b.shape):
        return _differ("input", a, "target", b)
    if len(a.shape) not in (1, 2):
        return Reject(None, "[N, classes]", _text(a), f"its input is {_text(a)}, and it takes [N, classes]")
    if name == "MultiLabelMarginLoss":
        if b.dtype != "int64":
            return Reject(None, "int64", b.dtype, f"its target has to be numbers of classes, int64, and is {b.dtype}")
    else:
        wrong = _number("target", b, "0 and 1") or _weighted(args, a)
        if wrong is not None:
            return wrong
    return TensorType(a.shape[:-1], a.dtype)


def _cosine(name: str, args: Args, given: Types) -> Given:
    a, b, sign = given
    if not _equal(a.shape, b.shape):
        return _differ("input1", a, "input2", b)
    if len(a.shape) not in (1, 2):
        return Reject(None, "[N, features]", _text(a), f"its inputs are {_text(a)}, and it takes [N, features]")
    if not _equal(sign.shape, a.shape[:-1]):
        wanted = TensorType(a.shape[:-1])
        return Reject(None, _text(wanted), _text(sign), f"its target is {_text(sign)} where {_text(wanted)} fits")
    return TensorType(a.shape[:-1], a.dtype)


def _ranking(name: str, args: Args, given: Types) -> Given:
    a, b, sign = given
    if not _equal(a.shape, b.shape):
        return _differ("input1", a, "input2", b)
    if not _equal(a.shape, sign.shape):
        return _differ("inputs", a, "target", sign)
    return TensorType(a.shape, a.dtype)


def _triplet(name: str, args: Args, given: Types) -> Given:
    anchor, positive, negative = given
    for which, other in (("positive", positive), ("negative", negative)):
        if not _equal(anchor.shape, other.shape):
            return _differ("anchor", anchor, which, other)
        wrong = _number(which, other)
        if wrong is not None:
            return wrong
    if not anchor.shape:
        return Reject(None, "[N, features]", "[]", "it takes vectors, and these are single numbers")
    return TensorType(anchor.shape[:-1], anchor.dtype)


def _gaussian(name: str, args: Args, given: Types) -> Given:
    a, b, var = given
    if not _equal(a.shape, b.shape):
        return _differ("input", a, "target", b)
    fits = _equal(var.shape, a.shape) or _equal(var.shape, a.shape[:-1]) or _equal(var.shape, (*a.shape[:-1], 1))
    if not fits:
        return _differ("input", a, "var", var)
    return _number("target", b) or _number("var", var) or TensorType(a.shape, a.dtype)


def _ctc(name: str, args: Args, given: Types) -> Given:
    log_probs, targets, *lengths = given
    if len(log_probs.shape) not in (2, 3):
        reason = f"its log_probs are {_text(log_probs)}, and it takes [T, N, classes]: time first"
        return Reject(None, "[T, N, classes]", _text(log_probs), reason)
    batch = log_probs.shape[1:-1]
    for which, other in zip(("targets", "input_lengths", "target_lengths"), (targets, *lengths), strict=True):
        if other.dtype not in _INTEGERS:
            return Reject(None, "int64", other.dtype, f"its {which} have to be integers, and are {other.dtype}")
    for which, other in zip(("input_lengths", "target_lengths"), lengths, strict=True):
        if not _equal(other.shape, batch):
            wanted = TensorType(batch)
            return Reject(
                None, _text(wanted), _text(other), f"its {which} are {_text(other)} where {_text(wanted)} fits"
            )
    if len(targets.shape) == 2 and not _equal(targets.shape[:1], batch):
        return Reject(None, "[N, S]", _text(targets), f"its targets are {_text(targets)} for {_text(log_probs)}")
    return TensorType(batch, log_probs.dtype)


_RULES = {
    **dict.fromkeys(CLASS_LOSSES, _classes),
    "MultiLabelMarginLoss": _margins,
    "MultiLabelSoftMarginLoss": _margins,
    "CosineEmbeddingLoss": _cosine,
    "MarginRankingLoss": _ranking,
    "TripletMarginLoss": _triplet,
    "TripletMarginWithDistanceLoss": _triplet,
    "GaussianNLLLoss": _gaussian,
    "CTCLoss": _ctc,
}
