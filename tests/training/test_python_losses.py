"""Losses of a Python file: what stands in the script, what they compute, and what is said of wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional as F

from netc import cli, compiler
from netc.files import imported
from netc.render import render
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from types import ModuleType

LOSSES = """
import torch
from torch import nn
from torch.nn import functional as F


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, weight=None):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", None if weight is None else torch.tensor(weight), persistent=False)

    def forward(self, output, label):
        log_p = F.log_softmax(output, 1).gather(1, label[:, None]).squeeze(1)
        weight = 1 if self.weight is None else self.weight[label]
        return (-weight * (1 - log_p.exp()) ** self.gamma * log_p).mean()


class Plain(nn.Module):
    def forward(self, output, label):
        return F.cross_entropy(output, label)


class Centers(nn.Module):
    def __init__(self):
        super().__init__()
        self.centers = nn.Parameter(torch.zeros(10))

    def forward(self, output, label):
        return (output - self.centers).square().mean()


def dice(output, label, eps=1.0):
    p = output.softmax(1)
    y = F.one_hot(label, output.shape[1])
    return 1 - (2 * (p * y).sum() + eps) / (p.sum() + y.sum() + eps)


def log_cosh(output, label):
    return torch.log(torch.cosh(output - label)).mean()


def each(output, label):
    return F.cross_entropy(output, label, reduction="none")


def predict(output, label):
    return F.cross_entropy(output, label)


def pair(output, label):
    return output.mean(), output.sum()


def breaks(output, label):
    if output.device.type != "meta":
        raise ValueError("the moon")
    return output.mean()
"""
IMAGES = "network Net {\n  input image: [N, 1, 8, 8]\n  Flatten -> fc: Linear(10)\n}"
DIGITS = "train = Digits()\n  validation = 0.1\n  transform = ToTensor"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("losses.py").write_text(LOSSES, encoding="utf-8")


def text(loss: str, network: str = IMAGES, data: str = DIGITS, more: str = "") -> str:
    used = 'use "losses.py"\n' if "losses.py" not in network else ""
    return (
        f"{used}{network}\ndata {{\n  {data}\n  batch_size = 512\n}}\n"
        f"train {{\n  loss = {loss}\n  optimizer = SGD(lr=0.1)\n  epochs = 2\n  {more}\n}}\n"
    )


def checked(loss: str, **given: str) -> compiler.Checked:
    return compiler.analyse(text(loss, **given), "net.net", "net", None, imported)


def files(loss: str, **given: str) -> compiler.Files:
    found = checked(loss, **given)
    assert found.program is not None, "\n\n".join(render(d, found.source) for d in found.diagnostics)
    return compiler.emit(found.program)


def script(loss: str, **given: str) -> ModuleType:
    made = files(loss, **given)
    assert made.train is not None
    return load_script(made.train, made.model, beside=[source for source, _ in made.shipped])


@pytest.mark.parametrize(
    ("loss", "lines"),
    [
        ("FocalLoss", ["from losses import FocalLoss", "focal_loss = FocalLoss()"]),
        ("FocalLoss(gamma=3)", ["focal_loss = FocalLoss(gamma=3)"]),
        ("FocalLoss(output, label, gamma=3)", ["focal_loss = FocalLoss(gamma=3)", "loss = focal_loss(output, target)"]),
        ("FocalLoss(weight=[1.0])", ["focal_loss = FocalLoss(weight=[1.0])", "focal_loss.to(device)  # its weights"]),
        ("dice", ["from losses import dice", "loss = dice(output, target)", '"loss": dice(output, labels).item(),']),
        ("dice(output, label, eps=0.5)", ["return dice(output, label, eps=0.5)"]),
        ("0.5 * dice + CrossEntropyLoss", ["return 0.5 * dice(output, label) + cross_entropy_loss(output, label)"]),
        ("dice + FocalLoss", ["from losses import FocalLoss, dice", "focal_loss = FocalLoss()"]),
        ("mean(each(output, label))", ["return each(output, label).mean()"]),
        ("predict", ["from losses import predict as predict_loss", "loss = predict_loss(output, target)"]),
    ],
)  # fmt: skip
def test_what_stands_in_the_script(loss: str, lines: list[str]) -> None:
    made = files(loss, more="metrics = [accuracy]")
    assert made.train is not None
    assert "losses.py" in [target for _, target in made.shipped]
    assert "losses" not in made.model
    written = [line.strip() for line in made.train.split("\n")]
    assert [line for line in lines if line not in written] == []
    Path("train.py").write_text(made.train)
    Path("model.py").write_text(made.model)
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--line-length=88", "train.py"]
    assert subprocess.run([*ruff, "check", "--select=E,F,UP,B,I", *common], capture_output=True).returncode == 0
    assert subprocess.run([*ruff, "format", "--diff", *common], capture_output=True).returncode == 0


def _state(module: ModuleType, name: str) -> dict[str, torch.Tensor]:
    module.main(["--device", "cpu", "--run-dir", name])
    state: dict[str, torch.Tensor] = torch.load(f"{name}/last.pt", weights_only=True)["model"]
    return state


@pytest.mark.parametrize("loss", ["Plain", "predict", "mean(each(output, label))"])
def test_it_learns_what_torch_s_loss_learns(loss: str) -> None:
    more = "metrics = [accuracy]"
    own, expected = _state(script(loss, more=more), "own"), _state(script("CrossEntropyLoss", more=more), "torch")
    assert all(torch.equal(own[key], expected[key]) for key in expected)
    rows = [Path(f"{name}/metrics.csv").read_text().split("\n") for name in ("own", "torch")]
    assert [r.split(",")[:4] for r in rows[0]] == [r.split(",")[:4] for r in rows[1]]


def test_the_loss_of_a_set_is_computed_of_all_of_it() -> None:
    module = script("dice")
    images, labels = module.load_data()["validation"]
    model = module.Net()
    with torch.no_grad():
        p, y = model(module.preprocess(images)).softmax(1), F.one_hot(labels, 10)
        expected = 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
    assert module.evaluate(model, images, labels) == pytest.approx(expected.item(), rel=1e-6)


def test_numbers_and_classes_are_told_apart_by_what_the_loss_takes() -> None:
    table = "train = Diabetes()\n  validation = 0.2"
    network = "network Net {\n  input x: [N, 10]\n  fc: Linear(1)\n}"
    module = script("log_cosh", network=network, data=table, more="metrics = [mae]")
    assert module.load_data(module.Encoding())["train"][1].dtype == torch.float32
    flowers = "network Net {\n  input x: [N, 4]\n  fc: Linear(3)\n}"
    module = script("dice", network=flowers, data="train = Iris()\n  validation = 0.2", more="metrics = [f1]")
    assert module.load_data(module.Encoding())["train"][1].dtype == torch.int64


@pytest.mark.parametrize(
    ("loss", "code", "message"),
    [
        ("FocalLoss(gama=2)", "E0302", "`FocalLoss` has no argument `gama`"),
        ("FocalLoss(output)", "E0629", "`FocalLoss` takes tensors by position: output, label"),
        ("FocalLoss(2)", "E0629", "`FocalLoss` takes tensors by position: output, label"),
        ("dice(output, label, epsilon=2)", "E0302", "`dice` has no argument `epsilon`"),
        ("each", "E0628", "a loss is one number, and this gives [N]"),
        ("pair", "E0628", "a loss is one number, and `pair` gives several tensors"),
        ("Centers", "E0631", "`Centers` can't be the loss: it has weights of its own, which belong to the network"),
        ("dice(image, label)", "E0707", "`dice`: running it raises RuntimeError"),
    ],
)
def test_what_is_wrong_is_said(loss: str, code: str, message: str) -> None:
    (found,) = checked(loss).diagnostics
    assert found.code == code
    assert found.message.startswith(message)


def test_several_outputs_are_named() -> None:
    network = "network Net {\n  input image: [N, 1, 8, 8]\n  Flatten\n  output a = _ -> fa: Linear(10)\n" \
              "  output b = _ -> fb: Linear(10)\n}"  # fmt: skip
    (found,) = checked("dice", network=network).diagnostics
    assert (found.code, found.help) == ("E0611", "say which: `dice(a, label)`")
    made = files("dice(a, label) + Plain(b, label)", network=network)
    assert made.train is not None
    assert "    return dice(outputs.a, label) + plain(outputs.b, label)\n" in made.train


def test_what_it_raises_in_a_run_is_told_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.net").write_text(text("breaks"))
    assert cli.run(["train", "net.net", "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "error[E0707]: `breaks`: running it raises ValueError: the moon" in said
    assert "in losses.py, line " in said
    assert 'raise ValueError("the moon")' in said
