"""Groups of parameters and frozen ones: the script against groups written by hand for torch, and whole runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from netc.compiler import analyse, emit
from netc.runtime.script import load_script
from tests.training.test_run import assert_same, load

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PROGRAM = """network Net {{
  input image: [N, 1, 8, 8]
  features: seq {{ Conv2d(4, 3); BatchNorm2d; ReLU; Conv2d(6, 3) }}
  Flatten -> fc1: Linear(16) -> ReLU
  fc2: Linear(10)
}}

data {{
  train      = Digits()
  validation = 0.5
  transform  = ToTensor
  batch_size = 64
}}

train {{
  loss      = CrossEntropyLoss
  optimizer = {optimizer}
  schedule  = {schedule}
  epochs    = 2
  {more}
}}
"""


def script(optimizer: str, schedule: str = "CosineAnnealingLR", more: str = "") -> ModuleType:
    """The script of the program with these settings, as a module."""
    text = PROGRAM.format(optimizer=optimizer, schedule=schedule, more=more)
    checked = analyse(text, "case.net", "case")
    assert checked.program is not None, checked.diagnostics
    files = emit(checked.program)
    assert files.train is not None
    return load_script(files.train, files.model)


def optimizer_line(module: ModuleType, model: nn.Module, name: str, **options: Any) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = getattr(torch.optim, name)(module.parameter_groups(model), **options)
    return made


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    return dict(model.named_parameters())


BY_HAND = [
    (
        'SGD(lr=0.1, momentum=0.9) { "features.*" { lr = 0.01 }; "*.bias" { weight_decay = 0.1 } }',
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        [
            (("fc1.weight", "fc2.weight"), {}),
            (("features.0.weight", "features.1.weight", "features.3.weight"), {"lr": 0.01}),
            (("features.0.bias", "features.1.bias", "features.3.bias"), {"lr": 0.01, "weight_decay": 0.1}),
            (("fc1.bias", "fc2.bias"), {"weight_decay": 0.1}),
        ],
    ),
    (
        'AdamW(lr=0.01) { "features.*" { lr = 0.001; betas = [0.5, 0.9] }; "features.3.*" { lr = 0.005 } }',
        ("AdamW", {"lr": 0.01}),
        [
            (("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"), {}),
            (
                ("features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"),
                {"lr": 0.001, "betas": (0.5, 0.9)},
            ),
            (("features.3.weight", "features.3.bias"), {"lr": 0.005, "betas": (0.5, 0.9)}),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize("schedule", ["CosineAnnealingLR", "StepLR(1)", "ExponentialLR(0.9)", "OneCycleLR(max_lr=0.1)"])
@pytest.mark.parametrize(("written", "made", "by_hand"), BY_HAND)
def test_steps_are_those_of_groups_by_hand(
    written: str, made: tuple[str, dict[str, Any]], by_hand: list[tuple[tuple[str, ...], dict[str, Any]]], schedule: str
) -> None:
    module = script(written, schedule)
    torch.manual_seed(3)
    ours = module.build_model(torch.device("cpu"))
    theirs = module.build_model(torch.device("cpu"))
    theirs.load_state_dict(ours.state_dict())
    groups = [{"params": [named(theirs)[n] for n in names], **own} for names, own in by_hand]
    optimizers = [
        optimizer_line(module, ours, made[0], **made[1]),
        getattr(torch.optim, made[0])(groups, **made[1]),
    ]
    name, _, arguments = schedule.partition("(")
    known: dict[str, dict[str, Any]] = {
        "CosineAnnealingLR": {"T_max": 5},
        "StepLR": {"step_size": 1},
        "ExponentialLR": {"gamma": 0.9},
        "OneCycleLR": {"max_lr": 0.1, "total_steps": 5},
    }
    assert bool(arguments) == (name != "CosineAnnealingLR")
    schedulers = [getattr(torch.optim.lr_scheduler, name)(o, **known[name]) for o in optimizers]
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    for _ in range(3):
        for model, optimizer, scheduler in zip((ours, theirs), optimizers, schedulers, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
    assert_same(ours.state_dict(), theirs.state_dict())
    rates = [sorted(g["lr"] for g in o.param_groups) for o in optimizers]
    assert rates[0] == rates[1]


def test_the_group_of_all_others_is_the_first() -> None:
    module = script('SGD(lr=0.1) { "features.0.*" { lr = 0.01 } }')
    groups = module.parameter_groups(module.build_model(torch.device("cpu")))
    assert [group.get("lr") for group in groups] == [None, 0.01]
    everything = script('SGD(lr=0.1) { "*" { lr = 0.01 } }')
    assert len(everything.parameter_groups(everything.build_model(torch.device("cpu")))) == 1


FREEZE = 'freeze    = ["features.*", "fc2.bias"]'


@pytest.mark.parametrize("groups", ["", ' { "*.bias" { lr = 0.01 } }'])
def test_a_run_with_frozen_parameters(groups: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is frozen keeps its value, BatchNorm's averages go on, and a run that is taken up again is the same run."""
    monkeypatch.chdir(tmp_path)
    module = script(f"SGD(lr=0.1, momentum=0.9){groups}", more=FREEZE)
    module.main(["--device", "cpu", "--run-dir", "whole"])
    whole = load(tmp_path / "whole" / "last.pt")
    torch.manual_seed(0)
    start = module.build_model(torch.device("cpu"))
    frozen = {n for n, p in start.named_parameters() if not p.requires_grad}
    assert frozen == {n for n in named(start) if n.startswith("features.") or n == "fc2.bias"}
    moved = {n for n, v in start.state_dict().items() if not torch.equal(v, whole["model"][n])}
    averages = {"features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"}
    assert moved == {n for n in named(start) if n not in frozen} | averages
    trained = [i for group in whole["optimizer"]["param_groups"] for i in group["params"]]
    assert len(trained) == len(named(start)) - len(frozen)

    shuffled, calls = module.shuffled, iter((False, True, False))

    def stop_in_the_second_epoch(count: int) -> torch.Tensor:
        if next(calls):
            raise KeyboardInterrupt
        order: torch.Tensor = shuffled(count)
        return order

    monkeypatch.setattr(module, "shuffled", stop_in_the_second_epoch)
    with pytest.raises(SystemExit):
        module.main(["--device", "cpu", "--run-dir", "parts"])
    module.main(["--device", "cpu", "--resume", "parts"])
    assert_same(load(tmp_path / "parts" / "last.pt"), whole)
