"""What a layer, the data or a transform raises is told of the line of the program that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from netc import cli

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = """\
import torch
from torch import nn


class Fragile(nn.Module):
    def __init__(self, features, stage="training"):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.stage = stage

    def forward(self, x):
        if x.device.type != "meta" and self.stage == ("training" if self.training else "evaluation"):
            raise ValueError("the sensor is off")
        return x * self.weight


def shaky(x):
    if x.device.type != "meta":
        raise KeyError("a key")
    return x
"""
PROGRAM = """\
use "layers.py"
module Head(width) {
  hidden: Linear(width) -> relu
  @LAYER@
}
network Net {
  input image: [N, 1, 32, 32]
  Flatten -> fc: Linear(16)
  body: seq { ReLU; Head(8) }
  out: Linear(10)
}
data {
  train      = Digits()
  transform  = Resize(32) -> ToTensor
  augment    = RandomCrop(32, padding=2)
  batch_size = 512
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=@LR@)
  epochs    = 1
}
"""


def program(layer: str = "relu", lr: str = "0.1") -> str:
    text = PROGRAM.replace("@LAYER@", layer).replace("@LR@", lr)
    return text if layer != "relu" else text.replace('use "layers.py"\n', "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.py").write_text(LAYERS)
    return tmp_path


def run(folder: Path, text: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that has to end with 1 says."""
    (folder / "net.net").write_text(text)
    command, *rest = arguments or ("train",)
    capsys.readouterr()
    assert cli.run([command, "net.net", *(["--device", "cpu"] if command != "export" else []), *rest]) == 1
    return capsys.readouterr().err


def test_a_layer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(folder, program("frail: Fragile(width)"), capsys)
    assert said.startswith(
        "error[E0707]: `body.1.frail` (Fragile): running it raises ValueError: the sensor is off\n"
        "  --> net.net:4:10\n"
        "   |\n"
        " 4 |   frail: Fragile(width)\n"
        "   |          ^^^^^^^^^^^^^^\n"
        "   = note: in model.py, line 20: return self.frail(x)  # [N, width]\n"
        '   = note: in layers.py, line 13: raise ValueError("the sensor is off")\n'
    )
    assert "Traceback" not in said


def test_a_function(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(folder, program("shaky"), capsys)
    assert "`body.1` (Head): running it raises KeyError: 'a key'\n  --> net.net:4:3\n" in said


def test_a_layer_of_an_imported_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The place is that of the call in the file that is trained: the other file is named by the generated line."""
    own = program("frail: Fragile(width)")
    head = own[: own.index("network")]
    (folder / "parts.net").write_text(head)
    said = run(folder, own.replace(head, 'import "parts.net"\n'), capsys)
    assert "`body.1.frail` (Fragile): running it raises ValueError" in said
    assert "--> net.net:5:21\n" in said


def test_the_whole_traceback_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(folder, program("frail: Fragile(width)"), capsys, "train", "-v")
    assert "Traceback (most recent call last)" in said
    assert "error[E0707]" in said


def test_evaluation_and_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "net.net").write_text(program('frail: Fragile(width, "never")'))
    torch.save({"model": _weights(folder)}, folder / "weights.pt")
    text = program('frail: Fragile(width, "evaluation")')
    said = run(folder, text, capsys, "eval", "--weights", "weights.pt")
    assert "`body.1.frail` (Fragile): running it raises ValueError: the sensor is off\n  --> net.net:4:10" in said
    said = run(folder, text, capsys, "export", "--onnx", "--untrained")
    assert "`body.1.frail` (Fragile): running it raises ValueError: the sensor is off\n  --> net.net:4:10" in said


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    import netc

    return netc.load(folder / "net.net").state_dict()


def test_labels_beyond_the_outputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8)).save(folder / "pictures" / name / f"{i}.png")
    text = program().replace("Digits()", 'ImageFolder("pictures")').replace("[N, 1, 32", "[N, 3, 32")
    text = text.replace("Linear(10)", "Linear(2)").replace("Resize(32)", "Resize([32, 32])")
    said = run(folder, text, capsys)
    assert 'ImageFolder("pictures")' in said
    assert "error[E0530]" in said
    (folder / "pictures/b/2.png").write_bytes(b"no picture")
    said = run(folder, text.replace("Linear(2)", "Linear(3)"), capsys)
    assert "2.png" in said
    assert "--> net.net:12:16" in said


def test_a_loss_that_is_no_number(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(folder, program(lr="1e30"), capsys)
    assert "error[E0660]: the loss is nan in epoch 1: `" in said
    assert "is the first to give numbers that are not finite" in said
    assert "with these steps" in said


@pytest.mark.parametrize(("broken", "place", "what"), [("interpolate", "net.net:13:16", "Resize"),
                                                       ("pad", "net.net:14:16", "RandomCrop")])  # fmt: skip
def test_a_transform(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    place: str,
    what: str,
) -> None:
    def fails(*arguments: object, **named: object) -> torch.Tensor:
        raise RuntimeError("not for these images")

    monkeypatch.setattr(torch.nn.functional, broken, fails)
    said = run(folder, program(), capsys)
    assert said.startswith(f"error[E0530]: `{what}` raises RuntimeError: not for these images\n")
    assert f"--> {place}\n" in said
    assert "note: in train.py, line " in said


def test_a_bug_of_netc_stays_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What generated code raises itself by naming what isn't there is no mistake of the user."""
    from netc import compiler

    files = compiler.emit

    def broken(*given: object) -> compiler.Files:
        made = files(*given)  # type: ignore[arg-type]
        assert made.train is not None
        return made._replace(train=made.train.replace("data = {part", "data = missing_name + {part", 1))

    monkeypatch.setattr(compiler, "emit", broken)
    (folder / "net.net").write_text(program())
    assert cli.run(["train", "net.net", "--device", "cpu"]) == 70
    assert "netc has a bug" in capsys.readouterr().err
