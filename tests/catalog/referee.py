"""Asks the catalog's rules and torch the same question.

In: a layer or function by name, arguments, types of inputs. Out: what the rules say and what torch does: on the CPU
with small tensors for refusals, on the meta device for shapes.
Guarantees: torch gets every argument that the rules inferred, so that both judge the same call.
Leaves to others: which cases are asked (`draws`).
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from netc import catalog
from netc.catalog.entry import REQUIRED, Entry
from netc.shapes import Dim, Reject, TensorType, substitute, symbol

Types = tuple[TensorType, ...]


class Case(NamedTuple):
    """One question. `inputs` are the tensors; `args` what is given by keyword, tensors left out."""

    kind: str
    name: str
    args: dict[str, Any]
    inputs: Types


class Answer(NamedTuple):
    """What came of it: the results, or the text of the refusal."""

    results: Types | None
    refusal: str


def entry_of(case: Case) -> Entry:
    found = catalog.layer(case.name) if case.kind == "layer" else catalog.function(case.name)
    assert found is not None, case.name
    assert found.rule is not None, case.name
    return found


def completed(case: Case) -> dict[str, Any] | Reject:
    """All arguments, defaults and inferred ones included."""
    entry = entry_of(case)
    assert entry.rule is not None
    assert case.args.keys() <= {p.name for p in entry.params}, case
    args = {p.name: case.args.get(p.name, p.default) for p in entry.params}
    for name, infer in entry.rule.infers.items():
        value = infer(args, case.inputs)
        if isinstance(value, Reject):
            return value
        if args[name] is REQUIRED:
            args[name] = value
    return args


def ask_rules(case: Case) -> Answer:
    args = completed(case)
    if isinstance(args, Reject):
        return Answer(None, _told(args))
    rule = entry_of(case).rule
    assert rule is not None
    result = rule.shape(args, case.inputs)
    if isinstance(result, Reject):
        return Answer(None, _told(result))
    return Answer((result,) if isinstance(result, TensorType) else tuple(result), "")


def _told(reject: Reject) -> str:
    assert reject.reason, reject
    assert not reject.reason.endswith("."), reject
    assert all(isinstance(part, str) for part in reject if part is not None), reject
    return f"{reject.argument}: {reject.reason} (expected {reject.expected}, got {reject.got})"


def ask_torch(case: Case, device: str) -> Answer:
    """Anything that torch raises is a refusal. Modules with statistics are asked in evaluation."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return Answer(_types(_call(case, device)), "")
    except Exception as error:
        return Answer(None, f"{type(error).__name__}: {error}".split("\n")[0])


def _call(case: Case, device: str) -> Any:
    tensors = [tensor(t, device) for t in case.inputs]
    if case.kind == "layer":
        return module(case, device)(*tensors)
    entry = entry_of(case)
    if entry.params[0].type == "tensors":
        return _callee(entry)(tensors, **case.args)
    takers = [p.name for p in entry.params if "tensor" in p.type.split("|") and p.name not in case.args]
    given = {n: _value(v) for n, v in case.args.items()} | dict(zip(takers[1:], tensors[1:], strict=False))
    if any(p.name == "training" for p in entry.params):
        given["training"] = True  # some functions have another default than their layer
    rest = given.pop(next((p.name for p in entry.params if p.type == "*ints"), ""), ())
    return _callee(entry)(tensors[0], *rest, **given)


def _callee(entry: Entry) -> Any:
    """What generated code calls, a method as a function of its tensor."""
    assert entry.rule is not None
    name = entry.rule.function.callee if entry.rule.function else f"{entry.home}.{entry.name}"
    path = f"torch.Tensor{name}" if name.startswith(".") else name
    return eval(path, {"torch": torch, "F": torch.nn.functional})


def _value(value: Any) -> Any:
    return getattr(torch, value) if isinstance(value, str) and value in DTYPES else value


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def module(case: Case, device: str) -> nn.Module:
    """The module of torch, with the sizes that the rules would infer from a well-formed input."""
    entry = entry_of(case)
    assert entry.rule is not None
    args = dict(case.args)
    for i, name in enumerate(entry.rule.infers):
        shape = case.inputs[min(i, len(case.inputs) - 1)].shape
        from_last = name in ("in_features", "in1_features", "in2_features", "normalized_shape")
        fitting = shape[-1] if from_last and shape else shape[1] if len(shape) > 1 else 4
        if name not in args:
            args[name] = fitting
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers without elements
        built = getattr(nn, case.name)(**args)
    assert isinstance(built, nn.Module)
    return built.eval() if case.name.startswith("BatchNorm") else built


def tensor(t: TensorType, device: str) -> Tensor:
    return torch.ones([int(str(s)) for s in t.shape], dtype=getattr(torch, t.dtype), device=device)


def _types(result: Any) -> Types:
    if isinstance(result, Tensor):
        return (TensorType(tuple(result.shape), str(result.dtype).removeprefix("torch.")),)
    return tuple(_types(r)[0] for r in result)


def symbolic(case: Case) -> tuple[Case, dict[str, int]]:
    """The same question with a symbol for each size of the inputs, equal sizes of one axis sharing theirs.

    For functions a size of 1 stays a number: a symbol is neither stretched nor squeezed away.
    """
    env: dict[str, int] = {}

    def name(i: int, size: Dim) -> Dim:
        assert isinstance(size, int)
        if size == 1 and case.kind == "function":
            return size
        env[f"s{i}_{size}"] = size
        return symbol(f"s{i}_{size}")

    inputs = tuple(
        t._replace(shape=tuple(name(len(t.shape) - i, s) for i, s in enumerate(t.shape))) for t in case.inputs
    )
    return case._replace(inputs=inputs), env


def substituted(results: Types, env: dict[str, int]) -> Types:
    return tuple(t._replace(shape=tuple(substitute(s, env) for s in t.shape)) for t in results)
