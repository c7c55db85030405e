"""Arrays that stay on the disk: the samples that memory would hold, little memory, and what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netc import compiler
from netc.render import render
from netc.runtime.script import load_script
from tests.data.tables import program

if TYPE_CHECKING:
    from types import ModuleType

NPZ = 'train = Arrays("data.npz", inputs=["x"], labels="y")'
NPY = 'train = Arrays(inputs="x.npy", labels="y.npy")'
PAIR = "input left: [N, 3]\n  input right: [N, 2]\n  cat([left, right], 1)"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 4)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    save(x=x, y=labels)
    np.save("x2.npy", x + 1)
    np.save("y2.npy", labels)
    np.savez("pair.npz", a=x[:, :3], b=np.asfortranarray(x[:, 2:]), y=labels)


def save(x: np.ndarray, y: np.ndarray) -> None:
    np.savez("data.npz", x=x, y=y)
    np.save("x.npy", x)
    np.save("y.npy", y)


def files(data: str, inputs: int | str = 4, loss: str = "CrossEntropyLoss", more: str = "") -> compiler.Files:
    checked = compiler.analyse(program(data, inputs, 2, loss, more), "net.net", "net")
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return compiler.emit(checked.program)


def script(data: str, inputs: int | str = 4, loss: str = "CrossEntropyLoss", more: str = "") -> ModuleType:
    made = files(data, inputs, loss, more)
    assert made.train is not None
    return load_script(made.train, made.model)


def fails(data: str = NPZ) -> str:
    with pytest.raises(SystemExit) as end:
        script(f"{data}\n  cache = False").load_data()
    return str(end.value.code)


@pytest.mark.parametrize("data", [NPZ, NPY])
def test_samples_are_those_that_memory_would_hold(data: str) -> None:
    kept = script(f"{data}\n  validation = 0.2").load_data()
    mapped = script(f"{data}\n  validation = 0.2\n  cache = False").load_data()
    for part, (x, labels) in kept.items():
        samples, same = mapped[part]
        assert isinstance(samples.arrays[0][1], np.memmap)
        assert torch.equal(samples.batch(torch.arange(len(samples))), x)
        assert torch.equal(labels, same)


@pytest.mark.parametrize(
    ("data", "inputs", "loss", "more"),
    [
        (f"{NPZ}\n  validation = 0.2", 4, "CrossEntropyLoss", "metrics = [accuracy]"),
        (f"{NPY}\n  test = Arrays(inputs=\"x2.npy\", labels=\"y2.npy\")", 4, "CrossEntropyLoss", ""),
        (NPZ, 4, "MSELoss(output, x[:, :2])", ""),
        (NPZ, 4, "sqrt(MSELoss(output, x[:, :2]))", ""),
        ('train = Arrays("pair.npz", inputs=["a", "b"], labels="y")\n  balance = True', PAIR, "CrossEntropyLoss",
         'precision = "bf16"'),
    ],
    ids=["npz", "npy", "unlabelled", "whole", "several"],
)  # fmt: skip
def test_a_run_learns_the_same(data: str, inputs: int | str, loss: str, more: str) -> None:
    for name, cache in (("kept", ""), ("mapped", "\n  cache = False")):
        made = files(data + cache, inputs, loss, more)
        assert made.train is not None
        Path(f"{name}.py").write_text(made.train)
        script(data + cache, inputs, loss, more).main(["--device", "cpu", "--run-dir", name])
    first, second = (torch.load(f"{name}/last.pt", weights_only=True)["model"] for name in ("kept", "mapped"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    Path("model.py").touch()
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--line-length=88", "mapped.py"]
    check = subprocess.run([*ruff, "check", "--select=E,F,I,UP,B", *common], capture_output=True, text=True)
    layout = subprocess.run([*ruff, "format", "--diff", *common], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert layout.returncode == 0, layout.stdout


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_little_of_a_file_is_in_memory(ending: str) -> None:
    count = 100_000
    x = np.zeros((count, 500), np.float32)  # 200 MB
    save(x=x, y=np.arange(count) % 2)
    made = files(f"{NPZ if ending == 'npz' else NPY}\n  cache = False", 500)
    assert made.train is not None
    Path("train.py").write_text(made.train)
    Path("model.py").write_text(made.model)
    code = """
import train
def private():  # bytes that are no part of a file
    lines = open("/proc/self/status").read().split("\\n")
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
before = private()
samples, labels = train.load_data()["train"]
for index in torch.randperm(len(labels))[:20_000].split(64):
    samples.batch(index)
print(private() - before)
"""
    done = subprocess.run([sys.executable, "-c", f"import torch{code}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60_000_000


def test_a_compressed_array_is_refused() -> None:
    np.savez_compressed("data.npz", x=np.zeros((50, 4), np.float32), y=np.arange(50) % 2)
    assert fails() == "error: 'x' of data.npz is compressed, and can only be kept in memory"


def test_python_objects_are_refused() -> None:
    save(x=np.array([["a", {}]] * 50, dtype=object), y=np.arange(50) % 2)
    assert fails() == "error: 'x' of data.npz holds Python objects, which are not read"
    assert fails(NPY).startswith("error: x.npy cannot be read: Array can't be memory-mapped: Python objects in dtype")


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_what_is_wrong_is_said_before_training(ending: str) -> None:
    data, where = (NPZ, "'x' of data.npz") if ending == "npz" else (NPY, "x.npy")
    x, y = np.zeros((20_000, 4), np.float32), np.arange(20_000) % 2
    x[17_003, 2] = np.nan
    save(x=x, y=y)
    assert fails(data) == f"error: {where} has NaN or infinity in sample 17003, counted from 0"
    save(x=x[:90], y=y)
    assert "there should be as many samples in each array" in fails(data)
    save(x=x[:9, :3], y=y[:9])
    assert fails(data) == f"error: {where} is [9, 3], the network takes [N, 4] for x"
    save(x=x[:9], y=y[:9] + 1)
    assert "none of the 2 classes" in fails(data)


def test_files_that_cannot_be_read_are_named() -> None:
    Path("data.npz").write_bytes(Path("data.npz").read_bytes()[:300])
    assert fails().startswith("error: 'x' of data.npz cannot be read: ")
    Path("data.npz").unlink()
    assert fails().startswith("error: 'x' of data.npz cannot be read: ")
    Path("x.npy").write_bytes(Path("x.npy").read_bytes()[:300])
    assert fails(NPY).startswith("error: x.npy cannot be read: ")


def test_a_missing_array_is_named() -> None:
    np.savez("data.npz", z=np.zeros(3))
    assert fails() == "error: data.npz has no array 'x'; it has z"
