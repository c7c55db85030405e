"""Functions of numbers and tensors against torch: shapes, dtypes, refusals; symbols for sizes and for arguments."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from netc import catalog
from netc.catalog.entry import Entry
from netc.catalog.rules.contraction import parsed
from netc.shapes import Dim, Reject, Size, TensorType, evaluate, symbol
from tests.catalog import call_draws, draws, function_draws, window_draws
from tests.catalog.referee import DTYPES, Case, ask_rules, substituted, with_parameters

CALLS = {family: st.one_of([call_draws.cases(call) for call in calls]) for family, calls in call_draws.FAMILIES.items()}
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def examples(family: str) -> int:
    return 120 * len(call_draws.FAMILIES[family])


def entry_of(case: Case) -> Entry:
    found = catalog.function(case.name)
    assert found is not None
    assert found.rule is not None
    assert case.args.keys() <= {p.name for p in found.params}, case
    return found


def tensors(value: Any) -> list[TensorType]:
    if isinstance(value, TensorType):
        return [value]
    return [x for item in value for x in tensors(item)] if isinstance(value, tuple) else []


def ours(case: Case) -> tuple[TensorType, ...] | Reject:
    """What the rule says, the tensors in the order of the signature."""
    entry = entry_of(case)
    args = {p.name: case.args.get(p.name, p.default) for p in entry.params}
    inputs = tuple(x for p in entry.params for x in tensors(case.args.get(p.name)))
    assert entry.rule is not None
    result = entry.rule.shape(args, inputs)
    if isinstance(result, Reject):
        assert result.reason
        assert not result.reason.endswith(".")
        assert all(isinstance(part, str) for part in result[1:]), result
        return result
    return (result,) if isinstance(result, TensorType) else result  # type: ignore[return-value]


def theirs(case: Case) -> tuple[TensorType, ...] | str:
    """What torch gives on the CPU, or the text of its refusal."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            result = called(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return tuple(map(type_of, [result] if isinstance(result, torch.Tensor) else result))


def called(case: Case) -> Any:
    """The call as generated code writes it: positions as far as they go, keywords behind."""
    entry = entry_of(case)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for p in entry.params:
        if p.name not in case.args:
            positional, gap = positional, True
        else:
            gap = p.keyword_only or len(positional) < entry.params.index(p)
            value = made(case.args[p.name])
            if p.type == "*tensors":
                positional += value
            elif gap:
                named[p.name] = value
            else:
                positional.append(value)
    return callee(entry)(*positional, **named)


def callee(entry: Entry) -> Any:
    name = entry.rule.function.callee if entry.rule and entry.rule.function else f"{entry.home}.{entry.name}"
    path = f"torch.Tensor{name}" if name.startswith(".") else name
    return eval(path, {"torch": torch, "F": torch.nn.functional})


def made(value: Any) -> Any:
    if isinstance(value, TensorType):
        fill = 0 if "int" in value.dtype else 1
        return torch.full([int(str(s)) for s in value.shape], fill, dtype=getattr(torch, value.dtype))
    if isinstance(value, str) and value in (*DTYPES, *call_draws.COMPLEX):
        return getattr(torch, value)
    return [made(v) for v in value] if isinstance(value, tuple) else value


def type_of(x: torch.Tensor) -> TensorType:
    return TensorType(tuple(x.shape), str(x.dtype).removeprefix("torch."))


# Where netc refuses more than torch on purpose: a function, and what its refusal says.
DELIBERATE: list[tuple[str, str]] = [
    ("randn?$|linspace", "can't be"),  # where the result is empty, torch doesn't look
    ("embedding_bag", "`weight` has|I compute with"),
    ("fractional", "batch axis is missing|between 0 and 1|numbers for"),
    ("arange", "no whole numbers"),  # torch computes a length for some dtypes, and cuts off the step for others
    ("scaled_dot_product_attention", "is a probability"),
    ("scaled_dot_product_attention", "has a length of|can't share|must stretch"),  # torch's fused kernels don't look
    ("einsum", "share a dtype|I compute with"),  # where nothing is summed, torch promotes
    ("pdist|view_as_complex", "I compute with"),  # no rows to compare; complex numbers of half precision
    ("conv", "batch axis is missing|`dilation` is 0|leaves nothing"),
    ("batch_norm|instance_norm", "has the shape"),
    ("rms_norm|lerp", "the input is"),  # mixed dtypes
    ("repeat_interleave", "no axis"),
    ("masked_fill", "can't hold the value"),  # torch lets -1 become 255
    ("cl[ai][mp]", "both numbers or both tensors"),
]


def deliberate(case: Case, refusal: str) -> bool:
    return any(re.match(name, case.name) and re.search(words, refusal) for name, words in DELIBERATE)


@pytest.mark.parametrize("family", CALLS)
def test_agrees_with_torch(family: str) -> None:
    tally: Counter[str] = Counter()

    @settings(SETTINGS, max_examples=examples(family))
    @given(CALLS[family])
    def check(case: Case) -> None:
        mine, expected = ours(case), theirs(case)
        tally["refused" if isinstance(expected, str) else "taken"] += 1
        if isinstance(expected, str):
            assert isinstance(mine, Reject), f"torch refuses {shown(case)}: {expected}"
        elif isinstance(mine, Reject):
            assert deliberate(case, mine.reason), f"{shown(case)}: {mine}; torch gives {expected}"
            tally["deliberate"] += 1
        else:
            assert mine == expected, f"{shown(case)}"

    check()
    total = tally["refused"] + tally["taken"]
    assert tally["refused"] > total / 20, tally
    assert tally["taken"] > total / 4, tally
    assert tally["deliberate"] < total / 12, tally


def shown(case: Case) -> str:
    return f"{case.name}({', '.join(f'{n}={v}' for n, v in case.args.items())})"


@pytest.mark.parametrize("of_parameters", [False, True])
@pytest.mark.parametrize("family", CALLS)
def test_symbols_stand_for_numbers(family: str, of_parameters: bool) -> None:
    """Symbols for the sizes of the inputs, or for whole numbers among the arguments too, give the same formula."""

    @settings(SETTINGS, max_examples=examples(family))
    @given(CALLS[family])
    def check(case: Case) -> None:
        concrete = ours(case)
        env: dict[str, int] = {}
        generic = case._replace(args={n: general(v, n, env, of_parameters) for n, v in case.args.items()})
        formula = ours(generic)
        if isinstance(formula, Reject):
            assert isinstance(concrete, Reject) or "known" in formula.reason, f"{shown(generic)}: {formula.reason}"
        elif not isinstance(concrete, Reject):
            # a diagonal beyond the corner is empty
            numbers = tuple(r._replace(shape=tuple(max(0, evaluate(s, env)) for s in r.shape)) for r in formula)
            assert numbers == concrete, f"{shown(generic)}: {formula}"

    check()


@pytest.mark.parametrize("family", function_draws.PLANS)
def test_parameters_stand_for_numbers(family: str) -> None:
    """The functions that are refereed with the layers: symbols for the numbers among the arguments and for sizes."""

    @settings(SETTINGS, max_examples=60 * len(function_draws.PLANS[family]))
    @given(st.one_of([draws.cases(plan) for plan in function_draws.PLANS[family]]), st.booleans())
    def check(case: Case, sizes_too: bool) -> None:
        concrete = ask_rules(case)
        generic, env = with_parameters(case)
        if sizes_too:
            generic = generic._replace(inputs=tuple(general(x, "", env, True) for x in generic.inputs))
        formula = ask_rules(generic)
        if formula.results is None:
            assert concrete.results is None or "known" in formula.refusal, f"{generic}: {formula.refusal}"
        elif concrete.results is not None:
            assert substituted(formula.results, env) == concrete.results, f"{generic}: {formula}"

    check()


def general(value: Any, name: str, env: dict[str, int], of_parameters: bool) -> Any:
    """Symbols for sizes, but for 0 and 1, and for whole numbers that are arguments where parameters give them."""
    if isinstance(value, TensorType):
        return value._replace(shape=tuple(named(s, "s", env, of_parameters) for s in value.shape))
    if isinstance(value, tuple):
        return tuple(general(v, name, env, of_parameters) for v in value)
    whole = isinstance(value, int) and not isinstance(value, bool) and name not in FACTORS
    return named(value, "k", env, True) if whole and of_parameters else value


FACTORS = {"p", "alpha", "beta", "src", "weight", "scale", "min", "max", "input", "other"}


def named(size: Dim, letter: str, env: dict[str, int], of_parameters: bool) -> Dim:
    assert not isinstance(size, Size)
    if size < 2:
        return size
    text = f"{'$' if of_parameters else ''}{letter}{size}"
    env[text] = size
    return symbol(text)


def test_every_function_is_followed() -> None:
    """But for losses, which belong to the section `train`."""
    without = {n for n in catalog.functions() if (e := catalog.function(n)) and e.rule is None}
    losses = {n for n in without if n.endswith(("loss", "_loss_with_distance")) or "cross_entropy" in n}
    assert without - losses == {"kl_div"}


def test_equations() -> None:
    for text, result in (("ij,jk", "ik"), ("ba", "ab"), ("ii", ""), ("aB,B", "a"), ("i,i->i", "i")):
        equation = parsed(text)
        assert not isinstance(equation, Reject)
        assert "".join(equation.result) == result, text


def test_costs() -> None:
    n, length = symbol("N"), symbol("T")

    def macs(name: str, result: TensorType, **args: Any) -> Dim:
        entry = catalog.function(name)
        assert entry is not None
        assert entry.rule is not None
        assert entry.rule.macs is not None
        bound = {p.name: args.get(p.name, p.default) for p in entry.params}
        inputs = tuple(x for p in entry.params for x in tensors(args.get(p.name)))
        return entry.rule.macs(bound, inputs, result)

    q = TensorType((n, 8, length, 64))
    assert macs("scaled_dot_product_attention", q, query=q, key=q, value=q) == 8 * n * length * length * 128
    image, weight = TensorType((n, 3, 8, 8)), TensorType((16, 3, 3, 3))
    assert macs("conv2d", TensorType((n, 16, 6, 6)), input=image, weight=weight) == 16 * 36 * 27 * n
    scores = TensorType((n, 8, length, length))
    operands = (scores, q)
    assert macs("einsum", q, equation="bhij,bhjd->bhid", operands=operands) == 512 * n * length * length
    pair = (TensorType((2, 3)), TensorType((3, 4)), TensorType((4, 5)))
    assert macs("einsum", TensorType((2, 5)), equation="ij,jk,kl->il", operands=pair) == 24 + 40


def test_every_function_is_refereed() -> None:
    """Here, with the layers that they are the functions of, or with those of one tensor."""
    drawn = {n for plans in function_draws.PLANS.values() for plan in plans for n in plan.names}
    drawn |= {*call_draws.NAMES, "interpolate", *(n for kind, n in window_draws.NAMES if kind == "function")}
    ruled = {n for n in catalog.functions() if (e := catalog.function(n)) and e.rule is not None}
    assert ruled - drawn == set()
