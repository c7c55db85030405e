"""What torch saves for a backward pass, by its hooks, and what the catalog says of the same call.

In: a case, as those of the rules' tests. Out: bytes, with storages counted once; what a layer holds is not counted.
"""

from __future__ import annotations

import warnings
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from netc.catalog import saved
from netc.catalog.saved.call import Call, flat
from netc.catalog.saved.tape import DIFFERENTIABLE, Tape, Value
from netc.shapes import Reject, TensorType
from tests.catalog import referee, test_functions, test_ops
from tests.catalog.referee import Case, completed, entry_of


class Hooks:
    """Counts the storages that are saved within it, and not those of `held`."""

    def __init__(self, held: Any = ()) -> None:
        self.held = {t.untyped_storage().data_ptr() for t in held}
        self.kept: dict[int, Tensor] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda t: t)

    def _pack(self, t: Tensor) -> Tensor:
        place = t.untyped_storage().data_ptr()
        if place not in self.held:
            self.kept[place] = t  # which keeps it alive, so that no other has its place
        return t

    @property
    def bytes(self) -> int:
        return sum(t.untyped_storage().nbytes() for t in self.kept.values())

    def __enter__(self) -> Hooks:
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.hooks.__exit__(*error)


def learning(x: Tensor, which: bool = True) -> Tensor:
    return x.requires_grad_() if which and (x.is_floating_point() or x.is_complex()) else x


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in _tensors(part)] if isinstance(value, tuple | list) else []


def measured(case: Case, grads: tuple[bool, ...]) -> int | None:
    """The bytes that torch saves; None where it refuses the call, or nothing learns. `grads` go by the inputs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _measured(case, grads)
    except Exception:  # anything that torch raises is a refusal
        return None


def _measured(case: Case, grads: tuple[bool, ...]) -> int | None:
    torch.manual_seed(0)
    if case.kind == "layer":
        return _of_layer(case, grads)
    made, flags = referee.tensor, iter(grads)

    def tensor(t: TensorType, *args: Any) -> Tensor:
        return learning(made(t, *args), next(flags, True))

    def value(v: Any) -> Any:
        if isinstance(v, TensorType):
            return tensor(v, "cpu", True)
        return [value(part) for part in v] if isinstance(v, tuple) else unpatched(v)

    unpatched = test_functions.made
    with patch.object(referee, "tensor", tensor), patch.object(test_functions, "made", value), Hooks() as hooks:
        result = referee._call(case, "cpu") if case.inputs else test_functions.called(case)
    return hooks.bytes if any(t.requires_grad for t in _tensors(result)) else None


def _of_layer(case: Case, grads: tuple[bool, ...]) -> int | None:
    of_vision = entry_of(case).home == "torchvision.ops"
    layer: nn.Module = (test_ops.module(case) if of_vision else referee.module(case, "cpu")).train()
    tensors = [learning(referee.tensor(t, "cpu", case.name in referee.INDEXED), g)
               for t, g in zip(case.inputs, grads, strict=False)]  # fmt: skip
    held = [*layer.parameters(), *layer.buffers()]
    with Hooks(held) as hooks:
        if of_vision:
            result = layer(*tensors)
        else:
            with patch.object(referee, "module", lambda *_: layer):
                result = referee.apply(case, tensors, "cpu")
    return hooks.bytes if any(t.requires_grad for t in _tensors(result)) else None


class Refused(Exception):
    """What netc takes in no program, though torch might."""


def value_of(t: Tape, kind: TensorType, grad: bool = False) -> Value:
    return t.new([int(str(n)) for n in kind.shape], kind.dtype, grad and kind.dtype in DIFFERENTIABLE)


def said(case: Case, grads: tuple[bool, ...]) -> int | None:
    """The bytes that the catalog says; None where it has no fact."""
    entry, tape = entry_of(case), Tape()
    assert entry.rule is not None
    fact = saved.of_layer(case.name) if case.kind == "layer" else saved.of_function(case.name)
    if fact is None:
        return None
    call = _call_of_layer(case, grads, tape) if case.kind == "layer" else _call_of_function(case, grads, tape)
    fact(tape, call)
    return tape.bytes


def _call_of_layer(case: Case, grads: tuple[bool, ...], tape: Tape) -> Call:
    args, rule = completed(case), entry_of(case).rule
    assert rule is not None
    result = args if isinstance(args, Reject) else rule.shape(args, case.inputs)
    if isinstance(args, Reject) or isinstance(result, Reject):
        raise Refused
    inputs = tuple(value_of(tape, x, g) for x, g in zip(case.inputs, grads, strict=False))
    state = rule.state(args) if rule.state else {}
    weights = {n: tape.parameter([int(str(s)) for s in shape]) for n, shape in state.items()}
    values = {n: value_of(tape, v) if isinstance(v, TensorType) else v for n, v in args.items()}
    return Call(values, inputs, result, weights)


def _call_of_function(case: Case, grads: tuple[bool, ...], tape: Tape) -> Call:
    entry, flags = entry_of(case), iter(grads)
    args: dict[str, Any] = {p.name: p.default for p in entry.params} | case.args
    if case.inputs and entry.params[0].type == "tensors":
        args[entry.params[0].name] = case.inputs
    elif case.inputs:
        takers = [p.name for p in entry.params if "tensor" in p.type.split("|") and p.name not in case.args]
        args |= dict(zip(takers, case.inputs, strict=False))
    if any(p.name == "training" for p in entry.params):
        args["training"] = True if case.inputs else args["training"]
    types = [x for p in entry.params for x in test_functions.tensors(args[p.name])]
    assert entry.rule is not None
    result = entry.rule.shape(args, tuple(types))
    if isinstance(result, Reject):
        raise Refused

    def placed(v: Any) -> Any:
        if isinstance(v, TensorType):
            return value_of(tape, v, next(flags, True))
        return tuple(placed(part) for part in v) if isinstance(v, tuple) else v

    values = {p.name: placed(args[p.name]) for p in entry.params}
    inputs = tuple(x for p in entry.params for x in flat_values(values[p.name]))
    return Call(values, inputs, result)


def flat_values(value: Any) -> list[Value]:
    if isinstance(value, Value):
        return [value]
    return flat(value) if isinstance(value, tuple) and value and all(isinstance(v, Value) for v in value) else []
