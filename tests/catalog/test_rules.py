"""The rules against torch: shapes on the meta device, refusals on the CPU, and the same with symbols for sizes."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from netc import catalog
from netc.catalog.entry import SEVERAL
from netc.shapes import Reject, substitute
from tests.catalog import draws, function_draws, layer_draws, sequence_draws, window_draws
from tests.catalog.referee import (
    Answer,
    Case,
    ask_rules,
    ask_torch,
    completed,
    entry_of,
    module,
    substituted,
    symbolic,
    with_parameters,
)

EXAMPLES = int(os.environ.get("NETC_EXAMPLES", "800"))
PLANS = layer_draws.PLANS | function_draws.PLANS
FAMILIES: dict[str, draws.Strategy] = {
    **{family: st.one_of([draws.cases(plan) for plan in plans]) for family, plans in PLANS.items()},
    "interpolation": layer_draws.upsamplings(),
    **sequence_draws.STRATEGIES,
    **window_draws.STRATEGIES,
}
AXES = ("dim", "start_dim", "end_dim")  # which axis a symbol means isn't known
STACKS = ("transformer", "encoders", "decoders")  # on the meta device each takes longer than all else together
NEEDS_SIZES = {"chunk", "split", "unbind"}  # how many results there are depends on the size, or is taken as asked for

Totals = Counter[str]


def examples(family: str) -> int:
    """More of them for a family of many names, each of which has arguments to vary."""
    arguments = sum(len(plan.names) * (1 + len(plan.args(2))) for plan in PLANS.get(family, []))
    return max(EXAMPLES, EXAMPLES * arguments // 40)


@pytest.fixture(scope="module")
def totals() -> Totals:
    return Counter()


def deliberate(case: Case, refusal: str) -> bool:
    """Where netc refuses more than torch on purpose.

    A single sample without a batch axis; a size argument that torch does not use; an empty result, or a dilation of 0,
    that only some of torch's backends accept; an empty result of any dtype; an adaptive average to one element, which
    torch computes for any number of axes; a mask that doesn't fit, where torch believes the hint and looks no further;
    indices of a bag that torch widens because its offsets are wider, or the other way round.
    """
    unused = {"num_features", "num_channels"} & {refusal.partition(":")[0]} and not case.args.get("affine", True)
    empty = case.name.startswith("ConvTranspose") and "leaves nothing" in refusal
    empty = empty or "nothing is left" in refusal
    empty = empty or (case.args.get("mode") == "area" and "I compute with" in refusal)
    empty = empty or (case.name.startswith("ConvTranspose") and refusal.startswith("dilation: `dilation` is 0"))
    averaged = case.name.lower().replace("_", "").startswith("adaptiveavgpool") and refusal.startswith(
        "None: I take an input of shape"
    )
    hinted = any(case.args.get(hint) for hint in HINTS.get(refusal.partition(":")[0], ()))
    widened = case.name == "EmbeddingBag" and "I compute with int64" in refusal
    return "batch axis is missing" in refusal or bool(unused) or empty or averaged or hinted or widened


HINTS = {
    "attn_mask": ("is_causal",), "mask": ("is_causal",), "src_mask": ("is_causal", "src_is_causal"),
    "tgt_mask": ("tgt_is_causal",), "memory_mask": ("memory_is_causal",),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_agrees_with_torch(family: str, totals: Totals) -> None:
    tally: Totals = Counter()
    drawn: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    @settings(
        max_examples=examples(family),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(FAMILIES[family])
    def check(case: Case) -> None:
        ours, theirs = ask_rules(case), ask_torch(case, "cpu")
        for name, value in case.args.items():
            drawn[case.name, name][repr(value)] += 1
        if theirs.results is not None and ours.results is None and deliberate(case, ours.refusal):
            tally["deliberate"] += 1
            return
        tally["all"] += 1
        tally["refused"] += theirs.results is None
        compare(case, ours, theirs, on_meta=family not in STACKS or tally["all"] % 4 == 0)
        if tally["all"] % 2 or family in function_draws.PLANS:
            compare_symbols(case, ours)
        else:
            compare_parameters(case, ours)

    check()
    totals.update(tally)
    assert tally["all"] >= 0.9 * examples(family), tally
    assert 0.1 * tally["all"] <= tally["refused"] <= 0.9 * tally["all"], tally
    constant = [key for key, seen in drawn.items() if len(seen) < 2 and seen.total() > 30 and not _has_one_value(key)]
    assert not constant, constant


def _has_one_value(key: tuple[str, str]) -> bool:
    """`keepdim=True` is drawn without `dim`, which torch refuses."""
    return key in {("max", "keepdim"), ("min", "keepdim"), ("median", "keepdim")}


def compare(case: Case, ours: Answer, theirs: Answer, on_meta: bool) -> None:
    if theirs.results is None:
        assert ours.results is None, f"torch refuses {case}: {theirs.refusal}"
        return
    assert ours.results == theirs.results, f"{case}: {ours}"
    without_data = ask_torch(case, "meta") if on_meta else ours
    assert without_data.results in (None, ours.results), f"{case} on the meta device: {without_data}"
    if case.kind == "layer":
        compare_state(case)


def compare_state(case: Case) -> None:
    args, rule = completed(case), entry_of(case).rule
    assert rule is not None
    assert not isinstance(args, Reject)
    ours: list[Any] = [(name, shape, "float32") for name, shape in (rule.state(args) if rule.state else {}).items()]
    ours += [(name, *what) for name, what in (rule.buffers(args) if rule.buffers else {}).items()]
    theirs = [
        (name, tuple(t.shape), str(t.dtype).removeprefix("torch."))
        for name, t in module(case, "meta").state_dict().items()
    ]
    assert ours == theirs, case


def compare_symbols(case: Case, concrete: Answer) -> None:
    """With a symbol for each size, the result is the same formula; only what no number would save is refused."""
    generic, env = symbolic(case)
    formula = ask_rules(generic)
    if formula.results is None:
        assert concrete.results is None or case.name in NEEDS_SIZES, f"{generic}: {formula.refusal}"
    elif concrete.results is not None:
        counts = len(formula.results), len(concrete.results)
        as_asked = case.name in NEEDS_SIZES and counts[0] != counts[1]
        assert as_asked or substituted(formula.results, env) == concrete.results, f"{generic}: {formula}"


def compare_parameters(case: Case, concrete: Answer) -> None:
    """With a symbol for each whole number among the arguments of a layer, as a module's parameters give them."""
    generic, env = with_parameters(case)
    formula = ask_rules(generic)
    if formula.results is None:
        assert concrete.results is None or formula.refusal.startswith(AXES), f"{generic}: {formula.refusal}"
    elif concrete.results is not None:
        assert substituted(formula.results, env) == concrete.results, f"{generic}: {formula}"
        assert _undecided(case) or states_agree(case, generic, env), generic


def _undecided(case: Case) -> bool:
    """Whether one matrix or three project query, key and value depends on what a symbol stands for."""
    return any(case.args.get(name) is not None for name in ("kdim", "vdim"))


def states_agree(case: Case, generic: Case, env: dict[str, int]) -> bool:
    """Whether the state is the same formula; with a symbol for the number of layers, that of the first one."""
    rule, args, symbols = entry_of(case).rule, completed(case), completed(generic)
    assert rule is not None
    assert not isinstance(args, Reject)
    assert not isinstance(symbols, Reject)
    numbers = dict(rule.state(args)) if rule.state else {}
    formulas = dict(rule.state(symbols)) if rule.state else {}
    same_names = set(formulas) == set(numbers) or set(formulas) == {n for n in numbers if _of_first_layer(n)}
    shapes = {name: tuple(substitute(s, env) for s in shape) for name, shape in formulas.items()}
    return same_names and all(numbers[name] == shape for name, shape in shapes.items())


def _of_first_layer(name: str) -> bool:
    return re.search(r"_l[1-9]|layers\.[1-9]", name) is None


def test_a_third_of_the_cases_are_refused(totals: Totals) -> None:
    """Counted over the families that ran before in this process."""
    if not totals:
        pytest.skip("the comparisons ran in another process")
    print(f"\n{dict(totals)}")
    assert totals["refused"] >= totals["all"] / 3, totals
    assert totals["deliberate"] <= totals["all"] / 50, totals


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_layer_is_refereed() -> None:
    """Those of torchvision.ops and the other functions are asked about in tests of their own."""
    drawn = {name for plans in PLANS.values() for plan in plans for name in plan.names if plan.kind == "layer"}
    drawn |= {"Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", *sequence_draws.NAMES}
    drawn |= {name for kind, name in window_draws.NAMES if kind == "layer"}
    entries = {name: e for name in catalog.layers() if (e := catalog.layer(name)) and e.home != "torchvision.ops"}
    assert {name for name, e in entries.items() if e.rule is not None} == drawn


def test_the_layers_of_several_inputs_are_those_whose_forward_takes_several_tensors() -> None:
    found = set()
    for name in catalog.layers():
        entry = catalog.layer(name)
        assert entry is not None
        if entry.rule is None:
            continue
        of_calls = {p.name for p in entry.rule.forward}
        home = torchvision.ops if entry.home.startswith("torchvision") else torch.nn
        parameters = list(inspect.signature(getattr(home, name).forward).parameters.values())[1:]
        tensors = [p for p in parameters if p.annotation is p.empty or "Tensor" in str(p.annotation)]
        if sum(p.name not in of_calls for p in tensors) > 1:
            found.add(name)
    assert found == SEVERAL
