"""The rehearsal of models and Python layers notices code that edits another part, or puts another layer in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netc.rehearsal import Disagreement, rehearse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.foreign.conftest import Built

PROGRAM = """\
use "layers.py"
module Head(classes) { input x: [N, F]; hidden: Linear(16) -> ReLU; out: Linear(classes) }
network Net(classes = 7) {
  input image: [N, 3, 32, 32]
  backbone: torchvision.models.resnet18(num_classes=100) {
    replace "conv1" = Conv2d(64, 3, padding=1)
    remove "layer4.1"
    replace "fc" = Head(classes)
  }
  scale: Scale(7, start=0.5) -> halve(step=1)
}
"""
CHANGES = [
    ("self.backbone.conv1 = ", "self.backbone.conv2 = "),
    ("nn.Conv2d(3, 64, 3, padding=1)", "nn.Conv2d(3, 64, 5, padding=1)"),
    ("nn.Conv2d(3, 64, 3, padding=1)", "nn.ReLU()"),
    ("        del self.backbone.layer4[1]\n", ""),
    ("del self.backbone.layer4[1]", "del self.backbone.layer3[1]"),
    ("Head(512, classes)", "Head(512, 8)"),
    ("Head(512, classes)", "Head(511, classes)"),
    ("resnet18(num_classes=100)", "resnet18(num_classes=10)"),
    ("resnet18(", "resnet34("),
    ("Scale(7, start=0.5)", "Scale(7, start=0.25)"),
    ("self.hidden = nn.Linear(in_features, 16)", "self.hidden = nn.Linear(in_features, 17)"),
    ("step=1", "step=2"),
    ("return self.out(x)", "return x"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES, ids=[f"{a.strip()[:30]} {b.strip()[:30]}" for a, b in CHANGES])
def test_another_text_is_noticed(build: Callable[..., Built], old: str, new: str) -> None:
    built = build(PROGRAM)
    text = built.model
    rehearse(text, built.program.networks, built.program.python)
    old = old if old in text else old.replace("return self.out(x)", "return self.out(F.relu(self.hidden(x)))")
    assert text.count(old) == 1, text
    with pytest.raises(Disagreement):
        rehearse(text.replace(old, new), built.program.networks, built.program.python)
