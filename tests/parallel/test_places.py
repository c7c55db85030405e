"""An error in one of several processes is said of the line of the program that it comes from, as in a single process,
and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked import Started
from tests.parallel.programs import DATA, NETWORK, program

SETS = """
import os

import torch


class Signs:
    def __init__(self, count):
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if WRONG:
            raise KeyError("seven")
        return self.x[i], int(self.x[i].sum() > 0)


class Careful(torch.nn.Module):
    def forward(self, x):
        if self.training and x.device.type != "meta" and RANK:
            raise ValueError("not today")
        return x
"""
PYTHON = 'use "sets.py"\n' + NETWORK.replace(" -> head: Linear(3)", " -> careful: Careful -> head: Linear(3)")


def said(folder: Path, python: str, **settings: object) -> str:
    (folder / "sets.py").write_text(python)
    (folder / "case.net").write_text(program(**settings))  # type: ignore[arg-type]
    job = Started(["-m", "netc", "train", "case.net", "--nproc", "2", "--device", "cpu"], folder)
    _, err = job.communicate(timeout=120)
    assert job.returncode == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("alone", [False, True], ids=["all", "the other"])
def test_a_layer(tmp_path: Path, alone: bool) -> None:
    python = SETS.replace("WRONG", "False").replace("RANK", 'os.environ.get("RANK", "1") == "1"' if alone else "True")
    err = said(tmp_path, python, network=PYTHON)
    assert err.count("error[E0707]: `careful` (Careful): running it raises ValueError: not today") == 1, err
    assert "--> case.net:9:84" in err
    assert '= note: in sets.py, line 23: raise ValueError("not today")' in err
    assert not alone or "= note: in process 1\n" in err


def test_data(tmp_path: Path) -> None:
    python = SETS.replace("WRONG", "i == 7").replace("RANK", "False")
    data = DATA | {"train": "Signs(60)", "cache": "False"}
    err = said(tmp_path, python, network=PYTHON.replace("Linear(3)", "Linear(2)"), data=data)
    assert err.count("error[E0530]: reading the data raises KeyError: 'seven'") == 1, err
    assert '= note: in sets.py, line 16: raise KeyError("seven")' in err


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_where_numbers_stop_being_finite(tmp_path: Path, kind: str) -> None:
    err = said(tmp_path, "", optimizer="SGD(lr=1e30)", schedule="", parallel=f'"{kind}"')
    place = "the loss is nan in epoch 1: `one.fc1` (Linear) is the first to give numbers that are not finite"
    assert f"error[E0660]: {place}" in err, err
    assert "--> case.net:3:8" in err
