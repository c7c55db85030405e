"""What four processes of FSDP wrote in the middle of a run: evaluated, exported, and damaged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from netc import cli
from netc.api import execute
from netc.runtime.errors import UserError
from netc.runtime.script import read_checkpoint, weights_of
from tests.parallel.programs import program
from tests.parallel.ranks import Scripts
from tests.parallel.test_killed import DROPOUT, RANKS, SETTINGS, prepare, state

TEXT = program(DROPOUT, **SETTINGS, parallel='"fsdp"')


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program and the run of it; a process was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("fsdp")
    scripts = Scripts(folder / "scripts", TEXT)
    codes = scripts.run(folder, "--run-dir", "runs/case/001", ranks=RANKS, prepare=(prepare, (2, "step", 7)))
    assert codes[2] == -signal.SIGKILL
    (folder / "case.net").write_text(TEXT)
    return folder


@pytest.fixture
def run(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, where the command line works."""
    shutil.copytree(stopped, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Path("runs/case/001")


def shards(run: Path) -> Path:
    (found,) = run.glob("last-*")
    return found


def test_weights_are_those_of_all_processes(run: Path) -> None:
    found, known = read_checkpoint(run / "last.pt"), state(run, "last.pt")["shards"]
    for part in ("model", "ema"):
        assert found[part].keys() == known[part].keys()
        assert all(torch.equal(value, known[part][name]) for name, value in found[part].items())


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_export(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", "--onnx", "--weights", str(run / name), "-o", "net.onnx"]) == 0
    assert "greatest difference" in capsys.readouterr().out
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    (outputs,) = onnxruntime.InferenceSession("net.onnx").run(None, {"x": rows})
    network = execute(Path("scripts/model.py").read_text(), "case").Net().eval()
    network.load_state_dict(weights_of(read_checkpoint(run / name)))
    with torch.no_grad():
        assert np.abs(network(torch.from_numpy(rows)).numpy() - outputs).max() < 1e-4


def test_eval(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a checkpoint that has the same weights in it."""
    found = torch.load(run / "last.pt", weights_only=True)
    whole = {part: state(run, "last.pt")["shards"][part] for part in ("model", "ema")}
    del found["shards"]
    torch.save(found | whole, run / "whole.pt")
    results = []
    for name in ("last.pt", "whole.pt"):
        assert cli.run(["eval", "--weights", str(run / name), "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
        del results[-1]["weights"]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("gone", "`.metadata` is not there"),
        ("no shard", "`__1_0.distcp` is not there"),
        ("cut", "cut short, damaged, or not of a checkpoint"),
        ("no list", "cut short, damaged, or not of a checkpoint"),
    ],
)
def test_damaged(run: Path, damage: str, said: str) -> None:
    folder = shards(run)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "no shard":
        (folder / "__1_0.distcp").unlink()
    elif damage == "cut":
        os.truncate(folder / "__1_0.distcp", 1000)
    else:
        (folder / ".metadata").write_bytes(pickle.dumps([1]))
    with pytest.raises(UserError) as found:
        read_checkpoint(run / "last.pt")
    assert said in found.value.message
    assert "best.pt" in (found.value.help or "")


def test_a_name_does_not_lead_elsewhere(run: Path) -> None:
    """The folder lies beside the checkpoint, whatever the checkpoint says."""
    found = torch.load(run / "last.pt", weights_only=True)
    elsewhere = Path("elsewhere")
    shutil.move(shards(run), elsewhere)
    torch.save(found | {"shards": str(elsewhere.absolute())}, run / "last.pt")
    with pytest.raises(UserError, match="is not there"):
        read_checkpoint(run / "last.pt")
