"""Expressions that are found from a few runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netc.foreign import Raised, fit, raised
from netc.foreign.fit import Fitted, fitted
from netc.shapes import Size, TensorType, evaluate, symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

H, W = symbol("H"), symbol("W")
FORMS: dict[str, Callable[[int, int], int]] = {
    "a constant": lambda h, w: 7,
    "passed on": lambda h, w: h,
    "grown": lambda h, w: 3 * w - 2,
    "halved": lambda h, w: h // 2,
    "a convolution": lambda h, w: (h + 2 - 3) // 2 + 1,
    "a wide stride": lambda h, w: (h - 7) // 4 + 1,
    "a sum": lambda h, w: h + 2 * w + 1,
    "tokens": lambda h, w: (h // 16) * (w // 16),
    "tokens and one more": lambda h, w: (h // 8) * (w // 8) + 1,
    "windows": lambda h, w: (h - 1) * (w - 2),
    "windows and one more": lambda h, w: ((h - 3) // 2 + 1) * (w - 2) + 1,
    "an area": lambda h, w: 3 * h * w,
    "a multiple": lambda h, w: (h + 31) // 32 * 32,
}


def run_of(form: Callable[[int, int], int]) -> Callable[[Mapping[str, int]], TensorType]:
    return lambda p: TensorType((p["N"], form(p["H"], p["W"])))


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_found(name: str) -> None:
    found = fitted(run_of(FORMS[name]), ("N", "H", "W"), ("N",), {}, lambda _: symbol("unknown"))
    assert isinstance(found, Fitted)
    batch, size = found.types.shape
    assert batch == symbol("N")
    assert not isinstance(size, Size) or "unknown" not in size.symbols
    for h, w in ((16, 16), (33, 100), (224, 192), (65, 47)):
        if h % 16 and name.startswith("tokens"):
            continue
        assert evaluate(size, {"H": h, "W": w}) == FORMS[name](h, w)


@pytest.mark.parametrize("form", [lambda h, w: h * h, lambda h, w: h % 7, lambda h, w: max(h, w), lambda h, w: h ^ w])
def test_what_has_no_form_is_unknown(form: Callable[[int, int], int]) -> None:
    found = fitted(run_of(form), ("N", "H", "W"), ("N",), {}, lambda _: symbol("unknown"))
    assert isinstance(found, Fitted)
    assert found.types.shape[1] == symbol("unknown")


def test_a_layer_that_needs_a_multiple() -> None:
    def run(point: Mapping[str, int]) -> TensorType | Raised:
        return TensorType((point["H"] // 32,)) if point["H"] % 32 == 0 else raised("E0707", "no multiple of 32")

    found = fitted(run, ("H",), (), {}, lambda _: symbol("unknown"))
    assert isinstance(found, Fitted)
    assert evaluate(found.types.shape[0], {"H": 640}) == 20


def test_a_layer_that_takes_one_size() -> None:
    def run(point: Mapping[str, int]) -> TensorType | Raised:
        return TensorType((5,)) if point["H"] == 224 else raised("E0707", "it is for 224")

    found = fitted(run, ("H",), (), {}, lambda _: symbol("unknown"))
    assert isinstance(found, Fitted)
    assert found.fixed == ("H",)
    assert found.point == {"H": 224}


def test_a_layer_that_runs_with_nothing() -> None:
    found = fitted(lambda p: raised("E0707", f"no {p['H']}"), ("H",), (), {}, lambda _: 0)
    assert isinstance(found, Raised)
    assert found.reason == "no 64"  # of the first try


def test_numbers_that_are_known_are_where_it_begins() -> None:
    seen = []

    def run(point: Mapping[str, int]) -> TensorType:
        seen.append(point["H"])
        return TensorType((point["H"],))

    fitted(run, ("H",), (), {"H": 13}, lambda _: 0)
    assert seen[0] == 13


def test_symbols_are_met_in_their_order() -> None:
    assert fit.symbols_of([W * 2, (H, {"a": symbol("C")})]) == ["W", "H", "C"]
    assert fit.with_numbers([W * 2, (H, 1)], {"W": 3, "H": 4}) == [6, (4, 1)]
