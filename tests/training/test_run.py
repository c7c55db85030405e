"""Runs of the script as processes: what they write, how they end, and that a run taken up again is the same run."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import functools
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.programs import call
from tests.training.scripts import Project, lenet_project

EPOCHS = 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return lenet_project(tmp_path_factory.mktemp("project") / "build" / "lenet", EPOCHS)


@pytest.fixture(scope="module")
def undisturbed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run from beginning to end, and its output: a process that imports torch itself."""
    folder = tmp_path_factory.mktemp("undisturbed")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *project.command()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "runs" / "lenet" / "001", done.stdout


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, weights_only=True)
    for row in state["history"]:
        del row["seconds"]
    return state


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal to the bit, through dicts and lists."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def assert_same_run(a: Path, b: Path) -> None:
    assert rows(a) == rows(b)
    for name in ("last.pt", "best.pt"):
        assert_same(load(a / name), load(b / name))


def test_a_run_from_beginning_to_end(undisturbed: tuple[Path, str]) -> None:
    run, out = undisturbed
    assert sorted(path.name for path in run.iterdir()) == ["best.pt", "last.pt", "metrics.csv"]
    lines = out.splitlines()
    assert lines[0] == "1293 images to train with, on cpu; files in runs/lenet/001"
    assert [line.split()[0] for line in lines[1 : EPOCHS + 2]] == ["epoch", "1", "2", "3", "4"]
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].split() == "epoch train loss validation loss accuracy lr seconds".split()
    assert lines[-1].startswith("test loss ")
    found = rows(run)
    assert [row["epoch"] for row in found] == ["1", "2", "3", "4"]
    losses = [float(row["train_loss"]) for row in found]
    assert losses[-1] < 0.75 * losses[0]


def test_the_best_epoch_is_the_one_of_the_best_validation(undisturbed: tuple[Path, str]) -> None:
    run, out = undisturbed
    key = [(float(r["validation_accuracy"]), -float(r["validation_loss"])) for r in rows(run)]
    best = key.index(max(key)) + 1
    assert load(run / "best.pt")["epoch"] == best
    assert f"best.pt is of epoch {best}" in out
    marked = [line.split()[0] for line in out.splitlines() if line.endswith("best")]
    assert marked[-1] == str(best)


def test_a_checkpoint_has_what_prediction_needs(undisturbed: tuple[Path, str]) -> None:
    state = load(undisturbed[0] / "last.pt")
    assert state["classes"] == [str(i) for i in range(10)]
    assert state["network"] == "LeNet"
    assert {"model", "optimizer", "scheduler", "epoch", "history", "generator", "settings"} <= state.keys()
    assert state["epoch"] == EPOCHS


def test_the_same_seed_gives_the_same_weights(project: Project, undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    code, _, _ = project.run(cwd=tmp_path)
    assert code == 0
    assert_same_run(undisturbed[0], tmp_path / "runs" / "lenet" / "001")


@pytest.mark.parametrize("wait", [0.0, 0.05], ids=["at the end of an epoch", "in the middle of one"])
def test_killed_and_resumed_equals_undisturbed(
    project: Project, undisturbed: tuple[Path, str], tmp_path: Path, wait: float
) -> None:
    process = project.start(cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        if line.split()[0] == "2":
            break
    time.sleep(wait)
    process.kill()
    process.communicate()
    run = tmp_path / "runs" / "lenet" / "001"
    assert 2 <= load(run / "last.pt")["epoch"] < EPOCHS
    code, out, err = project.run("--resume", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if line.strip()[0].isdigit()][-1] == "4"
    assert_same_run(undisturbed[0], run)


def test_ctrl_c_says_what_is_saved(project: Project, undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    process = project.start(cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[0] == "1":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    run = tmp_path / "runs" / "lenet" / "001"
    saved = load(run / "last.pt")["epoch"]
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"epoch {saved + 1}" in err
    assert "--resume runs/lenet/001" in err
    assert not list(run.glob("*.unfinished"))
    code, _, _ = project.run("--resume", "001", cwd=tmp_path)
    assert code == 0
    assert_same_run(undisturbed[0], run)


def test_a_finished_run_has_nothing_to_go_on_with(project: Project, undisturbed: tuple[Path, str]) -> None:
    run, _ = undisturbed
    before = (run / "last.pt").read_bytes()
    code, out, err = project.run("--resume", str(run), cwd=run)
    assert (code, err) == (0, "")
    assert f"best.pt is of epoch {load(run / 'best.pt')['epoch']}" in out
    assert (run / "last.pt").read_bytes() == before


def _small_files(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_full_disk_leaves_the_former_checkpoint(
    project: Project, undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = project.start("--run-dir", str(run), cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[0] == "2":
            break
    process.kill()
    process.communicate()
    before = (run / "last.pt").read_bytes()
    epoch = load(run / "last.pt")["epoch"]
    code, _, err = project.run(
        "--run-dir", str(run), "--resume", cwd=tmp_path, prepare=functools.partial(_small_files, 100_000)
    )
    assert code == 1
    assert "error: " in err
    assert ".pt cannot be written: File too large" in err
    assert "intact" in err
    assert "Traceback" not in err
    assert not list(run.glob("*.unfinished"))
    assert (run / "last.pt").read_bytes() == before
    code, _, _ = project.run("--run-dir", str(run), "--resume", cwd=tmp_path)
    assert code == 0
    assert load(run / "last.pt")["epoch"] > epoch
    assert_same_run(undisturbed[0], run)


def test_a_full_disk_shows_before_the_first_epoch(project: Project, tmp_path: Path) -> None:
    code, out, err = project.run(cwd=tmp_path, prepare=functools.partial(_small_files, 100_000))
    assert (code, out) == (1, "")
    assert err.startswith("error: runs/lenet/001/last.pt cannot be written")
    assert len(err.splitlines()) == 1


def test_runs_at_the_same_time_get_folders_of_their_own(project: Project, tmp_path: Path) -> None:
    processes = [project.start(cwd=tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert {out.splitlines()[0].rsplit(" ")[-1] for out in outputs} == {"runs/lenet/001", "runs/lenet/002"}


def test_the_bar_on_a_terminal(project: Project, tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, str(project.folder / "train.py"), "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=inside, stderr=inside, env=environment)
    os.close(inside)
    text = ""
    with contextlib.suppress(OSError):  # that is how a terminal ends
        while chunk := os.read(terminal, 65536):
            text += chunk.decode(errors="replace")
    os.close(terminal)
    assert process.wait() == 0
    for piece in ("epoch 1/4", "images/s", "loss=", "accuracy=", " left"):
        assert piece in text


@pytest.mark.parametrize(
    "schedule",
    [
        call("scheduler", "OneCycleLR", max_lr=0.1),
        call("scheduler", "ReduceLROnPlateau", patience=0),
        call("scheduler", "CyclicLR", base_lr=0.01, max_lr=0.1, step_size_up=30),
        None,
    ],
    ids=lambda s: s.name if s else "no schedule",
)
def test_every_kind_of_schedule_can_be_taken_up_again(
    schedule: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    optimizer = (
        call("optimizer", "AdamW", lr=0.003) if schedule is None else call("optimizer", "SGD", lr=0.05, momentum=0.9)
    )
    few = {"validation": 1237, "metrics": ()}
    script = lenet_project(tmp_path / "project", 3, schedule=schedule, optimizer=optimizer, **few).module()
    script.main(["--device", "cpu"])
    write_table, count = script.write_table, 0

    def stopping(path: Path, found: list[dict[str, float]]) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        write_table(path, found)

    script.__dict__["write_table"] = stopping
    with pytest.raises(SystemExit) as end:
        script.main(["--device", "cpu"])
    assert end.value.code == 130
    script.__dict__["write_table"] = write_table
    script.main(["--device", "cpu", "--resume"])
    assert_same_run(tmp_path / "runs" / "lenet" / "001", tmp_path / "runs" / "lenet" / "002")
