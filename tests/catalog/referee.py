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
from netc.catalog.entry import Entry, LayerValue
from netc.catalog.rules.parts import filled
from netc.shapes import Dim, Reject, TensorType, substitute, symbol

Types = tuple[TensorType, ...]
Results = tuple["TensorType | Results", ...]


class Case(NamedTuple):
    """One question. `inputs` are the tensors; `args` what is given by keyword, to the layer or to its `forward`."""

    kind: str
    name: str
    args: dict[str, Any]
    inputs: Types


class Answer(NamedTuple):
    """What came of it: the results, nested as torch nests them, or the text of the refusal."""

    results: Results | None
    refusal: str


def entry_of(case: Case) -> Entry:
    found = catalog.layer(case.name) if case.kind == "layer" else catalog.function(case.name)
    assert found is not None, case.name
    assert found.rule is not None, case.name
    return found


def completed(case: Case) -> dict[str, Any] | Reject:
    """All arguments, defaults and inferred ones included, those of layers among them too."""
    entry = entry_of(case)
    assert entry.rule is not None
    assert case.args.keys() <= {p.name for p in (*entry.params, *entry.rule.forward)}, case
    args = filled(LayerValue(entry, case.args), case.inputs)
    if isinstance(args, Reject):
        return args
    complete: dict[str, Any] = {}
    instances = {p.name for p in entry.params if "layer" in p.type.split("|")}
    for name, value in args.items():
        complete[name] = value
        if isinstance(value, LayerValue) and name in instances:
            inner = filled(value, case.inputs)
            if isinstance(inner, Reject):
                return inner
            complete[name] = value._replace(args=inner)
    return complete


def ask_rules(case: Case) -> Answer:
    args = completed(case)
    if isinstance(args, Reject):
        return Answer(None, _told(args))
    rule = entry_of(case).rule
    assert rule is not None
    result = rule.shape(args, case.inputs)
    if isinstance(result, Reject):
        return Answer(None, _told(result))
    return Answer((result,) if isinstance(result, TensorType) else result, "")


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
    tensors = [tensor(t, device, case.name in INDEXED) for t in case.inputs]
    entry = entry_of(case)
    if case.kind == "layer":
        return apply(case, tensors, device)
    if entry.params[0].type == "tensors":
        return _callee(entry)(tensors, **case.args)
    takers = [p.name for p in entry.params if "tensor" in p.type.split("|") and p.name not in case.args]
    given = {n: _value(v) for n, v in case.args.items()} | dict(zip(takers[1:], tensors[1:], strict=False))
    if any(p.name == "training" for p in entry.params):
        given["training"] = True  # some functions have another default than their layer
    rest = given.pop(next((p.name for p in entry.params if p.type == "*ints"), ""), ())
    return _callee(entry)(tensors[0], *rest, **given)


INDEXED = {"EmbeddingBag", *(f"MaxUnpool{n}d" for n in (1, 2, 3)), *(f"max_unpool{n}d" for n in (1, 2, 3))}
PAIRED = {"LSTM", "LSTMCell"}


def apply(case: Case, tensors: list[Tensor], device: str) -> Any:
    """The module on its inputs, with those arguments that are for `forward`."""
    rule = entry_of(case).rule
    assert rule is not None
    if case.name in PAIRED and len(tensors) > 1:
        return module(case, device)(tensors[0], tuple(tensors[1:]))
    if rule.repeat > 1 and len(tensors) == 1:
        tensors = tensors * rule.repeat
    given = {p.name: case.args[p.name] for p in rule.forward if p.name in case.args}
    given = {n: tensor(v, device) if isinstance(v, TensorType) else v for n, v in given.items()}
    return module(case, device)(*tensors, **given)


def _callee(entry: Entry) -> Any:
    """What generated code calls, a method as a function of its tensor."""
    assert entry.rule is not None
    name = entry.rule.function.callee if entry.rule.function else f"{entry.home}.{entry.name}"
    path = f"torch.Tensor{name}" if name.startswith(".") else name
    return eval(path, {"torch": torch, "F": torch.nn.functional})


def _value(value: Any) -> Any:
    return getattr(torch, value) if isinstance(value, str) and value in DTYPES else value


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


FROM_LAST = {"in_features", "in1_features", "in2_features", "normalized_shape", "input_size", "embed_dim", "d_model"}


def module(case: Case, device: str) -> nn.Module:
    """The module of torch, with the sizes that the rules would infer from a well-formed input."""
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers without elements
        built = _built(LayerValue(entry_of(case), case.args), case.inputs)
    return built.eval() if "BatchNorm" in case.name else built


def _built(value: LayerValue, inputs: Types) -> nn.Module:
    rule = value.entry.rule
    assert rule is not None
    to_forward = {p.name for p in rule.forward}
    args = {n: _built(v, inputs) if isinstance(v, LayerValue) else v for n, v in value.args.items()}
    args = {n: v for n, v in args.items() if n not in to_forward}
    for i, name in enumerate(rule.infers):
        shape = inputs[min(i, len(inputs) - 1)].shape
        args.setdefault(name, shape[-1] if name in FROM_LAST and shape else shape[1] if len(shape) > 1 else 4)
    built = getattr(nn, value.entry.name)(**args)
    assert isinstance(built, nn.Module)
    return built


def tensor(t: TensorType, device: str, zeros: bool = False) -> Tensor:
    """A small tensor: ones, or zeros where integers are indices."""
    fill = 0.0 if zeros and "int" in t.dtype else 1.0
    return torch.full([int(str(s)) for s in t.shape], fill, dtype=getattr(torch, t.dtype), device=device)


def _types(result: Any) -> Results:
    """The types of one result, or of several; what torch leaves out (None) is left out."""
    return (_type(result),) if isinstance(result, Tensor) else tuple(_type(r) for r in result if r is not None)


def _type(result: Any) -> TensorType | Results:
    if isinstance(result, Tensor):
        return TensorType(tuple(result.shape), str(result.dtype).removeprefix("torch."))
    return _types(result)


BROADCAST = {"CosineSimilarity", "PairwiseDistance"}


def symbolic(case: Case) -> tuple[Case, dict[str, int]]:
    """The same question with a symbol for each size of the inputs and masks, equal sizes of one axis sharing theirs.

    For functions a size of 1 stays a number: a symbol is neither stretched nor squeezed away.
    """
    keeps_ones = case.kind == "function" or case.name in BROADCAST
    env: dict[str, int] = {}

    def name(i: int, size: Dim) -> Dim:
        assert isinstance(size, int)
        if size == 1 and keeps_ones:
            return size
        env[f"s{i}_{size}"] = size
        return symbol(f"s{i}_{size}")

    def of(t: TensorType) -> TensorType:
        return t._replace(shape=tuple(name(len(t.shape) - i, s) for i, s in enumerate(t.shape)))

    args = {n: of(v) if isinstance(v, TensorType) else v for n, v in case.args.items()}
    return case._replace(inputs=tuple(map(of, case.inputs)), args=args), env


def with_parameters(case: Case) -> tuple[Case, dict[str, int]]:
    """The same question with a symbol for each whole number among the arguments, as a module's parameters give them."""
    env: dict[str, int] = {}

    def of(param: str, value: Any) -> Any:
        if isinstance(value, tuple) and not isinstance(value, TensorType):
            return tuple(of(param, v) for v in value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return value
        env[f"${param}_{value}"] = value
        return symbol(f"${param}_{value}")

    def all_of(entry: Entry, args: Any) -> dict[str, Any]:
        whole = {p.name for p in entry.params if "int" in p.type}
        found = {n: of(n, v) if n in whole else v for n, v in args.items()}
        return {n: _with(v, all_of(v.entry, v.args)) if isinstance(v, LayerValue) else v for n, v in found.items()}

    return case._replace(args=all_of(entry_of(case), case.args)), env


def _with(value: LayerValue, args: dict[str, Any]) -> LayerValue:
    return value._replace(args=args)


def substituted(results: Results, env: dict[str, int]) -> Results:
    """The results with numbers for the symbols."""
    return tuple(
        r._replace(shape=tuple(substitute(s, env) for s in r.shape)) if isinstance(r, TensorType) else
        substituted(r, env) for r in results
    )  # fmt: skip
