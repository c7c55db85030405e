"""Data sets of a Python file in the script: their samples, what is wrong with them, and runs on them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from netc import compiler
from netc.files import imported
from netc.render import render
from netc.runtime.script import load_script
from tests.data.tables import program

if TYPE_CHECKING:
    from types import ModuleType

SETS = """
import torch
from torch.utils.data import Dataset


class Signs(Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, count: int, scale: float = 1.0) -> None:
        self.x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count)) * scale

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.x[i], int(self.x[i].sum() > 0)


class Turned(Signs):
    def __getitem__(self, i: int):
        return "name", int(self.x[i].sum() > 0), self.x[i].double().numpy()


class Alone(Signs):
    def __getitem__(self, i: int):
        return self.x[i]


class Noisy(Signs):
    def __getitem__(self, i: int):
        return self.x[i] + torch.rand(4), i % 2


class Uneven(Signs):
    def __getitem__(self, i: int):
        return torch.zeros(4 if i < 3 else 5), 0


class Raises(Signs):
    def __getitem__(self, i: int):
        if i == 2:
            raise KeyError("two")
        return self.x[i], 0
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sets.py").write_text(SETS, encoding="utf-8")


def files(data: str, outputs: int = 2, loss: str = "CrossEntropyLoss", more: str = "") -> compiler.Files:
    text = 'use "sets.py"\n' + program(data, 4, outputs, loss, more)
    checked = compiler.analyse(text, "net.net", "net", None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return compiler.emit(checked.program)


def script(data: str, outputs: int = 2, loss: str = "CrossEntropyLoss", more: str = "") -> ModuleType:
    made = files(data, outputs, loss, more)
    assert made.train is not None
    return load_script(made.train, made.model, beside=[source for source, _ in made.shipped])


def fails(data: str) -> str:
    with pytest.raises(SystemExit) as end:
        script(data).load_data()
    return str(end.value.code)


def test_samples_are_those_of_the_data_set() -> None:
    module = script("train = Signs(10)\n  validation = 0.2\n  test = Signs(6, scale=2.0)")
    data = module.load_data()
    sets = module.Signs(10), module.Signs(6, 2.0)
    assert {part: len(x) for part, (x, _) in data.items()} == {"train": 8, "validation": 2, "test": 6}
    x, labels = data["test"]
    for i in range(6):
        assert torch.equal(x[i], sets[1][i][0])
        assert labels[i] == sets[1][i][1]
    assert (x.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_the_file_lies_beside_the_script() -> None:
    made = files("train = Signs(count=10)")
    assert [target for _, target in made.shipped] == ["sets.py"]
    assert made.train is not None
    assert "\n# isort: split\nfrom model import Net\nfrom sets import Signs\n" in made.train
    assert "read_dataset(Signs(count=10))" in made.train


def test_fields_by_their_names() -> None:
    data = script("train = Turned(10)\n  fields = [name, label, x]").load_data()
    expected = script("train = Signs(10)").load_data()
    assert torch.equal(data["train"][0], expected["train"][0])
    assert torch.equal(data["train"][1], expected["train"][1])


def test_a_name_that_the_script_uses_itself() -> None:
    Path("sets.py").write_text(SETS.replace("class Alone", "class Path(Signs):\n    pass\n\n\nclass Alone"))
    made = files("train = Path(5)").train
    assert made is not None
    assert "from sets import Path as PathData" in made
    assert len(script("train = Path(5)").load_data()["train"][0]) == 5


@pytest.mark.parametrize("name", ["Signs", "Alone"])
def test_without_labels(name: str) -> None:
    module = script(f"train = {name}(20)\n  validation = 0.2", 4, "MSELoss(output, x)")
    module.main(["--device", "cpu", "--run-dir", "run"])
    assert torch.load("run/last.pt", weights_only=True)["epoch"] == 2


def test_a_run() -> None:
    module = script("train = Signs(200)\n  test = Signs(50)", more="metrics = [accuracy]")
    module.main(["--device", "cpu", "--run-dir", "run"])
    assert Path("run/metrics.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("train = Signs(0)", "Signs has no samples"),
        ("train = Turned(5)", "a sample of Turned should have 2 tensors or numbers: ['tuple', 'Tensor', 'Tensor']"),
        ("train = Alone(5)", "a sample of Alone should have 2 tensors or numbers: ['Tensor']"),
        ("train = Noisy(5)", "Noisy gives another sample 0 each time; write `cache = False` in the .net file"),
        ("train = Uneven(5)", "the samples of Uneven do not make up one tensor: stack expects each tensor"),
    ],
)
def test_what_is_wrong_is_said(data: str, message: str) -> None:
    assert fails(data).startswith(f"error: {message}")


def test_what_the_data_set_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="two"):
        script("train = Raises(5)").load_data()


def test_asked_in_each_epoch_it_learns_the_same() -> None:
    kept, asked = (
        script(f"train = Signs(60)\n  validation = 0.2\n  test = Signs(20, scale=0.5)\n{cache}",
               more="metrics = [accuracy]")
        for cache in ("", "\n  cache = False")
    )  # fmt: skip
    for name, module in (("kept", kept), ("asked", asked)):
        module.main(["--device", "cpu", "--run-dir", name])
    first, second = (torch.load(f"{name}/last.pt", weights_only=True)["model"] for name in ("kept", "asked"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_chance_in_a_data_set_has_its_say_in_each_epoch() -> None:
    module = script("train = Noisy(8)\n  cache = False")
    samples, labels = module.load_data()["train"]
    index = torch.arange(4)
    assert not torch.equal(samples.batch(index), samples.batch(index))
    assert labels.tolist() == [0, 1] * 4
    module.main(["--device", "cpu", "--run-dir", "run"])


@pytest.mark.parametrize("options", ["", 'precision = "bf16"\n  accumulate = 2\n  ema = 0.9'])
def test_asked_for_two_inputs_and_no_labels(options: str, tmp_path: Path) -> None:
    Path("sets.py").write_text(
        SETS
        + """

class Pairs(Signs):
    def __getitem__(self, i: int):
        return self.x[i, :3], self.x[i, 3:]
"""
    )
    inputs = "input left: [N, 3]\n  input right: [N, 1]\n  cat([left, right], 1)"
    text = 'use "sets.py"\n' + program("train = Pairs(20)\n  cache = False\n  validation = 5", inputs, 3,
                                       "MSELoss(output, left)", options)  # fmt: skip
    checked = compiler.analyse(text, "net.net", "net", None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    made = compiler.emit(checked.program)
    assert made.train is not None
    Path("train.py").write_text(made.train)
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--line-length=88", "train.py"]
    assert subprocess.run([*ruff, "check", "--select=E,F,UP,B", *common], capture_output=True).returncode == 0
    assert subprocess.run([*ruff, "format", "--diff", *common], capture_output=True).returncode == 0
    module = load_script(made.train, made.model, beside=[source for source, _ in made.shipped])
    module.main(["--device", "cpu", "--run-dir", "run"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_number_that_is_none_is_named_before_training(workers: int) -> None:
    broken = (
        SETS
        + """

class Broken(Signs):
    def __getitem__(self, i: int):
        return self.x[i] * (float("nan") if i == 37 else 1.0), 0
"""
    )
    Path("sets.py").write_text(broken, encoding="utf-8")
    said = fails(f"train = Broken(50)\n  cache = False\n  workers = {workers}")
    assert said == "error: Broken has NaN or infinity in sample 37, counted from 0"
