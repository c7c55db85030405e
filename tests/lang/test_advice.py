"""What is said of norms and losses holds in torch: a bias that is taken away, batches that can't be trained on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netc.api import execute
from netc.checker.graph import CENTRED
from netc.compiler import analyse, emit
from netc.diagnostics import Diagnostic


def net(body: str, shape: str = "[N, 3, 8, 8]", rest: str = "") -> str:
    return f"network Net {{\n  input image: {shape}\n{body}\n}}\n{rest}"


def said(program: str) -> tuple[Diagnostic, ...]:
    return analyse(program, "net.net", "net").diagnostics


def built(program: str) -> nn.Module:
    checked = analyse(program, "net.net", "net")
    assert checked.program is not None
    module: nn.Module = execute(emit(checked.program).model, "net").Net()
    return module


def mended(program: str, found: Diagnostic) -> str:
    assert found.fix is not None
    for edit in sorted(found.fix.edits, reverse=True):
        program = program[: edit.span.start] + edit.text + program[edit.span.end :]
    return program


@pytest.mark.parametrize("norm", sorted(CENTRED - {"SyncBatchNorm"}))
def test_a_norm_takes_the_bias_of_the_layer_before_it_away(norm: str) -> None:
    n = int(norm[-2])
    program = net(f"  conv: Conv{n}d(4, 3) -> bn: {norm}", f"[N, 3{', 8' * n}]")
    (found,) = said(program)
    assert found.code == "W0805"
    without = mended(program, found)
    assert said(without) == ()
    a, b = built(program).double(), built(without).double()
    state = {name: value for name, value in a.state_dict().items() if name != "conv.bias"}
    b.load_state_dict(state)
    x = torch.randn(2, 3, *[8] * n, dtype=torch.float64)
    assert float(a.get_parameter("conv.bias").detach().abs().max()) > 0
    assert torch.allclose(a(x), b(x), atol=1e-12)


def test_a_layer_norm_does_not() -> None:
    program = net("  fc: Linear(4) -> norm: LayerNorm", "[N, 3]")
    assert said(program) == ()
    module = built(program)
    x = torch.randn(2, 3)
    before = module(x)
    nn.init.constant_(module.get_parameter("fc.bias")[:2], 3.0)
    assert not torch.allclose(before, module(x))


SECTIONS = """
data {
  train      = Digits()
  validation = 143
  transform  = ToTensor
  batch_size = SIZE
}

train {
  loss      = CrossEntropyLoss
  optimizer = Adam(lr=1e-3)
  epochs    = 5
}
"""


@pytest.mark.parametrize(("size", "fails"), [(1, True), (2, False), (1293, True), (1294, False)])
def test_batch_norm_needs_more_than_one_value_of_each_channel(size: int, fails: bool) -> None:
    body = "  Flatten -> fc1: Linear(4, bias=False) -> bn: BatchNorm1d -> ReLU\n  fc2: Linear(10)"
    program = net(body, "[N, 1, 8, 8]", SECTIONS.replace("SIZE", str(size)))
    found = [d.code for d in said(program)]
    assert found == (["E0609"] if fails else [])
    last = (1437 - 143) % size or size
    module = built(net(body, "[N, 1, 8, 8]"))
    if last == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            module(torch.randn(last, 1, 8, 8))
    else:
        module(torch.randn(last, 1, 8, 8))
    assert (last == 1) is fails


@pytest.mark.parametrize("end", [" -> Softmax(1)", " -> LogSoftmax(1)", "\n    -> prob: Sigmoid"])
def test_the_fix_takes_the_activation_out_of_its_chain(end: str) -> None:
    rest = SECTIONS.replace("SIZE", "64")
    program = net(f"  Flatten -> fc: Linear(10){end}", "[N, 1, 8, 8]", rest)
    (found,) = said(program)
    assert mended(program, found) == net("  Flatten -> fc: Linear(10)", "[N, 1, 8, 8]", rest)
