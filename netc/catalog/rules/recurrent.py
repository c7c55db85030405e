"""Recurrent layers and their cells: RNN, LSTM, GRU.

In: arguments and the types of the inputs: the sequence, then the initial states if they are given (`h`, or `h, c` for
an LSTM). Out: shapes of the output and of the last states, parameters, multiply-adds, or the reason of a refusal.
Guarantees: the sizes and the refusals of torch on the CPU; the input always has its batch axis.
Leaves to others: which axis of an input the program means as time; without `batch_first` torch takes the first one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netc.catalog.entry import Rule
from netc.catalog.rules import parts
from netc.shapes import Dim, Reject, Size, TensorType, at_most, less, product, same

if TYPE_CHECKING:
    from netc.catalog.entry import Args, Inputs, Result, Results

    Sizes = dict[str, tuple[Dim, ...]]

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
STATES = {"RNN": ("hidden",), "LSTM": ("hidden", "cell"), "GRU": ("hidden",)}
NONLINEARITIES = ("tanh", "relu")


def _shape(kind: str, args: Args, inputs: Inputs) -> Result:
    problem = _refused(kind, args, inputs)
    if problem:
        return problem
    x = inputs[0]
    rows = parts.size(args, "num_layers") * _directions(args)
    batch = x.shape[0 if args["batch_first"] else 1]
    widths = {"hidden": _width(args), "cell": parts.size(args, "hidden_size")}
    states = tuple(x._replace(shape=(rows, batch, widths[name])) for name in STATES[kind])
    output = x._replace(shape=(*x.shape[:2], _directions(args) * _width(args)))
    return _states_fit(kind, states, inputs[1:]) or (output, _one_or_all(states))


def _refused(kind: str, args: Args, inputs: Inputs) -> Reject | None:
    return (
        _sequence(args, inputs[0])
        or parts.dtype_in(inputs[0], parts.WEIGHTS)
        or parts.at_least(args, 1, "input_size", "hidden_size")
        or parts.stack(args, "num_layers")
        or _projection(args)
        or parts.probability(args, "dropout")
        or _nonlinearity(args)
    )


def _sequence(args: Args, x: TensorType) -> Reject | None:
    return parts.batched(x, 3, "[N, T, features]" if args["batch_first"] else "[T, N, features]")


def _projection(args: Args) -> Reject | None:
    width, hidden = args.get("proj_size", 0), parts.size(args, "hidden_size")
    if width == 0 or not isinstance(width, int | Size):
        return None
    if less(width, 0) or at_most(hidden, width):
        reason = f"`proj_size` is {width}, and must be less than `hidden_size` ({hidden}), or 0 for no projection"
        return Reject("proj_size", f"0 to {hidden - 1}", str(width), reason)
    return None


def _nonlinearity(args: Args) -> Reject | None:
    given = args.get("nonlinearity", "tanh")
    if given in NONLINEARITIES:
        return None
    return Reject("nonlinearity", '"tanh" or "relu"', repr(given), f"there is no nonlinearity {given!r} here")


def _directions(args: Args) -> int:
    return 2 if args["bidirectional"] else 1


def _width(args: Args) -> Dim:
    """The size of the hidden state: `proj_size` unless it is 0.

    Where symbols leave open whether it is 0, one formula says both: with 0 <= p < h, (p + h - 1) // h is 1 for p > 0.
    """
    hidden, width = parts.size(args, "hidden_size"), args.get("proj_size", 0)
    assert isinstance(width, int | Size)
    if same(width, 0):
        return hidden
    if less(0, width):
        return width
    return width + hidden * (1 - (width + hidden - 1) // hidden)


def _states_fit(kind: str, expected: tuple[TensorType, ...], given: Inputs) -> Reject | None:
    """Compares initial states with what the layer gives as last states: the types are the same."""
    if len(given) not in (0, len(expected)):
        wanted = "the sequence and a state" if len(expected) == 1 else "the sequence and (hidden, cell)"
        reason = f"I take the sequence alone, or {wanted}, and {1 + len(given)} tensors arrive"
        return Reject(None, f"1 or {1 + len(expected)} inputs", str(1 + len(given)), reason)
    for name, wanted_type, state in zip(STATES[kind], expected, given, strict=False):
        pairs = zip(wanted_type.shape, state.shape, strict=False)
        unequal = len(wanted_type.shape) != len(state.shape) or any(same(a, b) is False for a, b in pairs)
        if unequal or state.dtype != wanted_type.dtype:
            reason = f"the initial {name} state must be {wanted_type}, and {state} arrives"
            return Reject(None, str(wanted_type), str(state), reason)
    return None


def _one_or_all(states: tuple[TensorType, ...]) -> Results:
    return states[0] if len(states) == 1 else states


def _features(args: Args, inputs: Inputs) -> Dim | Reject:
    return parts.agreed(args, "input_size", _sequence(args, inputs[0]) or inputs[0].shape[-1], "features")


def _state(kind: str, args: Args) -> Sizes:
    """The parameters of each layer and direction; with a symbol for `num_layers`, those of the first layer."""
    layers = args["num_layers"]
    return {
        f"{name}_l{i}{suffix}": shape
        for i in range(layers if isinstance(layers, int) else 1)
        for suffix in ("", "_reverse")[: _directions(args)]
        for name, shape in _weights(kind, args, _layer_input(args, i)).items()
    }


def _layer_input(args: Args, layer: int) -> Dim:
    return parts.size(args, "input_size") if layer == 0 else _directions(args) * _width(args)


def _weights(kind: str, args: Args, features: Dim) -> Sizes:
    hidden, width = parts.size(args, "hidden_size"), _width(args)
    rows = GATES[kind] * hidden
    weights: Sizes = {"weight_ih": (rows, features), "weight_hh": (rows, width)}
    if args["bias"]:
        weights |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    projects = not same(args.get("proj_size", 0), 0)  # type: ignore[arg-type]
    return {**weights, "weight_hr": (width, hidden)} if projects else weights


def _macs(kind: str, args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The matrix products of every step: input to gates, state to gates, and the projection.

    What works element by element, gates times states and biases, isn't counted.
    """
    deeper = parts.size(args, "num_layers") - 1
    first, later = (_step(kind, args, _layer_input(args, i)) for i in (0, 1))
    return product(inputs[0].shape[:2]) * _directions(args) * (first + deeper * later)


def _step(kind: str, args: Args, features: Dim) -> Dim:
    total: Dim = 0
    for shape in _weights(kind, args, features).values():
        total = total + (product(shape) if len(shape) == 2 else 0)
    return total


def _cell_shape(kind: str, args: Args, inputs: Inputs) -> Result:
    x = inputs[0]
    problem = (
        _sample(x)
        or parts.dtype_in(x, parts.WEIGHTS)
        or parts.at_least(args, 0, "input_size", "hidden_size")
        or _nonlinearity(args)
    )
    if problem:
        return problem
    state = x._replace(shape=(x.shape[0], parts.size(args, "hidden_size")))
    states = (state,) * len(STATES[kind])
    return _states_fit(kind, states, inputs[1:]) or _one_or_all(states)


def _sample(x: TensorType) -> Reject | None:
    return parts.batched(x, 2, "[N, features]")


def _cell_features(args: Args, inputs: Inputs) -> Dim | Reject:
    return parts.agreed(args, "input_size", _sample(inputs[0]) or inputs[0].shape[-1], "features")


def _cell_state(kind: str, args: Args) -> Sizes:
    return _weights(kind, args, parts.size(args, "input_size"))


def _cell_macs(kind: str, args: Args, inputs: Inputs, result: TensorType) -> Dim:
    """The two matrix products of one step; what works element by element isn't counted."""
    return inputs[0].shape[0] * _step(kind, args, parts.size(args, "input_size"))


def _layer(kind: str) -> Rule:
    infers = {"input_size": _features}
    return Rule(partial(_shape, kind), infers, partial(_state, kind), macs=partial(_macs, kind), nested=kind == "LSTM")


def _cell(kind: str) -> Rule:
    infers = {"input_size": _cell_features}
    return Rule(
        partial(_cell_shape, kind),
        infers,
        partial(_cell_state, kind),
        macs=partial(_cell_macs, kind),
        nested=kind == "LSTM",
    )


LAYERS = {kind: _layer(kind) for kind in GATES} | {f"{kind}Cell": _cell(kind) for kind in GATES}
FUNCTIONS: dict[str, Rule] = {}
