"""`netc runs`, and what `netc train` leaves for it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from netc.cli import run as netc_run
from netc.cli_runs import find
from netc.record import environment
from tests.cli.test_mistakes import PROGRAM, netc
from tests.record.test_reading import TABLE, run_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "runs" / "net" / "001", environment={"device": "cuda:0", "settings": {"train.epochs": "2"}})
    run_folder(tmp_path / "runs" / "net" / "002", TABLE.replace("1.25", "0.25").replace("0.75", "0.7"))
    run_folder(tmp_path / "runs" / "other" / "001")
    for i in (1, 2):
        (tmp_path / "runs" / "net" / f"00{i}" / "net.net").write_text(PROGRAM.replace("lr=0.1", f"lr=0.{i}"))
    return tmp_path


def say(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert netc_run(["runs", *arguments]) == code
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    "arguments", [(), ("net",), ("net/1",), ("runs/net/002",), ("compare", "net/1", "net/2", "other/1")]
)
def test_they_fit_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    said = say(capsys, *arguments)
    assert said
    assert max(map(len, said.splitlines())) <= 80


def test_the_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys)
    assert [line for line in said.splitlines() if line and line[0] != " "] == ["net", "other"]
    assert "75.00%" in said
    assert "cuda:0" in said
    assert "other" not in say(capsys, "net.net")


def test_sorting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def order(metric: str) -> list[str]:
        return [r["run"] for r in json.loads(say(capsys, "net", "--json", "--sort", metric))]

    assert order("validation_loss") == order("loss") == ["net/2", "net/1"]
    assert order("accuracy") == ["net/1", "net/2"]
    assert "did you mean `validation_loss`?" in say(capsys, "--sort", "validation_los", code=1)


def test_comparison(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "compare", "net/1", "net/2")
    assert "train.optimizer.lr  0.1  0.2" in said
    assert "train.epochs          2    1" in said  # what --set gave counts
    assert "75.00%*" in said
    assert "0.2500*" in said
    assert "are not compared" in say(capsys, "compare", "net/1", "other/1").replace("aren't", "are not")


@pytest.mark.parametrize("name", ["net", "net.net", "net/2", "runs/net", "runs/net/002"])
def test_a_program_stands_for_its_newest_run(folder: Path, name: str) -> None:
    assert find(name, Path("runs")).name == "net/2"


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there are 2 runs 1" in say(capsys, "1", code=1)
    assert "there are `net/1`" in say(capsys, "9", code=1)
    assert "no folder of a run" in say(capsys, ".", code=1)
    assert "at least two" in say(capsys, "compare", "net/1", code=2)
    assert "no runs in nowhere" in say(capsys, "--folder", "nowhere", code=1)
    assert say(capsys, "--folder", "nowhere", "--json").strip() == "[]"


def test_names_from_the_disk_do_not_reach_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder(folder / "runs" / "\x1b[31mred" / "001", TABLE.replace("train_loss", "\x1b[2Jloss"))
    assert "\x1b" not in say(capsys)
    assert "\x1b" not in say(capsys, "runs/\x1b[31mred/001")


def test_what_training_records(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(PROGRAM)
    netc("train", "--device", "cpu", "--set", "train.epochs=2", "--set", "train.seed=5", cwd=tmp_path)
    run = tmp_path / "runs" / "net" / "001"
    found = json.loads((run / "environment.json").read_text())
    assert found["program"] == {"file": "net.net", "sha256": hashlib.sha256(PROGRAM.encode()).hexdigest()}
    assert (found["seed"], found["epochs"], found["device"], found["threads"]) == (5, 2, "cpu", 1)
    assert found["settings"] == {"train.epochs": "2", "train.seed": "5"}
    assert found["data"][0]["of"] == "contents"
    (only,) = found["sessions"]
    assert only["outcome"] == "finished"
    assert only["command"].endswith("train --device cpu --set train.epochs=2 --set train.seed=5")
    assert only["peak_memory"] > 2**26
    assert {"python", "torch", "torchvision", "platform", "processor", "cores", "host"} <= found.keys()

    netc("train", "--resume", cwd=tmp_path)
    again = json.loads((run / "environment.json").read_text())
    assert len(again["sessions"]) == 2
    assert again["settings"] == found["settings"]  # those of its beginning
    assert again["data"] == found["data"]
    listed = json.loads(netc("runs", "--json", cwd=tmp_path).stdout)
    assert [(r["run"], r["state"], r["epochs"]) for r in listed] == [("net/1", "finished", 2)]


def test_a_run_that_fails_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(PROGRAM.replace("lr=0.1", "lr=1e38"))
    netc("train", "--device", "cpu", cwd=tmp_path, code=1)
    (run,) = json.loads(netc("runs", "--json", cwd=tmp_path).stdout)
    assert run["state"] == "failed"
    assert "the loss is" in run["environment"]["sessions"][0]["problem"]


def test_the_digest_of_data_is_of_what_is_in_it(tmp_path: Path) -> None:
    for name in ("ants/1.png", "bees/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())

    def digest() -> object:
        return environment._digest_of(environment._files(tmp_path), tmp_path)["sha256"]

    before = digest()
    os.utime(tmp_path / "ants" / "1.png", (0, 0))
    assert digest() == before
    (tmp_path / "ants").rename(tmp_path / "swap")
    (tmp_path / "bees").rename(tmp_path / "ants")
    (tmp_path / "swap").rename(tmp_path / "bees")
    assert digest() != before


def test_the_data_of_large_sets_is_listed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_WHOLE", 3)
    (tmp_path / "a").write_bytes(b"1234")
    found = environment._digest_of([tmp_path / "a", tmp_path / "gone"], tmp_path)
    assert (found["files"], found["bytes"], found["of"]) == (1, 4, "names, sizes and times")
