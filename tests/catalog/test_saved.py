"""What layers, functions and losses save for a backward pass: the catalog against torch's hooks, byte for byte."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from netc import catalog
from netc.catalog import saved
from netc.catalog.saved import losses
from netc.catalog.saved.call import Call
from netc.catalog.saved.tape import Tape, Unknown
from netc.shapes import TensorType
from tests.catalog import (
    call_draws,
    draws,
    function_draws,
    layer_draws,
    ops_draws,
    sequence_draws,
    window_draws,
)
from tests.catalog.referee import Case
from tests.catalog.saving import Hooks, Refused, learning, measured, said

PLANS = layer_draws.PLANS | function_draws.PLANS
FAMILIES: dict[str, draws.Strategy] = {
    **{family: st.one_of([draws.cases(plan) for plan in plans]) for family, plans in PLANS.items()},
    "interpolation": layer_draws.upsamplings(),
    **sequence_draws.STRATEGIES,
    **window_draws.STRATEGIES,
    **{f"vision {f}": st.one_of([draws.cases(plan) for plan in plans]) for f, plans in ops_draws.PLANS.items()},
    **{f"call {f}": st.one_of([call_draws.cases(c) for c in calls]) for f, calls in call_draws.FAMILIES.items()},
}
STACKS = ("transformer", "encoders", "decoders")
SCALAR = 8  # bytes: numbers that torch keeps beside the tensors
# Where single numbers and indices are counted otherwise than torch does, which has other ways for other dtypes.
NEARLY = {"EmbeddingBag": 128, "embedding_bag": 128}


def mixed(case: Case) -> bool:
    """Inputs of several dtypes: what torch converts, and when, is not followed for these."""
    several = {"CosineSimilarity", "cosine_similarity", "complex"}
    tensors = [*case.inputs, *(v for v in case.args.values() if hasattr(v, "dtype"))]
    return case.name in several and len({(t.dtype, len(t.shape)) for t in tensors}) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_agrees_with_torch(family: str) -> None:
    tally: Counter[str] = Counter()

    @settings(
        max_examples=20 if family in STACKS else 80,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(FAMILIES[family], st.lists(st.booleans(), min_size=6, max_size=6))
    def check(case: Case, flags: list[bool]) -> None:
        grads = tuple(flags) if any(flags) else (True,) * 6
        found = None if mixed(case) else measured(case, grads)
        if found is None:
            return
        try:
            told = said(case, grads)
        except (Refused, Unknown):
            return
        assert told is not None, case
        tally["all"] += 1
        assert abs(told - found) <= NEARLY.get(case.name, SCALAR), f"{case}, {grads}: {told} instead of {found}"

    check()
    no_gradients = {"call factories", "call flags", "creations"}
    assert tally["all"] or family in no_gradients or "one_hot" in family, family


def test_every_layer_and_function_has_a_fact() -> None:
    """Losses stand in a table of their own."""
    layers = {n for n in catalog.layers() if (e := catalog.layer(n)) and e.rule and saved.of_layer(n) is None}
    functions = {
        n for n in catalog.functions() if (e := catalog.function(n)) and e.rule and saved.of_function(n) is None
    }
    assert (layers, functions) == (set(), set())


IN_PLACE = ("ReLU", "ReLU6", "Hardswish", "SiLU", "ELU", "LeakyReLU", "CELU", "SELU", "Hardsigmoid", "Mish", "Hardtanh",
            "RReLU", "Dropout", "AlphaDropout", "Dropout2d")  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str) -> None:
    """The result has the memory of the input, of which a copy is kept where the derivative needs it."""
    layer = getattr(torch.nn, name)(inplace=True)
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    with Hooks() as hooks:
        layer(x * 1.0)
    entry, fact, tape = catalog.layer(name), saved.of_layer(name), Tape()
    assert entry is not None
    assert fact is not None
    value = tape.new((2, 3, 4, 5), grad=True)
    args = {p.name: p.default for p in entry.params} | {"inplace": True}
    fact(tape, Call(args, (value,), TensorType((2, 3, 4, 5))))
    assert tape.bytes == hooks.bytes


# Functions of one tensor, on a GPU that is not there: what they keep, and how much, by the fake tensors of torch.
ON_GPUS: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "dropout": (lambda x: F.dropout(x, 0.1), (4, 5), {"p": 0.1}),
    "dropout2d": (lambda x: F.dropout2d(x, 0.1), (4, 5, 2, 2), {"p": 0.1}),
    "alpha_dropout": (lambda x: F.alpha_dropout(x, 0.1, True), (4, 5), {"p": 0.1}),
    "logsigmoid": (F.logsigmoid, (4, 5), {}),
    "rms_norm": (lambda x: F.rms_norm(x, (5,)), (4, 5), {"normalized_shape": (5,)}),
    "layer_norm": (lambda x: F.layer_norm(x, (5,)), (4, 5), {"normalized_shape": (5,)}),
    "rrelu": (lambda x: F.rrelu(x, training=True), (4, 5), {"training": True}),
    "relu": (F.relu, (4, 5), {}),
    "softmax": (lambda x: F.softmax(x, 1), (4, 5), {"dim": 1}),
}


@pytest.mark.parametrize("name", ON_GPUS)
def test_on_gpus(name: str) -> None:
    function, shape, given_ = ON_GPUS[name]
    sizes: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        sizes[t.untyped_storage()._cdata] = t.untyped_storage().nbytes()
        return t

    with FakeTensorMode():
        x = torch.empty(shape, device="cuda").requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            function(x)
    entry, fact, tape = catalog.function(name), saved.of_function(name), Tape(cuda=True)
    assert entry is not None
    assert fact is not None
    args = {p.name: p.default for p in entry.params} | {"training": True} | given_
    fact(tape, Call(args, (tape.new(shape, grad=True),), TensorType(shape)))
    assert tape.bytes == sum(sizes.values())


X = (6, 5)
PAIR = (("", X), ("", X))
LOSSES: list[tuple[str, tuple[tuple[str, tuple[int, ...]], ...], dict[str, Any]]] = [
    *((name, (("x", X), ("int64", (6,))), {}) for name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")),
    *((name, (("x", X), ("", X)), {}) for name in (
        "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "SoftMarginLoss",
        "PoissonNLLLoss", "MultiLabelSoftMarginLoss", "HingeEmbeddingLoss",
    )),
    ("MultiLabelMarginLoss", (("x", X), ("int64", X)), {}),
    ("CosineEmbeddingLoss", (("x", X), ("x", X), ("", (6,))), {}),
    ("MarginRankingLoss", (("x", (6,)), ("x", (6,)), ("", (6,))), {}),
    *((name, (("x", X), ("x", X), ("x", X)), args) for name, args in (
        ("TripletMarginLoss", {}), ("TripletMarginLoss", {"swap": True}), ("TripletMarginWithDistanceLoss", {}),
        ("GaussianNLLLoss", {}),
    )),
    ("GaussianNLLLoss", (("x", X), *PAIR), {}),
    ("CrossEntropyLoss", (("x", (6, 5, 4, 3)), ("int64", (6, 4, 3))), {}),
    ("CrossEntropyLoss", (("x", (6, 5, 7)), ("int64", (6, 7))), {}),
    ("CrossEntropyLoss", (("x", X), ("int64", (6,))), {"label_smoothing": 0.1}),
    ("CrossEntropyLoss", (("x", X), ("int64", (6,))), {"weight": (1.0,) * 5}),
    ("CrossEntropyLoss", (("x", X), ("", X)), {}),
    ("CrossEntropyLoss", (("x", X), ("", X)), {"label_smoothing": 0.1}),
    ("CrossEntropyLoss", (("x", X), ("int64", (6,))), {"reduction": "sum"}),
    ("KLDivLoss", (("x", X), ("", X)), {"log_target": True}),
    ("BCEWithLogitsLoss", (("x", X), ("", X)), {"pos_weight": (1.0,) * 5}),
    ("MSELoss", (("x", X), ("", X)), {"reduction": "none"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given_", "args"), LOSSES)
def test_losses(name: str, given_: tuple[tuple[str, tuple[int, ...]], ...], args: dict[str, Any]) -> None:
    tensors = [
        torch.ones(shape, dtype=torch.int64) if kind == "int64" else learning(torch.rand(shape), kind == "x")
        for kind, shape in given_
    ]
    taken = {n: torch.tensor(v) if isinstance(v, tuple) else v for n, v in args.items()}
    with warnings.catch_warnings(), Hooks() as hooks:
        warnings.simplefilter("ignore")
        getattr(torch.nn, name)(**taken)(*tensors)
    entry, tape = catalog.loss(name), Tape()
    assert entry is not None
    bound = {p.name: p.default for p in entry.params} | args
    values = tuple(tape.new(s, "int64" if k == "int64" else "float32", k == "x") for k, s in given_)
    losses.play(tape, name, bound, values)
    assert abs(tape.bytes - hooks.bytes) <= 24  # numbers of the whole batch


def test_losses_without_a_fact_are_named() -> None:
    assert {name for name, _, _ in LOSSES} == set(losses.LOSSES)
    assert set(catalog.losses()) - set(losses.LOSSES) <= {
        "CTCLoss",
        "AdaptiveLogSoftmaxWithLoss",
        "LinearCrossEntropyLoss",
    }
    with pytest.raises(Unknown, match="CTCLoss"):
        losses.play(Tape(), "CTCLoss", {}, ())
