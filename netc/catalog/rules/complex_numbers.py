"""Complex tensors: made of real ones, and taken apart.

In: the types of the inputs. Out: shapes and dtypes, or the reason of a refusal.
Guarantees: the dtypes and the refusals of torch on the CPU.
Leaves to others: arithmetic (`arithmetic`), `abs` (`elementwise`); half precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.catalog.entry import Function, Rule
from netc.catalog.rules import parts
from netc.catalog.rules.arithmetic import broadcast
from netc.shapes import Reject, TensorType, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs

TO_COMPLEX = {"float32": "complex64", "float64": "complex128"}
TO_REAL = {c: r for r, c in TO_COMPLEX.items()}
SINGLE_AND_DOUBLE = frozenset(TO_COMPLEX)


def _of_pairs(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    problem = parts.dtype_in(x, SINGLE_AND_DOUBLE) or parts.number_of_axes(x, range(1, 20), "[…, 2]")
    if problem is None and same(x.shape[-1], 2) is False:
        reason = f"the last axis holds the real and the imaginary part, 2 numbers, and not {x.shape[-1]}"
        problem = Reject(None, "[…, 2]", str(x), reason)
    return problem or TensorType(x.shape[:-1], TO_COMPLEX[x.dtype])


def _to_pairs(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return _complex(x) or TensorType((*x.shape, 2), TO_REAL[x.dtype])


def _complex(x: TensorType) -> Reject | None:
    if x.dtype in parts.COMPLEX:
        return None
    return Reject(None, "complex64", x.dtype, f"I take complex numbers, and the input is {x.dtype}")


def _of_two(args: Args, inputs: Inputs) -> TensorType | Reject:
    """polar and complex: two real tensors of one dtype."""
    left, right = inputs
    problem = parts.dtype_in(left, SINGLE_AND_DOUBLE)
    if problem is None and left.dtype != right.dtype:
        reason = f"my inputs must share a dtype, and these are {left.dtype} and {right.dtype}"
        problem = Reject(None, left.dtype, right.dtype, reason)
    both = problem or broadcast(left, right)
    return both if isinstance(both, Reject) else both._replace(dtype=TO_COMPLEX[left.dtype])


def _real(args: Args, inputs: Inputs) -> TensorType | Reject:
    x = inputs[0]
    return x._replace(dtype=TO_REAL.get(x.dtype, x.dtype))


def _imaginary(args: Args, inputs: Inputs) -> TensorType | Reject:
    return _complex(inputs[0]) or _real(args, inputs)


def _angle(args: Args, inputs: Inputs) -> TensorType | Reject:
    real = _real(args, inputs)
    if isinstance(real, Reject) or real.dtype in parts.FLOATS:
        return real
    return real._replace(dtype="float32")


LAYERS: dict[str, Rule] = {}
FUNCTIONS = {
    "view_as_complex": Rule(_of_pairs, function=Function("torch.view_as_complex")),
    "view_as_real": Rule(_to_pairs, function=Function("torch.view_as_real")),
    "polar": Rule(_of_two, function=Function("torch.polar")),
    "complex": Rule(_of_two, function=Function("torch.complex")),
    "real": Rule(_real, function=Function("torch.real")),
    "imag": Rule(_imaginary, function=Function("torch.imag")),
    "conj": Rule(parts.same_type, function=Function("torch.conj")),
    "angle": Rule(_angle, function=Function("torch.angle")),
}
