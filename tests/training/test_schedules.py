"""Schedules in the script: the rates of each epoch or step, and what the checker says of their fit with the run."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.optim import lr_scheduler as lrs

from tests.training.made import checked, files, program, script

if TYPE_CHECKING:
    from pathlib import Path

FORMULAS = "base = 4\nramp(e, over = base) = min(1, (e + 1) / over)\nwarm(epoch) = ramp(epoch) * 0.97 ** epoch\n"
EPOCHS = 6  # of 5 batches each


def rates(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rate of each step of the optimizer."""
    monkeypatch.chdir(tmp_path)
    found: list[float] = []
    step = torch.optim.SGD.step

    def noted(self: torch.optim.SGD, *given: Any) -> Any:
        found.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    script(text).main(["--device", "cpu"])
    return found


def expected(make: Any, per_step: bool) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    scheduler = make(optimizer)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(EPOCHS):
            for _ in range(5):
                found.append(optimizer.param_groups[0]["lr"])
                if per_step:
                    scheduler.step()
            if not per_step:
                scheduler.step()
    return found


def ramp(epoch: int) -> float:
    return min(1, (epoch + 1) / 4)


CASES: dict[str, tuple[str, str, Any, bool]] = {
    "sequence": (
        "SequentialLR([LinearLR(start_factor=0.1, total_iters=2), CosineAnnealingLR])", "",
        lambda o: lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, total_iters=2), lrs.CosineAnnealingLR(o, 4)], [2]), False,
    ),
    "sequence of steps": (
        "SequentialLR([LinearLR(start_factor=0.1, total_iters=7), CosineAnnealingLR(eta_min=0.001)])",
        'schedule_every = "step"',
        lambda o: lrs.SequentialLR(
            o, [lrs.LinearLR(o, 0.1, total_iters=7), lrs.CosineAnnealingLR(o, 23, eta_min=0.001)], [7]), True,
    ),
    "milestones": (
        "SequentialLR([ConstantLR(0.5, total_iters=9), ExponentialLR(0.5), CosineAnnealingLR], milestones=[1, 3])", "",
        lambda o: lrs.SequentialLR(
            o, [lrs.ConstantLR(o, 0.5, 9), lrs.ExponentialLR(o, 0.5), lrs.CosineAnnealingLR(o, 3)], [1, 3]), False,
    ),
    "chained": (
        "ChainedScheduler([LinearLR(total_iters=3), ExponentialLR(gamma=0.9)])", "",
        lambda o: lrs.ChainedScheduler([lrs.LinearLR(o, total_iters=3), lrs.ExponentialLR(o, 0.9)], o), False,
    ),
    "formula": ("LambdaLR(warm)", "", lambda o: lrs.LambdaLR(o, lambda e: ramp(e) * 0.97**e), False),
    "product": ("MultiplicativeLR(ramp)", "", lambda o: lrs.MultiplicativeLR(o, ramp), False),
    "formula of steps": (
        "LambdaLR(lr_lambda=ramp)", 'schedule_every = "step"', lambda o: lrs.LambdaLR(o, ramp), True
    ),
    "cosine of steps": (
        "CosineAnnealingLR", 'schedule_every = "step"', lambda o: lrs.CosineAnnealingLR(o, 30), True
    ),
    "cycle of epochs": (
        "OneCycleLR(max_lr=0.3, cycle_momentum=False)", 'schedule_every = "epoch"',
        lambda o: lrs.OneCycleLR(o, 0.3, total_steps=6, cycle_momentum=False), False,
    ),
}  # fmt: skip


def text_of(name: str) -> str:
    schedule, more, _, _ = CASES[name]
    return FORMULAS + program(f"optimizer = SGD(lr=0.1)\nepochs = {EPOCHS}\nschedule = {schedule}\n{more}")


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_torch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rates(text_of(name), tmp_path, monkeypatch)
    assert found == pytest.approx(expected(*CASES[name][2:]), rel=1e-12)


def test_lengths_follow_from_the_constants() -> None:
    """They are written as such, so that they stay right when a constant of the script is changed."""
    assert "T_max=EPOCHS - 2" in (files(text_of("sequence")).train or "")
    assert "T_max=EPOCHS * steps - 7" in (files(text_of("sequence of steps")).train or "")
    assert "T_max=EPOCHS * steps," in (files(text_of("cosine of steps")).train or "")
    assert "def warm(epoch: int) -> float:" in (files(text_of("formula")).train or "")


def test_a_plateau_of_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = "optimizer = SGD(lr=0)\nepochs = 4\nschedule = ReduceLROnPlateau(patience=0, factor=0.5, eps=0)\n"
    train += 'metrics = [f1]\nschedule_on = "validation_f1"'
    text = program(train.replace("lr=0", "lr=1e-9"))
    made = files(text).train or ""
    assert 'scheduler.step(scores["f1"])' in made
    assert 'mode="max"' in made
    assert rates(text, tmp_path, monkeypatch)[-1] == 1e-9 / 4


def test_scripts_are_clean(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("")
    for i, name in enumerate(CASES):
        (tmp_path / f"train{i}.py").write_text(files(text_of(name)).train or "")
    for check in (["check", "--select=E,F,I,UP,B"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *check, "--isolated", "--no-cache", "--line-length=88", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("schedule", "more", "code"),
    [
        ("SequentialLR([LinearLR(total_iters=500), CosineAnnealingLR])", "", "W0824"),
        ("SequentialLR([StepLR(2), CosineAnnealingLR])", "", "E0620"),
        ("SequentialLR([StepLR(2), CosineAnnealingLR], milestones=[5])", "", ""),
        ("SequentialLR([StepLR(2), CosineAnnealingLR], milestones=[5, 3])", "", "E0620"),
        ("SequentialLR([LinearLR(total_iters=3), CosineAnnealingLR(T_max=30)])", "", "W0824"),
        ("SequentialLR([LinearLR(total_iters=3), ReduceLROnPlateau])", "", "E0620"),
        ("SequentialLR([LinearLR(total_iters=3), OneCycleLR(max_lr=0.1, total_steps=9)])", "", "E0634"),
        ("SequentialLR([])", "", "E0620"),
        ("SequentialLR(LinearLR)", "", "E0620"),
        ("SequentialLR([LinearLR(total_iters=3), Cosine])", "", "E0202"),
        ("ChainedScheduler([StepLR(4)], milestones=[2])", "", "E0302"),
        ("ChainedScheduler([StepLR(40)])", "", "W0824"),
        ("LambdaLR(late)", "", "W0825"),
        ("LambdaLR(below)", "", "W0825"),
        ("LambdaLR(wrong)", "", "E0301"),
        ("LambdaLR(0.5)", "", "E0307"),
        ("LambdaLR(text)", "", "E0620"),
        ("LambdaLR(nothing)", "", "E0201"),
        ("StepLR(4)", 'schedule_every = "batch"', "E0508"),
        ("StepLR(40)", 'schedule_every = "step"', ""),
        ("StepLR(4000)", 'schedule_every = "step"', "W0824"),
        ("StepLR(4)", 'schedule_on = "train_loss"', "E0634"),
        ("ReduceLROnPlateau(patience=2)", 'schedule_on = "validation_f1"', "E0634"),
        ("ReduceLROnPlateau(patience=2)", 'schedule_on = "train_loss"', ""),
        ("ReduceLROnPlateau(patience=2)", 'schedule_every = "step"', "E0634"),
        ('ReduceLROnPlateau("max", patience=2)', 'schedule_on = "train_loss"', "W0825"),
    ],
)
def test_what_does_not_fit(schedule: str, more: str, code: str) -> None:
    formulas = 'late(e) = min(1, e / 5)\nbelow(e) = 1 - (e + 1) / 5\nwrong(e) = 1 / (3 - e)\ntext(e) = "a"\n'
    text = formulas + program(f"optimizer = SGD(lr=0.1, momentum=0.9)\nepochs = 9\nschedule = {schedule}\n{more}")
    assert [d.code for d in checked(text).diagnostics if d.code != "W0803"] == ([code] if code else [])
