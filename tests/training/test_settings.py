"""What the checker takes, runs: settings of both sections drawn at random, each trained for two epochs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from netc.compiler import analyse, emit
from netc.runtime.script import load_script

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """network Net {{
  input image: [N, 1, 8, 8]
  Flatten -> fc1: Linear(20) -> ReLU -> fc2: Linear(10)
}}

data {{
  train      = Digits()
  validation = 0.8
  transform  = {transform}
  {augment}
  batch_size = 128
}}

train {{
  loss      = CrossEntropyLoss
  optimizer = {optimizer}{groups}
  schedule  = {schedule}
  epochs    = 2
  {freeze}
}}
"""
DRAWN = {
    "transform": (
        "ToTensor", "ToDtype(float32, scale=True)", "ConvertImageDtype(float32)", "Pad(2) -> CenterCrop(8) -> ToTensor",
        "ToTensor -> Normalize(mean=[0.31], std=[0.38])",
    ),
    "augment": (
        "", "augment = RandomCrop(8, padding=1) -> RandomHorizontalFlip", 'augment = AutoAugment(policy="cifar10")',
        "augment = RandAugment -> RandomErasing", "augment = ColorJitter(0.2) -> RandomRotation(10)",
        "augment = GaussianNoise(sigma=0.1)", "augment = TrivialAugmentWide", "augment = AugMix",
        "augment = RandomPosterize(4) -> RandomAutocontrast", "augment = RandomAffine(10, translate=(0.1, 0.1))",
    ),
    "optimizer": (
        "SGD(lr=0.1, momentum=0.9)", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad",
        "Adadelta", "Adafactor", "ASGD",
    ),
    "schedule": (
        "StepLR(1)", "MultiStepLR([1])", "ExponentialLR(0.9)", "ConstantLR(total_iters=1)", "LinearLR(total_iters=2)",
        "PolynomialLR(2)", "CosineAnnealingLR", "CosineAnnealingWarmRestarts(1)", "ReduceLROnPlateau(patience=0)",
        "OneCycleLR(max_lr=0.1)", "OneCycleLR(max_lr=0.1, epochs=2, cycle_momentum=False)",
        "CyclicLR(0.01, 0.1, step_size_up=3)", "CyclicLR(0.01, 0.1, step_size_up=3, cycle_momentum=False)",
    ),
    "groups": (
        "", ' { "fc1.*" { lr = 0.01 } }', ' { "*.bias" { weight_decay = 0.1 }; "fc2.*" { lr = 0.001 } }',
    ),
    "freeze": ("", 'freeze = ["fc1.weight"]', 'freeze = ["*.bias"]'),
}  # fmt: skip
# An optimizer without a momentum to cycle, or without weight_decay; a group of frozen parameters.
KNOWN = {"E0620", "E0302", "E0626"}


def clean_program(rng: random.Random) -> str:
    """A program that has no mistake."""
    while True:
        text = PROGRAM.format(**{key: rng.choice(values) for key, values in DRAWN.items()})
        codes = {d.code for d in analyse(text, "case.net", "case").diagnostics if d.is_error}
        assert codes <= KNOWN, text
        if not codes:
            return text


@pytest.mark.parametrize("seed", range(20))
def test_a_program_without_mistakes_trains(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked = analyse(clean_program(random.Random(seed)), "case.net", "case")
    assert checked.program is not None
    files = emit(checked.program)
    assert files.train is not None
    load_script(files.train, files.model).main(["--device", "cpu", "--run-dir", "run"])
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3
