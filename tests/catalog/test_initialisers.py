"""What initialisers refuse, against torch."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import init

from netc import catalog
from netc.catalog.rules.initialisers import MODES, NONLINEARITIES, check
from netc.shapes import Reject, symbol

NAMES = [n for n in init.__all__ if n.endswith("_")]
numbers = st.sampled_from([-1.0, 0.0, 0.02, 0.5, 1.0, 2.0, 3.0])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from([*MODES, "fan_avg"]), "nonlinearity": st.sampled_from([*NONLINEARITIES, "gelu", "silu"]),
    "groups": st.sampled_from([0, 1, 1, 2, 3]), "sparsity": st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, -0.5]),
}  # fmt: skip
shapes = st.lists(st.integers(1, 4), max_size=6).map(tuple)


def test_every_initialiser_is_known() -> None:
    """With all its arguments; `test_signatures` holds the defaults."""
    assert catalog.initializers() == sorted(NAMES)
    entry = catalog.initializer("kaiming_normal_")
    assert entry is not None
    choices = {p.name: p.choices for p in entry.params}
    assert choices["mode"] == MODES
    assert choices["nonlinearity"] == NONLINEARITIES


def refused(name: str, args: dict[str, Any], shape: tuple[int, ...]) -> str | None:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            getattr(init, name)(torch.empty(shape), **args)
    except (ValueError, RuntimeError, ZeroDivisionError, TypeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def deliberate(args: dict[str, Any]) -> bool:
    """A negative spread or number of groups, and a fraction above 1, which torch takes for something else."""
    return args.get("std", 1) < 0 or args.get("groups", 1) < 1 or not 0 <= args.get("sparsity", 0) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_refusals_are_torchs(name: str) -> None:
    entry = catalog.initializer(name)
    assert entry is not None
    tally: Counter[bool] = Counter()
    values = {p.name: VALUES.get(p.name, numbers) for p in entry.params}

    @settings(max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(values), shapes)
    def compare(args: dict[str, Any], shape: tuple[int, ...]) -> None:
        if name == "trunc_normal_" and args["a"] == args["b"] and args["std"]:
            return  # torch draws until a number lies on the bound
        ours, theirs = check(name, args, shape), refused(name, args, shape)
        tally[theirs is not None] += 1
        if theirs is not None:
            assert isinstance(ours, Reject), f"torch refuses {name}({args}) of {shape}: {theirs}"
        elif ours is not None:
            assert deliberate(args), f"{name}({args}) of {shape}: {ours.reason}"

    compare()
    assert tally[False] > 5, tally
    assert tally[True] > 20 or name in ("constant_", "ones_", "zeros_"), tally


def test_symbols_are_not_refused() -> None:
    c, k = symbol("$C"), symbol("$k")
    kaiming = {"a": 0, "mode": "fan_out", "nonlinearity": "relu"}
    assert check("kaiming_normal_", kaiming, (c, 3, k, k)) is None
    assert check("dirac_", {"groups": k}, (c, c, 3)) is None
    assert check("dirac_", {"groups": 2}, (2 * c, c, 3)) is None
    assert check("xavier_uniform_", {"gain": 1.0}, (c, k)) is None
    refusal = check("kaiming_normal_", kaiming, (c,))
    assert refusal is not None
    assert refusal.reason == "it fills tensors of 2 axes or more, and this one has 1 axis"
