"""What works element by element: activations, dropouts, and the functions of one tensor; softmax and its kin.

In: arguments and the type of the input. Out: shapes and dtypes, or the reason of a refusal.
Guarantees: the dtypes and the refusals of torch on the CPU.
Leaves to others: operators and functions of two tensors (`arithmetic`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast
from netc.shapes import Dim, Reject, TensorType, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from netc.catalog.entry import Args, Inputs

    Check = Callable[[Args, TensorType], Reject | None]


def nothing_wrong(args: Args, x: TensorType) -> Reject | None:
    """Arguments that torch never refuses."""
    return None


def _ordered(low: str, high: str, may_be_equal: bool = True) -> Check:
    def check(args: Args, x: TensorType) -> Reject | None:
        a, b = parts.number(args, low), parts.number(args, high)
        if a < b or (a == b and may_be_equal):
            return None
        bound = f"{a} or more" if may_be_equal else f"more than {a}"
        return Reject(high, bound, str(b), f"`{high}` is {b}, and must be {bound}, because `{low}` is {a}")

    return check


def _alpha(args: Args, x: TensorType) -> Reject | None:
    if parts.number(args, "alpha") != 0:
        return None
    return Reject("alpha", "a number other than 0", "0", "`alpha` is 0, which I'd divide by")


def _approximation(args: Args, x: TensorType) -> Reject | None:
    given = args["approximate"]
    if given in ("none", "tanh"):
        return None
    return Reject("approximate", "'none' or 'tanh'", repr(given), f'`approximate` is "none" or "tanh", not {given!r}')


def _drops(takes: Callable[[TensorType], Reject | None], args: Args, inputs: Inputs) -> TensorType | Reject:
    x, p = inputs[0], parts.number(args, "p")
    if not 0 <= p <= 1:
        return Reject("p", "0 to 1", str(p), f"`p` is a probability, between 0 and 1, and not {p}")
    if p in (0, 1) and takes is not _drops_series:  # torch doesn't look at the input where nothing is drawn
        return x
    return takes(x) or (x if p in (0, 1) else parts.dtype_in(x, parts.FLOATS) or x)


def _drops_elements(x: TensorType) -> Reject | None:
    return None


def _drops_series(x: TensorType) -> Reject | None:
    return parts.spatial(x, 1)


def _drops_channels(x: TensorType) -> Reject | None:
    return parts.number_of_axes(x, range(2, 20), "[N, C, …]")


def _drops_volumes(x: TensorType) -> Reject | None:
    return parts.number_of_axes(x, range(1, 20), "[N, C, D, H, W]")


def _checked(allowed: frozenset[str], widens: bool, check: Check, args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.dtype_in(x, allowed) or check(args, x)
    if problem:
        return problem
    return x if x.dtype in parts.FLOATS or not widens else x._replace(dtype="float32")


def pointwise(allowed: frozenset[str], widens: bool = False, check: Check = nothing_wrong, callee: str = "") -> Rule:
    """A rule that keeps the shape. `widens`: whole numbers become float32."""
    return Rule(partial(_checked, allowed, widens, check), function=Function(callee) if callee else None)


F, N, A = parts.FLOATS, parts.NUMBERS, parts.ALL

# Each activation: its function, the dtypes it takes, whether it makes whole numbers float32, what it checks.
_ACTIVATIONS: dict[str, tuple[str, frozenset[str], bool, Check]] = {
    "CELU": ("F.celu", F, False, _alpha),
    "ELU": ("F.elu", F, False, nothing_wrong),
    "GELU": ("F.gelu", F, False, _approximation),
    "Hardshrink": ("F.hardshrink", F, False, nothing_wrong),
    "Hardsigmoid": ("F.hardsigmoid", F, False, nothing_wrong),
    "Hardswish": ("F.hardswish", F, False, nothing_wrong),
    "Hardtanh": ("F.hardtanh", N, False, _ordered("min_val", "max_val", may_be_equal=False)),
    "LeakyReLU": ("F.leaky_relu", F, False, nothing_wrong),
    "LogSigmoid": ("F.logsigmoid", F, False, nothing_wrong),
    "Mish": ("F.mish", F, False, nothing_wrong),
    "RReLU": ("F.rrelu", F - {"float16"}, False, _ordered("lower", "upper")),
    "ReLU": ("F.relu", N, False, nothing_wrong),
    "ReLU6": ("F.relu6", N, False, nothing_wrong),
    "SELU": ("F.selu", F, False, nothing_wrong),
    "SiLU": ("F.silu", F, False, nothing_wrong),
    "Sigmoid": ("torch.sigmoid", A, True, nothing_wrong),
    "Softplus": ("F.softplus", F, False, nothing_wrong),
    "Softshrink": ("F.softshrink", F, False, nothing_wrong),
    "Softsign": ("F.softsign", N, True, nothing_wrong),
    "Tanh": ("torch.tanh", A, True, nothing_wrong),
    "Tanhshrink": ("F.tanhshrink", N, True, nothing_wrong),
    "Threshold": ("F.threshold", N, False, nothing_wrong),
}
_DROPOUTS: dict[str, tuple[str, Callable[[TensorType], Reject | None]]] = {
    "Dropout": ("F.dropout", _drops_elements),
    "Dropout1d": ("F.dropout1d", _drops_series),
    "Dropout2d": ("F.dropout2d", _drops_channels),
    "Dropout3d": ("F.dropout3d", _drops_volumes),
    "AlphaDropout": ("F.alpha_dropout", _drops_elements),
    "FeatureAlphaDropout": ("F.feature_alpha_dropout", _drops_channels),
}
CASTS = {
    "bfloat16": "bfloat16", "bool": "bool", "double": "float64", "float": "float32", "half": "float16",
    "int": "int32", "long": "int64", "short": "int16",
}  # fmt: skip
_IN_TRAINING = ("training=self.training",)
_KEEPS = "ceil floor neg round trunc"
_WIDENS = (
    "acos acosh asin asinh atan atanh cos cosh erf erfc erfinv exp exp2 expm1 lgamma log log10 log1p log2 reciprocal "
    "rsqrt sin sinc sinh sqrt tan"
)


def _softmax_shape(converted: frozenset[str], args: Args, inputs: Inputs) -> TensorType | Reject:
    """`converted` are the dtypes that are taken where an argument says to which one they are made."""
    x, dim = inputs[0], args["dim"]
    problem = parts.dtype_in(x, parts.FLOATS if args.get("dtype") is None else converted)
    if problem or dim is None:
        return problem or x
    axis = parts.wrapped(parts.size(args, "dim"), max(len(x.shape), 1))
    if isinstance(axis, Reject):
        return axis
    return x if args.get("dtype") is None else x._replace(dtype=str(args["dtype"]))


def _softmax2d_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return parts.spatial(x, 2) or parts.dtype_in(x, parts.FLOATS) or x


def _glu_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    axis = parts.wrapped(parts.size(args, "dim"), len(x.shape))
    problem = parts.dtype_in(x, parts.FLOATS)
    if problem or isinstance(axis, Reject):
        return problem or axis  # type: ignore[return-value]
    if same(x.shape[axis] % 2, 0) is False:
        return Reject(
            "dim", "an even size", str(x.shape[axis]), f"I halve axis {axis}, and its size {x.shape[axis]} is odd"
        )
    return x._replace(shape=(*x.shape[:axis], x.shape[axis] // 2, *x.shape[axis + 1 :]))


def _prelu_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, count = inputs[0], parts.size(args, "num_parameters")
    problem = parts.dtype_in(x, parts.WEIGHTS) or parts.at_least(args, 1, "num_parameters")
    if problem or same(count, 1):
        return problem or x
    problem = parts.number_of_axes(x, range(2, 20), "[N, C, …]") if same(count, 1) is False else None
    if problem or len(x.shape) < 2 or same(count, x.shape[1]) is not False or same(count, 1) is not False:
        return problem or x
    expected = f"1 or {x.shape[1]}"
    return Reject("num_parameters", expected, str(count), f"{count} slopes don't fit {x.shape[1]} channels")


def _prelu_state(args: Args) -> dict[str, tuple[Dim, ...]]:
    return {"weight": (parts.size(args, "num_parameters"),)}


def _normalize_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    axis = parts.wrapped(parts.size(args, "dim"), max(len(x.shape), 1))
    return parts.dtype_in(x, parts.FLOATS) or (axis if isinstance(axis, Reject) else x)


def _clamp_shape(args: Args, inputs: Inputs) -> TensorType | Reject:
    x, low, high = inputs[0], args["min"], args["max"]
    if low is None and high is None:
        return Reject("min", "`min`, `max` or both", "neither", "I need at least one of `min` and `max`")
    problem = parts.dtype_in(x, parts.ALL if not isinstance(low, bool) else parts.NUMBERS)
    if problem or any(isinstance(bound, TensorType) for bound in (low, high)):
        return problem or _clamp_by_tensors(x, low, high)
    if x.dtype in parts.FLOATS:
        return x
    if isinstance(low, float) or isinstance(high, float):
        return x._replace(dtype="float32")
    return x._replace(dtype="int64") if x.dtype == "bool" else x


def _clamp_by_tensors(x: TensorType, low: object, high: object) -> TensorType | Reject:
    result: TensorType | Reject = x
    for name, bound in (("min", low), ("max", high)):
        if isinstance(result, Reject) or bound is None:
            continue
        if not isinstance(bound, TensorType):
            reason = f"`{name}` is a number and the other bound a tensor; they are both numbers or both tensors"
            return Reject(name, "a tensor", str(bound), reason)
        result = broadcast(result, bound)
    return result


def _triangle(args: Args, inputs: Inputs) -> TensorType | Reject:
    return parts.number_of_axes(inputs[0], range(2, 20), "[…, rows, columns]") or inputs[0]


def _square(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(dtype="int64") if inputs[0].dtype == "bool" else inputs[0]


def _magnitude(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    real = {"complex64": "float32", "complex128": "float64"}.get(x.dtype)
    return x._replace(dtype=real) if real else parts.dtype_in(x, parts.NUMBERS) or x


def _cast(dtype: str, args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(dtype=dtype)


def _cast_like(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(dtype=inputs[1].dtype)


def _to_bool(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(dtype="bool")


def _to_dtype(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0]._replace(dtype=str(args["dtype"]))


def _like(args: Args, inputs: Inputs) -> TensorType | Reject:
    return inputs[0] if args["dtype"] is None else _to_dtype(args, inputs)


def _random_like(args: Args, inputs: Inputs) -> TensorType | Reject:
    result = _like(args, inputs)
    return result if isinstance(result, Reject) else parts.dtype_in(result, parts.FLOATS) or result


def _softmax(callee: str, converted: frozenset[str] = A) -> Rule:
    return Rule(partial(_softmax_shape, converted), function=Function(callee))


LAYERS = {
    **{name: pointwise(dtypes, widens, check, f) for name, (f, dtypes, widens, check) in _ACTIVATIONS.items()},
    **{
        name: Rule(partial(_drops, takes), function=Function(f, extra=_IN_TRAINING))
        for name, (f, takes) in _DROPOUTS.items()
    },
    "Identity": Rule(parts.same_type),
    "PReLU": Rule(_prelu_shape, state=_prelu_state),
    "Softmax": _softmax("F.softmax"),
    "LogSoftmax": _softmax("F.log_softmax"),
    "Softmin": _softmax("F.softmin", N),
    "Softmax2d": Rule(_softmax2d_shape, function=Function("F.softmax", extra=("dim=1",))),
    "GLU": Rule(_glu_shape, function=Function("F.glu")),
}
LAYERS["RReLU"] = LAYERS["RReLU"]._replace(function=Function("F.rrelu", extra=_IN_TRAINING))

FUNCTIONS = {
    **{
        rule.function.callee.partition(".")[2]: rule
        for name, rule in LAYERS.items()
        if rule.function and name != "Softmax2d"
    },
    **{name: pointwise(N, callee=f"torch.{name}") for name in _KEEPS.split()},
    **{name: pointwise(A, True, callee=f"torch.{name}") for name in _WIDENS.split()},
    "hardtanh": pointwise(N, check=_ordered("min_val", "max_val"), callee="F.hardtanh"),
    "square": Rule(_square, function=Function("torch.square")),
    "sign": Rule(parts.same_type, function=Function("torch.sign")),
    "detach": Rule(parts.same_type, function=Function(".detach")),
    "contiguous": Rule(parts.same_type, function=Function(".contiguous")),
    "frac": pointwise(F, callee="torch.frac"),
    "abs": Rule(_magnitude, function=Function("torch.abs")),
    **{name: Rule(_to_bool, function=Function(f"torch.{name}")) for name in ("isfinite", "isinf", "isnan")},
    "nan_to_num": Rule(parts.same_type, function=Function("torch.nan_to_num")),
    **{name: Rule(partial(_cast, dtype), function=Function(f".{name}")) for name, dtype in CASTS.items()},
    "type_as": Rule(_cast_like, function=Function(".type_as")),
    "logical_not": Rule(_to_bool, function=Function("torch.logical_not")),
    "softmin": LAYERS["Softmin"],
    "gumbel_softmax": Rule(_normalize_shape, function=Function("F.gumbel_softmax")),
    "normalize": Rule(_normalize_shape, function=Function("F.normalize")),
    "clamp": Rule(_clamp_shape, function=Function(".clamp")),
    "clip": Rule(_clamp_shape, function=Function(".clip")),
    "empty_like": Rule(_like, function=Function("torch.empty_like")),
    "tril": Rule(_triangle, function=Function("torch.tril")),
    "triu": Rule(_triangle, function=Function("torch.triu")),
    "to": Rule(_to_dtype, function=Function(".to")),
    "zeros_like": Rule(_like, function=Function("torch.zeros_like")),
    "ones_like": Rule(_like, function=Function("torch.ones_like")),
    "full_like": Rule(_like, function=Function("torch.full_like")),
    "rand_like": Rule(_random_like, function=Function("torch.rand_like")),
    "randn_like": Rule(_random_like, function=Function("torch.randn_like")),
}
