"""What the script writes for TensorBoard: each point once, and nothing that changes the run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from netc import ir
from tests import forked
from tests.training.programs import NOWHERE
from tests.training.scripts import lenet_project

if TYPE_CHECKING:
    from pathlib import Path

READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
board = EventAccumulator(sys.argv[1], {"images": 0, "scalars": 0})
board.Reload()
tags = board.Tags()
print(json.dumps({
    "scalars": {tag: [[e.step, e.value] for e in board.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [e.width for e in board.Images(tag)] for tag in tags["images"]},
    "graph": tags["graph"],
    "nodes": [n.name for n in board.Graph().node] if tags["graph"] else [],
}))
"""


TWO = """network Net {
  input left: [N, 8]
  input right: [N, 8]
  cat([left, right], 1) -> fc: Linear(2)
}

data {
  train      = Arrays(inputs=["left.npy", "right.npy"], labels="same.npy")
  batch_size = 10
}

train {
  loss        = CrossEntropyLoss
  optimizer   = SGD(lr=0.05)
  epochs      = 1
  tensorboard = [graph]
}
"""


def events(run: Path) -> dict[str, Any]:
    done = forked.run(["-c", READ, str(run)])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def weights(run: Path) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(run / "last.pt", weights_only=True)["model"]
    return state


def test_everything_is_there_and_changes_nothing(tmp_path: Path) -> None:
    options = ir.Options(tensorboard=("scalars", "images", "graph"))
    project = lenet_project(tmp_path / "board", 2, options=options)
    plain = lenet_project(tmp_path / "plain", 2)
    code, _, said = project.run("--device", "cpu", "--run-dir", "run", cwd=project.folder)
    assert (code, said.replace("\n", "")) == (0, "")
    plain.run("--device", "cpu", "--run-dir", "run", cwd=plain.folder)
    found = events(project.folder / "run")
    assert set(found["scalars"]) == {
        "train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "lr", "seconds",
    }  # fmt: skip
    assert all([step for step, _ in points] == [1, 2] for points in found["scalars"].values())
    assert found["images"] == {"training images": [256]}  # a grid, eight of 32 pixels in a row
    assert found["graph"]
    assert any("conv1" in name for name in found["nodes"])
    assert all((a == b).all() for a, b in zip(weights(project.folder / "run").values(),
                                              weights(plain.folder / "run").values(), strict=True))  # fmt: skip


@pytest.mark.parametrize("every_steps", [None, 3])
def test_a_run_that_goes_on_writes_no_point_twice(tmp_path: Path, every_steps: int | None) -> None:
    """The script ends at once in the second epoch, as if it was killed, behind points that come again."""
    kept = None if every_steps is None else ir.Checkpoints(None, None, None, every_steps, NOWHERE)
    options = ir.Options(tensorboard=("scalars",), log_every=2, checkpoint=kept)
    project = lenet_project(tmp_path / "board", 3, options=options)
    broken = project.text.replace("recent.clear()", "recent.clear(); board.flush(); os._exit(9) if step == STOP else 0")
    assert "STOP" in broken
    whole = scalars_of_a_whole_run(project)
    steps = whole["lr"][0][0]  # in an epoch
    last = steps + 8 - steps % 2
    (project.folder / "broken.py").write_text(broken.replace("SEED = ", f"STOP = {last}\nSEED = ", 1), encoding="utf-8")
    command = ["broken.py", "--device", "cpu", "--run-dir", "run"]
    assert forked.run(command, cwd=project.folder).returncode == 9
    before = events(project.folder / "run")["scalars"]
    assert before["steps/loss"][-1][0] == last
    assert project.run("--device", "cpu", "--resume", "run", cwd=project.folder)[0] == 0
    after = events(project.folder / "run")["scalars"]
    del after["seconds"], whole["seconds"]
    told = after.pop("steps/loss"), whole.pop("steps/loss")
    assert [step for step, _ in told[0]] == list(range(2, 3 * steps + 1, 2))
    assert after == whole
    if every_steps is not None:  # else the mean that spans the two parts of the run has the second part's steps alone
        assert told[0] == told[1]


def scalars_of_a_whole_run(project: Any) -> dict[str, Any]:
    run = project.folder / "whole"
    assert project.run("--device", "cpu", "--run-dir", "whole", cwd=project.folder)[0] == 0
    found: dict[str, Any] = events(run)["scalars"]
    return found


def test_the_graph_of_a_network_with_two_inputs(tmp_path: Path) -> None:
    import numpy

    from netc.compiler import analyse, emit

    for name in ("left", "right"):
        numpy.save(tmp_path / f"{name}.npy", numpy.random.default_rng(0).normal(size=(20, 8)).astype("float32"))
    numpy.save(tmp_path / "same.npy", numpy.arange(20) % 2)
    checked = analyse(TWO, "net.net", "net")
    assert checked.program is not None, checked.diagnostics
    files = emit(checked.program)
    (tmp_path / "model.py").write_text(files.model)
    (tmp_path / "train.py").write_text(files.train or "")
    assert forked.run(["train.py", "--device", "cpu", "--run-dir", "run"], cwd=tmp_path).returncode == 0
    assert any("fc" in name for name in events(tmp_path / "run")["nodes"])
