"""A loss that stops being finite is told of the layer, or the line, at which that began."""

from __future__ import annotations

from pathlib import Path

import pytest

from netc.cli import run
from tests.data.tables import program

PROGRAM = """network Net(classes = 10) {{
  input image: [N, 1, 8, 8]
  conv: Conv2d(4, 3) -> ReLU
  Flatten
  {middle}
  fc: Linear(classes)
}}
data {{
  train = {data}
  transform = {transform}
  batch_size = 64
}}
train {{
  loss = {loss}
  optimizer = SGD(lr={lr})
  epochs = 3
  {options}
}}
"""


def said(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], **changes: str) -> list[str]:
    """The error, its place and the line that it marks."""
    parts = {"middle": "", "data": "Digits()", "transform": "ToTensor", "loss": "CrossEntropyLoss", "lr": "0.01",
             "options": ""} | changes  # fmt: skip
    monkeypatch.chdir(folder)
    Path("net.net").write_text(PROGRAM.format(**parts))
    assert run(["train", "net.net", "--device", "cpu"]) == 1
    output = capfd.readouterr().err
    at = output.index("error[")
    lines = output[at:].splitlines()
    marked = next(i for i, line in enumerate(lines) if "^" in line)
    code = lines[marked - 1].partition("|")[2]
    marks = lines[marked].partition("|")[2]
    begin = marks.index("^")
    return [lines[0], code[begin : marks.rindex("^") + 1].strip(), marks.strip(" ^")]


def test_steps_that_are_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    error, place, note = said(tmp_path, monkeypatch, capfd, lr="1e30")
    assert (
        error
        == "error[E0660]: the loss is nan in epoch 1: `fc` (Linear) is the first to give numbers that are not finite"
    )
    assert place == "Linear(classes)"
    assert note == "in batch 2 after the last checkpoint"


def test_a_function_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    error, place, _ = said(tmp_path, monkeypatch, capfd, middle="sub(0.01) -> sqrt")
    assert "`Net` is the first to give numbers that are not finite" in error
    assert place == "sqrt"


def test_a_function_of_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    middle = "part: module { input x: [N, D]; hidden: Linear(8); log(_) }"
    error, place, _ = said(tmp_path, monkeypatch, capfd, middle=middle)
    assert "`part` (Part) is the first" in error
    assert place == "log(_)"


def test_values_that_are_masked_are_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    middle = "masked_fill(_, _ < mean(_, 1, keepdim=True), -1e309) -> softmax(1); hidden: Linear(8) -> log"
    _, place, _ = said(tmp_path, monkeypatch, capfd, middle=middle)
    assert place == "log"


def test_a_run_that_is_compiled_and_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    _, place, _ = said(
        tmp_path, monkeypatch, capfd, lr="1e30", options="compile = True; ema = 0.9; clip_grad_value = 1e30"
    )
    assert place == "Linear(classes)"


def test_a_loss_that_raises_for_such_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """BCELoss wants numbers between 0 and 1, and on a CPU torch raises where there are others."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 3},{i % 2}\n" for i in range(20)))
    text = program('train = CSV("t.csv", target="y")', 2, 1, "BCELoss").replace("Linear(1)", "Linear(1) -> Sigmoid")
    text = text.replace("Adam(lr=0.01)", "SGD(lr=1e38, momentum=0.9, weight_decay=10)")
    Path("net.net").write_text(text)
    assert run(["train", "net.net", "--device", "cpu"]) == 1
    err = capfd.readouterr().err
    assert "error[E0660]: the loss is nan in epoch 1: `fc1` (Linear) " in err
    assert "Traceback" not in err
