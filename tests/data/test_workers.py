"""Worker processes for Python data sets: the same samples whatever their number, and what ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from netc import cli, compiler
from netc.files import imported
from netc.render import render
from netc.runtime.script import load_script
from tests import forked
from tests.data.tables import program

if TYPE_CHECKING:
    from types import ModuleType

SETS = """
import random
import time

import numpy as np
import torch


class Signs:
    def __init__(self, count):
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], int(self.x[i].sum() > 0)


class Noisy(Signs):
    def __getitem__(self, i):
        x, label = super().__getitem__(i)
        return x + torch.rand(4) + random.random() + np.random.rand(), label


class Slow(Signs):
    def __getitem__(self, i):
        time.sleep(0.02)
        return super().__getitem__(i)


class Raises(Signs):
    def __getitem__(self, i):
        if i == 7:
            raise KeyError("seven")
        return super().__getitem__(i)


class Pairs(Signs):
    def __getitem__(self, i):
        x, label = super().__getitem__(i)
        return x[:3] + torch.rand(3), x[3:], label
"""
ASKED = "validation = 0.2\n  cache = False\n  workers = "


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sets.py").write_text(SETS, encoding="utf-8")


def text(data: str, more: str = "", inputs: int | str = 4, loss: str = "CrossEntropyLoss") -> str:
    return 'use "sets.py"\n' + program(data, inputs, 2, loss, more)


def files(data: str, more: str = "", inputs: int | str = 4, loss: str = "CrossEntropyLoss") -> compiler.Files:
    checked = compiler.analyse(text(data, more, inputs, loss), "net.net", "net", None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return compiler.emit(checked.program)


def script(data: str, more: str = "", inputs: int | str = 4) -> ModuleType:
    made = files(data, more, inputs)
    assert made.train is not None
    return load_script(made.train, made.model, beside=[source for source, _ in made.shipped])


def on_disk(data: str, more: str = "") -> None:
    """The files of a program, to be run as a process: workers are forked from it."""
    made = files(data, more)
    assert made.train is not None
    Path("train.py").write_text(made.train)
    Path("model.py").write_text(made.model)


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    return forked.run(["train.py", "--device", "cpu", "--run-dir", name, *options])


def state(name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(f"{name}/last.pt", weights_only=True)["model"]
    return found


def test_any_number_of_workers_gives_the_same() -> None:
    for count in (1, 2):
        on_disk(f"train = Noisy(40)\n  {ASKED}{count}", "metrics = [accuracy]")
        done = run(str(count))
        assert done.returncode == 0, done.stderr
    assert all(torch.equal(value, state("2")[name]) for name, value in state("1").items())
    rows = [[line.rpartition(",")[0] for line in Path(f"{n}/metrics.csv").read_text().split()] for n in (1, 2)]
    assert rows[0] == rows[1]


def test_without_chance_it_is_as_without_workers() -> None:
    for name, workers in (("none", "0"), ("two", "2")):
        on_disk(f"train = Signs(40)\n  {ASKED}{workers}")
        assert run(name).returncode == 0
    assert all(torch.equal(value, state("two")[name]) for name, value in state("none").items())


def test_none_are_no_part_of_the_script() -> None:
    assert files(f"train = Noisy(40)\n  {ASKED}0") == files("train = Noisy(40)\n  validation = 0.2\n  cache = False")


def test_samples_that_are_kept_are_made_once() -> None:
    module = script("train = Signs(50)\n  workers = 2")
    x, labels = module.load_data()["train"]
    expected, targets = script("train = Signs(50)").load_data()["train"]
    assert torch.equal(x, expected)
    assert torch.equal(labels, targets)


def test_a_run_that_goes_on_in_mid_epoch_ends_as_the_one_that_did_not_stop() -> None:
    on_disk(f"train = Noisy(80)\n  {ASKED}2", "checkpoint = Checkpoint(every_steps=1)")
    assert run("whole").returncode == 0
    text = Path("train.py").read_text()
    assert text.count('save(run / "last.pt", history, here, **parts)') == 1
    Path("train.py").write_text(text.replace(
        'save(run / "last.pt", history, here, **parts)',
        'save(run / "last.pt", history, here, **parts)\n                    if step == 6: os._exit(9)',
    ))  # fmt: skip
    assert run("cut").returncode == 9
    Path("train.py").write_text(text)
    done = run("cut", "--resume")
    assert done.returncode == 0, done.stderr
    assert all(torch.equal(value, state("cut")[name]) for name, value in state("whole").items())


@pytest.mark.parametrize("cache", ["", "\n  cache = False"])
def test_a_sample_that_cannot_be_made_is_named(cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.net").write_text(text(f"train = Raises(20)\n  workers = 1{cache}"))
    assert cli.run(["train", "net.net", "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "error[E0530]: reading the data raises sample 7 cannot be made: KeyError: 'seven'\n" in said
    assert '= note: in sets.py, line 35: raise KeyError("seven")\n' in said


def test_ctrl_c_ends_all_processes() -> None:
    on_disk(f"train = Slow(60)\n  {ASKED}2")
    process = forked.Started(["train.py", "--device", "cpu", "--run-dir", "run"], prepare=os.setsid)
    while "epoch" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "To go on: --resume run" in said
    assert subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True).returncode == 1


@pytest.mark.parametrize(
    "more",
    ["", "accumulate = 2", "optimizer = LBFGS()", 'precision = "bf16"', "tensorboard = [graph]",
     'parallel = "ddp"\n  accumulate = 2\n  checkpoint = Checkpoint(every_steps=3)\n  tensorboard = [graph]',
     'parallel = "fsdp"'],
)  # fmt: skip
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_scripts_are_laid_out_as_ruff_does(more: str, several: bool, whole: bool) -> None:
    inputs = "input left: [N, 3]\n  input right: [N, 1]\n  cat([left, right], 1)" if several else 4
    name = "Pairs" if several else "Noisy"
    first = "left" if several else "x"
    loss = f"sqrt(MSELoss(output, {first}[:, :2]))" if whole else "CrossEntropyLoss"
    source = text(f"train = {name}(40)\n  {ASKED}2", more, inputs, loss)
    if "optimizer" in more:
        source = source.replace("  optimizer = Adam(lr=0.01)\n", "")
    checked = compiler.analyse(source, "net.net", "net", None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    made = compiler.emit(checked.program)
    assert made.train is not None
    Path("train.py").write_text(made.train)
    Path("model.py").write_text(made.model)
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--line-length=88", "train.py"]
    check = subprocess.run([*ruff, "check", "--select=E,F,I,UP,B", *common], capture_output=True, text=True)
    layout = subprocess.run([*ruff, "format", "--diff", *common], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert layout.returncode == 0, layout.stdout
    if (more.startswith("accumulate") and not whole) or (whole and not more):
        done = run("run")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ("train = Signs(20)\n  workers = -1", "E0508", "`workers` is a count from 0 to 256"),
        ("train = Signs(20)\n  workers = True", "E0508", "`workers` is a count from 0 to 256"),
        ("train = Iris()\n  workers = 2", "E0541",
         "`workers` make the samples of a Python data set, and those of `Iris` are in memory"),
        ("train = ImageFolder(\"p\")\n  workers = 2", "E0541",
         "`workers` make the samples of a Python data set, and those of `ImageFolder` are decoded once, and changed "
         "a batch at a time"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(data: str, code: str, message: str) -> None:
    found = [d for d in compiler.analyse(text(data), "n.net", "n", None, imported).diagnostics if d.code == code]
    assert [d.message for d in found] == [message]
