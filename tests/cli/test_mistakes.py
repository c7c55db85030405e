"""Mistakes of the user on the command line: a clear error, exit code 1, no traceback, nothing lost."""

from __future__ import annotations

import functools
import gzip
import json
import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from netc.cli import run
from netc.resources import resource as shipped
from tests import forked

if TYPE_CHECKING:
    import subprocess

NETWORK = """network Net(classes = 10) {
  input image: [N, 1, 8, 8]
  Flatten -> fc: Linear(classes)
}
"""
PROGRAM = (
    NETWORK
    + """data {
  train      = Digits()
  validation = 0.1
  transform  = ToTensor
  batch_size = 256
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.1)
  epochs    = 1
  metrics   = [accuracy]
}
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """What a command prints; it must end with the code, and without a traceback."""
    assert run(list(arguments)) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out + captured.err


def netc(*arguments: str, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    done = forked.run(["-m", "netc", *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"}, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


# --- the file ---------------------------------------------------------------------------------------------------------


def test_no_such_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "lenet.net").write_text(NETWORK)
    said = say(capsys, "check", "lennet.net")
    assert "there is no file `lennet.net`" in said
    assert "did you mean `lenet.net`?" in said


def test_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a folder" in say(capsys, "check", str(folder))


def test_no_program_in_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "this folder has no .net file" in say(capsys, "build")


def test_several_programs_in_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.net", "a.net"):
        (folder / name).write_text(NETWORK)
    assert "2 .net files: a.net, b.net" in say(capsys, "build")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "x.net:1:1"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "x.net:1:1: the byte 0x89 is not UTF-8 text"),
        (b"network A {\n  \xff\n}", "x.net:2:3: the byte 0xff is not UTF-8 text"),
        (b"network\x00 A {}", "x.net:1:8: a NUL character"),
        (NETWORK.encode("utf-16"), "is UTF-16 text"),
        (NETWORK.encode("utf-16-be"), "UTF-8"),
        (b"x" * 1_000_001, "1,000,001 bytes"),
    ],
    ids=["empty", "picture", "byte", "nul", "utf-16", "utf-16-be", "large"],
)
def test_content_that_is_no_program(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes, expected: str
) -> None:
    (folder / "x.net").write_bytes(content)
    assert expected in say(capsys, "check", "x.net")


def test_byte_order_mark_and_windows_lines_are_fine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_bytes(b"\xef\xbb\xbf" + NETWORK.replace("\n", "\r\n").encode())
    assert "no mistakes" in say(capsys, "check", "x.net", code=0)


def test_errors_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_text(NETWORK.replace("Linear", "Liner"))
    assert run(["check", "--json", "x.net"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["line"], found["column"], found["help"]) == ("E0202", 3, 18, "did you mean `Linear`?")


# --- settings, networks, output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("train.epoch=3", "did you mean `train.epochs`?"),
        ("clases=3", "did you mean `classes`?"),
        ("train.epochs=three(", "does not parse"),
        ("train.epochs=-1", "`epochs` is a positive integer"),
        ("classes=100", "`Digits` has 10 classes"),
    ],
)
def test_settings(folder: Path, capsys: pytest.CaptureFixture[str], setting: str, expected: str) -> None:
    (folder / "x.net").write_text(PROGRAM)
    assert expected in say(capsys, "check", "--set", setting)


def test_settings_without_a_value_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "key=value" in say(capsys, "check", "--set", "classes", code=2)


def test_an_ambiguous_setting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_text(NETWORK + NETWORK.replace("Net", "Other"))
    said = say(capsys, "check", "--set", "classes=3")
    assert "`Net.classes`" in said
    assert "`Other.classes`" in said


def test_no_such_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_text(NETWORK)
    assert "there is no network `Nett`" in say(capsys, "build", "--network", "Nett")


def test_output_folder_that_is_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_text(NETWORK)
    (folder / "build").write_text("mine")
    assert "`build" in say(capsys, "build")
    assert (folder / "build").read_text() == "mine"


def test_output_folder_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.net").write_text(NETWORK)
    said = say(capsys, "build", "--out", "/proc/here")
    assert "/proc/here" in said
    assert "--out" in said


def test_a_bug_of_ours(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x.net").write_text(NETWORK)
    monkeypatch.setattr("netc.compiler.verify", lambda program: 1 / 0)
    assert run(["check"]) == 70
    said = capsys.readouterr().err
    assert "netc has a bug" in said
    assert "report it" in said
    assert "ZeroDivisionError" in said


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such command" in say(capsys, "trian", code=2)
    assert "--onnx" in say(capsys, "export", code=2)


def test_colour_only_on_a_terminal_and_never_with_no_color(folder: Path) -> None:
    (folder / "x.net").write_text(NETWORK.replace("Linear", "Liner"))
    assert "\x1b[" not in netc("check", code=1).stderr


# --- running ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program and one finished run."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "net.net").write_text(PROGRAM)
    netc("train", "--device", "cpu", cwd=folder)
    return folder


def copied(trained: Path, folder: Path) -> Path:
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return folder


def test_a_device_that_is_not_there(folder: Path) -> None:
    (folder / "net.net").write_text(PROGRAM)
    said = netc("train", "--device", "cuda:9", code=1).stderr
    assert "there is no device 'cuda:9' here" in said
    assert "cpu" in said
    assert not list(folder.glob("runs/net/*"))  # a run that never began leaves nothing that --resume would find


def test_a_data_folder_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAM.replace("Digits()", 'MNIST("nowhere")').replace("ToTensor", "Resize(8) -> ToTensor")
    (folder / "net.net").write_text(program)
    said = say(capsys, "train")
    assert "net.net:6:16" in said
    assert "the folder `nowhere` of `MNIST` is not there" in said
    assert "download=True" in said
    assert not (folder / "runs").exists()


def test_folders_that_are_one_by_a_link(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "cat").mkdir(parents=True)
    (folder / "held").symlink_to(folder / "photos", target_is_directory=True)
    sets = 'ImageFolder("photos")\n  validation = ImageFolder("held")'
    program = PROGRAM.replace("Digits()\n  validation = 0.1", sets)
    program = program.replace("ToTensor", "Resize([8, 8]) -> Grayscale -> ToTensor")
    (folder / "net.net").write_text(program)
    said = say(capsys, "train")
    assert "error[E0521]: `held` has pictures that are trained on" in said
    assert "net.net:7:16" in said
    assert not (folder / "runs").exists()


def test_data_cut_short_and_labels_out_of_range(folder: Path) -> None:
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = shipped("digits")
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (raw / name).write_bytes(gzip.decompress((digits / f"{name}.gz").read_bytes()))
    images, labels = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    program = PROGRAM.replace("Digits()", 'MNIST("data")').replace("ToTensor", "Resize(8) -> ToTensor")
    (folder / "net.net").write_text(program)

    whole = labels.read_bytes()
    labels.write_bytes(whole[:-1] + b"\x2a")
    said = netc("train", "--device", "cpu", code=1).stderr
    assert "the label 42 at position 1436" in said
    assert "net.net:6:16" in said

    labels.write_bytes(whole)
    images.write_bytes(images.read_bytes()[:-1000])
    said = netc("train", "--device", "cpu", code=1).stderr
    assert f"{images.relative_to(folder)}" in said
    assert "bytes expected" in said
    assert "net.net:6:16" in said


def test_weights_of_another_network(trained: Path, folder: Path) -> None:
    copied(trained, folder)
    (folder / "net.net").write_text(PROGRAM.replace("Flatten", "Flatten -> hidden: Linear(7)"))
    for command in (["eval"], ["export", "--onnx"]):
        said = netc(*command, code=1).stderr
        assert "runs/net/001/best.pt` does not fit Net" in said
        assert "hidden.weight" in said
    assert not (folder / "net.onnx").exists()


def test_a_checkpoint_cut_short(trained: Path, folder: Path) -> None:
    copied(trained, folder)
    best = folder / "runs" / "net" / "001" / "best.pt"
    best.write_bytes(best.read_bytes()[:500])
    for command in (["eval"], ["export", "--onnx"], ["predict", "x.png"]):
        (folder / "x.png").write_bytes(b"")
        said = netc(*command, code=1).stderr
        assert "cut short" in said or "x.png" in said


def test_nothing_trained_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "net.net").write_text(PROGRAM)
    for command in (["eval"], ["export", "--onnx"], ["predict", "x.png"]):
        said = say(capsys, *command)
        assert "there are no trained weights of net" in said
        assert "--weights" in said
    assert "there is no run of net" in say(capsys, "train", "--resume")


def test_resume_with_other_settings(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied(trained, folder)
    assert "other settings" in say(capsys, "train", "--resume", "--set", "train.epochs=9")


def test_a_full_disk_while_saving(trained: Path, folder: Path) -> None:
    """The checkpoint can't be written; the former one is still there and whole."""
    copied(trained, folder)
    (folder / "net.net").write_text(PROGRAM)
    run_folder = folder / "runs" / "net" / "001"
    last = run_folder / "last.pt"
    state = torch.load(last, weights_only=True)
    state["history"] = []
    torch.save(state, last)
    before = last.read_bytes()
    limit = len(before) // 2
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    said = netc("train", "--resume", "--device", "cpu", code=1, prepare=limited).stderr
    assert ".pt cannot be written" in said
    assert "intact" in said
    assert last.read_bytes() == before
    assert not list(run_folder.glob("*.unfinished"))


def test_a_tolerance_that_nothing_meets_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "net.net").write_text(PROGRAM)
    assert "--tolerance" in say(capsys, "export", "--onnx", "--tolerance", "0", code=2)


def test_onnx_into_a_folder_that_cannot_be_written(trained: Path, folder: Path) -> None:
    copied(trained, folder)
    said = netc("export", "--onnx", "-o", "/proc/here/net.onnx", code=1).stderr
    assert "/proc/here" in said
