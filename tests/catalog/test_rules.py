"""The rules against torch: shapes on the meta device, refusals on the CPU, and the same with symbols for sizes."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from netc import catalog
from netc.catalog.entry import Entry
from netc.shapes import Reject
from tests.catalog import draws, function_draws, layer_draws
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
)

EXAMPLES = int(os.environ.get("NETC_EXAMPLES", "800"))
PLANS = layer_draws.PLANS | function_draws.PLANS
FAMILIES: dict[str, draws.Strategy] = {
    **{family: st.one_of([draws.cases(plan) for plan in plans]) for family, plans in PLANS.items()},
    "interpolation": layer_draws.upsamplings(),
}
NEEDS_SIZES = {"chunk", "split", "unbind"}  # how many results there are depends on the size

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
    torch computes for any number of axes.
    """
    unused = {"num_features", "num_channels"} & {refusal.partition(":")[0]} and not case.args.get("affine", True)
    empty = case.name.startswith("ConvTranspose") and "leaves nothing" in refusal
    empty = empty or (case.args.get("mode") == "area" and "I compute with" in refusal)
    empty = empty or (case.name.startswith("ConvTranspose") and refusal.startswith("dilation: `dilation` is 0"))
    averaged = case.name.lower().replace("_", "").startswith("adaptiveavgpool") and refusal.startswith(
        "None: I take an input of shape"
    )
    return "batch axis is missing" in refusal or bool(unused) or empty or averaged


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
        compare(case, ours, theirs)

    check()
    totals.update(tally)
    assert tally["all"] >= 0.9 * examples(family), tally
    assert 0.1 * tally["all"] <= tally["refused"] <= 0.9 * tally["all"], tally
    constant = [key for key, seen in drawn.items() if len(seen) < 2 and seen.total() > 30 and not _has_one_value(key)]
    assert not constant, constant


def _has_one_value(key: tuple[str, str]) -> bool:
    """`keepdim=True` is drawn without `dim`, which torch refuses."""
    return key in {("max", "keepdim"), ("min", "keepdim"), ("median", "keepdim")}


def compare(case: Case, ours: Answer, theirs: Answer) -> None:
    if theirs.results is None:
        assert ours.results is None, f"torch refuses {case}: {theirs.refusal}"
        return
    assert ours.results == theirs.results, f"{case}: {ours}"
    on_meta = ask_torch(case, "meta")
    assert on_meta.results in (None, ours.results), f"{case} on the meta device: {on_meta}"
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
        for name, t in module(case, "cpu").state_dict().items()
    ]
    assert ours == theirs, case


@pytest.mark.parametrize("family", FAMILIES)
def test_symbols_stand_for_numbers(family: str) -> None:
    """With a symbol for each size, the result is the same formula; only what no number would save is refused."""

    @settings(
        max_examples=max(EXAMPLES // 2, 1),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(FAMILIES[family])
    def check(case: Case) -> None:
        concrete = ask_rules(case)
        generic, env = symbolic(case)
        formula = ask_rules(generic)
        if formula.results is None:
            assert concrete.results is None or case.name in NEEDS_SIZES, f"{generic}: {formula.refusal}"
        elif concrete.results is not None:
            assert substituted(formula.results, env) == concrete.results, f"{generic}: {formula}"

    check()


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


def test_every_rule_is_refereed() -> None:
    drawn = {(plan.kind, name) for plans in PLANS.values() for plan in plans for name in plan.names}
    drawn |= {("layer", "Upsample"), ("layer", "UpsamplingNearest2d"), ("layer", "UpsamplingBilinear2d")}
    drawn.add(("function", "interpolate"))
    names = [("layer", n) for n in catalog.layers()] + [("function", n) for n in catalog.functions()]
    ruled = {key for key in names if entry_of_name(*key).rule is not None}
    assert ruled == drawn


def entry_of_name(kind: str, name: str) -> Entry:
    found = catalog.layer(name) if kind == "layer" else catalog.function(name)
    assert found is not None
    return found
