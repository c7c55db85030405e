"""Loops whose turns differ in more than their number: what the turns in the middle leave behind for the class.

Only the first and the last turn of a loop are followed in general. `emit` rehearses what it writes, so that a class of
a wrong size would end the test; the lines that are looked for are those that the turns in the middle decide.
"""

from __future__ import annotations

import pytest

from netc.compiler import analyse, emit

NAMES_OF_ITS_OWN = """
module Block(out) { input x: [N, C, H, W]; conv: Conv2d(out, 3, padding=1) -> bn: BatchNorm2d -> ReLU }
network Loops(depth = 5, width = 8, classes = 10) {
  input image: [N, 3, 32, 32]
  w = width
  for i in range(depth) {
    "down{i}": Block(w)
    w2 = w * 2
    if i > 1 { w3 = w2 + 4 } else { w3 = w2 }
    "mix{i}": Conv2d(w3, 1)
  }
  tail: Conv2d(w3, 1) -> flatten(1) -> fc: Linear(classes)
}
network Small = Loops(3, 16)
"""
APPLIED_AGAIN = """
module Block(out) { input x: [N, C, H, W]; conv: Conv2d(out, 3, padding=1) -> bn: BatchNorm2d -> ReLU }
network Again(depth = 5, width = 8, classes = 10) {
  input image: [N, 3, 32, 32]
  stem: Conv2d(width, 3, padding=1)
  for i in range(depth) { "down{i}": Block(width) }
  for i in range(depth) { "down{i}" }
  for i in range(depth) { "up{i}": Block(width * (i + 1)) }
  flatten(1) -> fc: Linear(classes)
}
network Again2 = Again(3, 16)
"""
BOUND_IN_THE_MIDDLE = """
network Late(depth = 6, width = 8) {
  input image: [N, 3, 32, 32]
  stem: Conv2d(width, 3, padding=1)
  for i in range(depth) {
    if i == 2 { y = _ -> "b{i}": Conv2d(width * 3, 1) }
    if i > 2 { _ -> "c{i}": Conv2d(width + i, 1) }
  }
  cat([_, y], 1) -> flatten(1) -> fc: Linear(10)
}
"""


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        (NAMES_OF_ITS_OWN, ["w3 = w2 + 4", "channels = w3", "self.tail = nn.Conv2d(channels, w3, 1)"]),
        (
            APPLIED_AGAIN,
            ["channels = width", 'self.add_module(f"up{i}", Block(channels, width * (i + 1)))', "in range(self.depth)"],
        ),
        (BOUND_IN_THE_MIDDLE, ["features = 3 * width", "self.fc = nn.Linear(1024 * features + 1024 * channels, 10)"]),
    ],
)
def test_turns_in_the_middle(program: str, lines: list[str]) -> None:
    checked = analyse(program)
    assert checked.program is not None, checked.diagnostics
    model = emit(checked.program).model
    for line in lines:
        assert line in model, model


def test_a_module_that_only_a_middle_turn_refuses_is_reported() -> None:
    checked = analyse("""
module Half { input x: [N, C, H, W]; conv: Conv2d(C // 2, 3, padding=1, groups=4) }
network Shrinking {
  input image: [N, 24, 8, 8]
  for i in range(3) { "half{i}": Half }
}""")
    assert checked.program is None
    (mistake,) = checked.diagnostics
    assert "groups" in mistake.message
