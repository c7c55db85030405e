"""What a network of many layers costs the compiler: for each layer the same, however many there are.

Times vary with the machine; the calls of Python functions, which are counted here, don't. `benchmarks/checking.py`
measures the times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from netc.compiler import analyse, emit


def in_a_loop(layers: int) -> str:
    return f"""
        network Deep(depth = {layers}) {{
          input x: [N, 3, 32, 32]
          stem: Conv2d(16, 3, padding=1)
          body: seq {{ for i in range(depth) {{ Conv2d(16, 3, padding=1) }} }}
        }}"""


def modules_in_a_loop(layers: int) -> str:
    return f"""
        module Block(growth) {{ a = _ -> conv: Conv2d(growth, 3, padding=1) -> ReLU; cat([_, a], 1) }}
        network Dense(depth = {layers}) {{
          input x: [N, 3, 8, 8]
          for i in range(depth) {{ "block{{i}}": Block(4) }}
          AdaptiveAvgPool2d(1) -> flatten(1) -> fc: Linear(10)
        }}"""


def on_lines(layers: int) -> str:
    body = "\n".join(f"conv{i}: Conv2d({16 + 8 * (i % 2)}, 3, padding=1) -> ReLU" for i in range(layers))
    return f"network Long {{\n input x: [N, 3, 32, 32]\n {body}\n }}"


def calls_of(work: Callable[[], object]) -> int:
    """The calls of Python functions that some work takes."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    outer = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(outer)
    return count


def calls(text: str) -> int:
    """The calls from the text to the text of model.py."""

    def work() -> None:
        checked = analyse(text)
        assert checked.program is not None, checked.diagnostics
        emit(checked.program)

    return calls_of(work)


@pytest.mark.parametrize("program", [in_a_loop, modules_in_a_loop, on_lines])
def test_each_further_layer_costs_the_same(program: Callable[[int], str]) -> None:
    calls(program(2))  # what is read once
    few, more, many = (calls(program(layers)) for layers in (50, 100, 400))
    assert (many - more) / 300 <= 1.05 * (more - few) / 50


def test_a_layer_of_a_loop_costs_less_than_a_line() -> None:
    """Turns in the middle of a loop are followed for their numbers alone, and a call that comes again is remembered."""
    calls(in_a_loop(2)), calls(on_lines(2))
    assert calls(in_a_loop(400)) < 0.25 * calls(on_lines(400))
