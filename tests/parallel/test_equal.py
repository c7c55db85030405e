"""Any number of processes of DDP and FSDP compute what one process of the plain script computes.

In float64 up to the order in which numbers are added; the last batch of an epoch is smaller than the number of ranks.
"""

from __future__ import annotations

import csv
import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.parallel.programs import DATA, NETWORK, program
from tests.parallel.ranks import Scripts

DROPOUT = NETWORK.replace("Tanh -> head", "Dropout(0.2) -> head")
PICTURES = """network Net {
  input image: [N, 1, 8, 8]
  conv1: Conv2d(4, 3, padding=1) -> ReLU -> MaxPool2d(2) -> conv2: Conv2d(8, 3) -> ReLU
    -> Flatten -> head: Linear(10)
}
"""
DIGITS = {"train": "Digits()", "validation": "700", "test": "0.4", "transform": "ToTensor", "batch_size": "33"}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate": "3", "clip_grad_norm": "0.5", "ema": "0.9", "log_every": "2"},
    "weighted": {"loss": "CrossEntropyLoss(weight=[1.0, 2.5, 0.5], label_smoothing=0.1)"},
    "ignored": {"loss": "CrossEntropyLoss(ignore_index=1)", "accumulate": "2", "metrics": ""},
    "summed": {"loss": 'CrossEntropyLoss(reduction="sum")', "optimizer": "AdamW(lr=0.01)", "clip_grad_value": "0.3"},
    "in steps": {"epochs": "", "steps": "17", "schedule": "OneCycleLR(max_lr=0.1)", "metrics": ""},
    "by groups": {"freeze": '["one.*"]', "schedule": "ReduceLROnPlateau(patience=0)", "early_stop": "5"},
    "balanced": {"data": DATA | {"balance": "True"}, "checkpoint": "Checkpoint(every_epochs=1, keep=2)"},
    "pictures": {"network": PICTURES, "data": DIGITS, "optimizer": "Adam(lr=0.01)", "epochs": "2"},
}


@functools.cache
def trained(name: str, kind: str, ranks: int, double: bool = True) -> Path:
    """The folder of a run."""
    folder = Path(tempfile.mkdtemp(prefix="netc-parallel-"))
    settings = {"train.parallel": f'"{kind}"'} if kind else {}
    scripts = Scripts(folder / "scripts", program(**OPTIONS[name]), settings, double)
    codes = scripts.run(folder, "--run-dir", "run", ranks=ranks)
    assert set(codes) == {0}, (folder / "rank0.log").read_text()
    return folder / "run"


def rows(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(run: Path, name: str = "last.pt") -> dict[str, Any]:
    state = torch.load(run / name, weights_only=True)
    return {f"{part}.{k}": v for part in ("model", "ema") for k, v in state.get(part, {}).items()}


def assert_equal(a: Path, b: Path, tolerance: float) -> None:
    """The same losses and metrics, and each tensor up to a share of its maximum."""
    assert len(rows(a)) == len(rows(b))
    for ours, theirs in zip(rows(a), rows(b), strict=True):
        for key, value in ours.items():
            exact = "accuracy" in key or "f1" in key or key == "epoch"
            assert theirs[key] == pytest.approx(value, rel=0 if exact else tolerance, abs=0), key
    for name in ("last.pt", "best.pt"):
        kept, others = weights(a, name), weights(b, name)
        assert kept.keys() == others.keys()
        for key, tensor in kept.items():
            difference = (others[key] - tensor).abs().max() / tensor.abs().max()
            assert difference <= tolerance, key


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", OPTIONS)
def test_processes_compute_what_one_computes(name: str, kind: str, ranks: int) -> None:
    if ranks == 1 and name != "plain":
        pytest.skip("one process is shown once")
    assert_equal(trained(name, "", 1), trained(name, kind, ranks), 1e-9)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_in_single_precision(kind: str) -> None:
    assert_equal(trained("plain", "", 1, False), trained("plain", kind, 2, False), 1e-5)


def test_the_tests_have_an_uneven_last_batch() -> None:
    log = (trained("plain", "ddp", 4).parent / "rank0.log").read_text()
    count = int(log.split(" samples to train with")[0].split()[-1])
    assert 0 < count % 16 < 4, "some ranks have no sample of it"


def test_one_process_draws_what_the_plain_script_draws(tmp_path: Path) -> None:
    runs = []
    for number, settings in enumerate(({}, {"train.parallel": '"ddp"'})):
        scripts = Scripts(tmp_path / str(number) / "scripts", program(DROPOUT), settings)
        assert scripts.run(tmp_path / str(number), "--run-dir", "run") == [0]
        runs.append(tmp_path / str(number) / "run")
    assert rows(runs[0]) == rows(runs[1])
    assert all(torch.equal(a, b) for a, b in zip(*(weights(run).values() for run in runs), strict=True))


def test_only_the_first_process_speaks() -> None:
    folder = trained("plain", "fsdp", 4).parent
    assert (folder / "rank0.log").read_text().count("best.pt is of epoch") == 1
    for rank in (1, 2, 3):
        assert (folder / f"rank{rank}.log").read_text() == ""
