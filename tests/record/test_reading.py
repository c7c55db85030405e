"""What a folder of a run tells, whole, damaged or foreign."""

from __future__ import annotations

import json
import os
import pickle
import platform
import zipfile
from pathlib import Path

import pytest

from netc.record import changes, checkpoint, reading, text

TABLE = "epoch,train_loss,validation_loss,validation_accuracy,lr,seconds\n"
TABLE += "1,2.0,1.5,0.5,0.1,10.0\n2,1.0,1.25,0.75,0.01,20.0\n"


def run_folder(folder: Path, table: str = TABLE, environment: object = None) -> Path:
    """A folder of a run with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.csv").write_text(table)
    (folder / "train.py").write_text("SEED = 0\nEPOCHS = 2  # times\n")
    if environment is not None:
        (folder / "environment.json").write_text(
            environment if isinstance(environment, str) else json.dumps(environment)
        )
    return folder


def session(**more: object) -> dict[str, object]:
    return {"sessions": [{"began": "2026-03-01T10:00:00+00:00", "pid": os.getpid(), "host": platform.node(), **more}]}


def test_a_run_by_the_script_alone(tmp_path: Path) -> None:
    run = reading.read(run_folder(tmp_path / "net" / "007"))
    assert (run.name, run.state, run.done, run.planned) == ("net/7", "finished", 2, 2)
    assert run.metrics == ("validation_accuracy", "validation_loss", "train_loss")
    assert run.best("validation_accuracy") == 0.75
    assert run.best("train_loss") == 1.0
    assert run.seconds == 30.0
    assert run.problems == ()


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"outcome": "finished"}, "finished after 2 of 9"),
        ({"outcome": "failed"}, "failed in epoch 3 of 9"),
        ({"outcome": "stopped"}, "stopped in epoch 3 of 9"),
        ({"ticks": reading.ticks(os.getpid())}, "running, epoch 3 of 9"),
        ({"ticks": 1}, "stopped in epoch 3 of 9"),  # the number of the process came again
        ({"host": "another"}, "stopped in epoch 3 of 9"),
        ({"pid": 2**22 + 1}, "stopped in epoch 3 of 9"),
        ({"pid": "x"}, "stopped in epoch 3 of 9"),
    ],
)
def test_states(tmp_path: Path, more: dict[str, object], state: str) -> None:
    folder = run_folder(tmp_path / "net" / "001", environment=session(**more) | {"epochs": 9})
    assert text.state(reading.read(folder)) == state


def test_an_old_table_that_ends_early_is_of_a_run_that_stopped(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "net" / "001", TABLE.rpartition("2,")[0])
    assert text.state(reading.read(folder)) == "1 of 2 epochs"  # it may be at work
    os.utime(folder / "metrics.csv", (0, 0))
    assert text.state(reading.read(folder)) == "stopped in epoch 2 of 2"


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("", 0),
        ("\x00\x01\x02", 0),
        ("epoch,epoch\n1,2\n", 0),
        (TABLE + "3,0.5,0.", 2),
        (TABLE + "x,1,1,1,1,1\n", 2),
        ("epoch,train_loss\n1,nan\n2,0.5\n", 2),
    ],
)
def test_damaged_tables(tmp_path: Path, table: str, rows: int) -> None:
    run = reading.read(run_folder(tmp_path / "net" / "001", table))
    assert len(run.rows) == rows
    assert bool(run.problems) == ("nan" not in table)
    assert text.detailed(run, [])
    assert text.compared([run, run])


@pytest.mark.parametrize(
    "environment", ["", "[1]", "{", "{" * 100_000, '{"sessions": 3, "epochs": "x", "settings": [1]}']
)
def test_damaged_environments(tmp_path: Path, environment: str) -> None:
    run = reading.read(run_folder(tmp_path / "net" / "001", environment=environment))
    assert run.done == 2
    assert text.listed([run])


def test_foreign_folders_are_passed_over(tmp_path: Path) -> None:
    run_folder(tmp_path / "net" / "010")
    run_folder(tmp_path / "net" / "9")
    (tmp_path / "net" / "011").mkdir()  # empty
    (tmp_path / "net" / "012").write_text("a file")
    (tmp_path / "Mar01_host" / "events").mkdir(parents=True)
    (tmp_path / "file").touch()
    assert [run.name for run in reading.all_runs(tmp_path)] == ["net/9", "net/10"]
    assert reading.all_runs(tmp_path / "nowhere") == []


def test_the_table_of_a_checkpoint_stands_in(tmp_path: Path) -> None:
    import torch

    folder = run_folder(tmp_path / "net" / "001")
    (folder / "metrics.csv").unlink()
    (folder / "train.py").unlink()
    rows = [{"epoch": 1, "train_loss": 0.5}]
    torch.save(
        {"model": {"w": torch.ones(3)}, "epoch": 1, "history": rows, "settings": {"epochs": 4}}, folder / "last.pt"
    )
    run = reading.read(folder)
    assert (run.done, run.planned, run.best("train_loss")) == (1, 4, 0.5)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch bombed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("last.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"epoch": 3, "bomb": _Bomb()}))
    assert checkpoint.facts(Path("last.pt")) == {"epoch": 3}
    assert not Path("bombed").exists()
    Path("last.pt").write_bytes(b"PK\x03\x04 damaged")
    assert checkpoint.facts(Path("last.pt")) == {}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "40 ms"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (3599, "59:59 min"),
        (3600, "1:00 h"),
        (7290, "2:02 h"),
        (None, "-"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert text.duration(seconds) == said


PROGRAM = """network Net(width = 8) {
  input image: [N, 1, 8, 8]
  Flatten -> fc: Linear(width)  # a comment
}
train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1) { "*.bias" { lr = 0.2 } } }
"""


def test_programs_are_compared_by_setting() -> None:
    one = changes.flatten(PROGRAM, {})
    other = changes.flatten(PROGRAM.replace("lr = 0.2", "lr=0.3").replace("  # a comment", ""), {"Net.width": "9"})
    assert one is not None
    assert other is not None
    assert changes.differing([one, other]) == {"Net.width": ("8", "9"), 'train.optimizer."*.bias".lr': ("0.2", "0.3")}
    assert changes.lines_changed(one, other) == {}
    third = changes.flatten(PROGRAM.replace("Flatten ->", "Flatten -> ReLU ->"), {})
    assert third is not None
    assert [line[0] for line in changes.lines_changed(one, third)["Net"]] == ["-", "+"]
    assert changes.flatten("network {", {}) is None
