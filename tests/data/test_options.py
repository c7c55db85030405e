"""Samples of every kind under every option of the training: the scripts are clean, and run and go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.tables import compiled, program, script

TWO = "input left: [N, 3]\n  input right: [N, 2]\n  cat([left, right], 1)"
ARRAYS = 'train = Arrays(inputs=["l.npy", "r.npy"], labels="y.npy")'
SETS: dict[str, tuple[str, int | str, int, str, str]] = {
    "classes of a table": ("train = Iris()\n  validation = 0.2\n  test = 0.1", 4, 3, "CrossEntropyLoss", "[accuracy]"),
    "balanced": ("train = Iris()\n  validation = 30\n  balance = True", 4, 3, "CrossEntropyLoss(weight=[1, 2, 3])",
                 "[accuracy, f1]"),
    "numbers of a table": ("train = Diabetes()\n  validation = 0.2\n  sampler = RandomSampler(num_samples=100)", 10, 1,
                           "MSELoss", "[mae]"),
    "two inputs": (f"{ARRAYS}\n  validation = 0.25", TWO, 3, "CrossEntropyLoss", "[accuracy]"),
    "no labels": (f"{ARRAYS}\n  validation = 0.25", TWO, 3, "MSELoss(output, left)", ""),
    "in order": ('train = Arrays("a.npz", labels="y")\n  test = 0.25\n  split = "ordered"', 4, 1, "MSELoss", "[r2]"),
}  # fmt: skip
EACH = ("accumulate = 2", "ema = 0.9", 'precision = "bf16"', "clip_grad_norm = 1.0",
        "checkpoint = Checkpoint(every_steps=2)")  # fmt: skip
ALL = "\n  ".join(EACH)
OPTIONS = (
    "", *EACH, ALL, "early_stop = 1", "schedule = OneCycleLR(max_lr=0.1)", "compile = True",
    "deterministic = True", "log_every = 2", "tensorboard = [scalars]",
)  # fmt: skip


def text(name: str, options: str) -> str:
    sets, inputs, outputs, loss, metrics = SETS[name]
    return program(sets, inputs, outputs, loss, f"metrics = {metrics}\n  {options}" if metrics else options)


@pytest.mark.parametrize("width", [88, 100])
def test_scripts_are_clean(width: int, tmp_path: Path) -> None:
    for i, name in enumerate(SETS):
        for j, options in enumerate(OPTIONS):
            folder = tmp_path / f"s{i}_{j}"
            folder.mkdir()
            (folder / "train.py").write_text(compiled(text(name, options)).train or "", encoding="utf-8")
            (folder / "model.py").write_text("", encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", f"--line-length={width}", "--target-version=py311", "."]
    for command in (["check", "--select=E,F,I,UP,B"], ["format", "--diff"]):
        done = subprocess.run([*ruff, *command, *common], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SETS)
def test_a_run_with_all_of_them_goes_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    np.save("l.npy", draw.random((40, 3)))
    np.save("r.npy", draw.random((40, 2)))
    np.save("y.npy", np.arange(40) % 3)
    np.savez("a.npz", x=draw.random((40, 4)), y=draw.random(40))
    script(text(name, ALL)).main(["--device", "cpu", "--run-dir", "run"])
    longer = script(text(name, ALL).replace("epochs    = 2", "epochs    = 4"))
    longer.main(["--device", "cpu", "--resume", "run"])
    script(text(name, ALL).replace("epochs    = 2", "epochs    = 4")).main(["--device", "cpu", "--run-dir", "whole"])
    resumed, whole = (torch.load(f"{run}/last.pt", weights_only=True)["model"] for run in ("run", "whole"))
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
