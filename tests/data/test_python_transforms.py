"""Transforms of a Python file: where they act in the script, what is kept of them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from netc import compiler
from netc.files import imported
from netc.render import render
from netc.runtime.prediction import preparer
from netc.runtime.script import load_script
from tests.data.formats import write_pictures

if TYPE_CHECKING:
    from types import ModuleType

    from netc import ir

FILTERS = """
import torch
from torch import Tensor

seen = []


class Speckle:
    def __init__(self, share: float, value: int = 255) -> None:
        self.share, self.value = share, value

    def __call__(self, image: Tensor) -> Tensor:
        seen.append((image.dtype, tuple(image.shape)))
        return image.masked_fill(torch.rand(image.shape[-2:]) < self.share, self.value)


def darker(image: Tensor, by: int = 2) -> Tensor:
    return image // by


def halved(image: Tensor) -> Tensor:
    return image / 2


def smaller(image: Tensor) -> Tensor:
    return image[:, 1:]
"""
NET = """
use "filters.py"

network Net {{
  input image: [N, {channels}, {size}, {size}]
  Flatten -> fc: Linear({classes})
}}

data {{
{data}
  batch_size = 64
}}

train {{
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.05)
  epochs    = 1
}}
"""
DIGITS = "  train = Digits()\n"
FOLDER = '  train = ImageFolder("pictures")\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    Path("filters.py").write_text(FILTERS)


def checked(data: str, **more: int) -> compiler.Checked:
    sizes = {"channels": 1, "size": 8, "classes": 10} | more
    return compiler.analyse(NET.format(data=data, **sizes), "net.net", "net", None, imported)


def made(data: str, **more: int) -> tuple[ModuleType, ir.Data]:
    found = checked(data, **more)
    assert not found.diagnostics, render(found.diagnostics[0], found.source)
    assert found.program is not None
    assert found.program.data is not None
    files = compiler.emit(found.program)
    assert files.train is not None
    assert (Path("filters.py"), "filters.py") in files.shipped
    beside = [source for source, target in files.shipped if target.endswith(".py")]
    return load_script(files.train, files.model, beside=beside), found.program.data


def test_a_class_in_the_augmentation() -> None:
    data = DIGITS + "  transform = ToTensor\n  augment = RandomHorizontalFlip(p=0.0) -> Speckle(0.5, value=9)"
    module, _ = made(data)
    images = torch.zeros(200, 1, 8, 8, dtype=torch.uint8)
    changed = module.augment(images)
    assert changed.unique().tolist() == [0, 9]
    assert 0.45 < (changed == 9).float().mean() < 0.55
    assert set(module.filters.seen) == {(torch.uint8, (1, 8, 8))}
    assert len(changed.flatten(1).unique(dim=0)) == 200  # each image has chances of its own


def test_functions_before_and_behind_the_conversion() -> None:
    module, data = made(DIGITS + "  transform = darker(by=5) -> darker -> ToTensor -> halved -> Normalize(0.5, 0.5)")
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    prepared = module.prepare(images)
    assert torch.equal(prepared, images // 5 // 2)
    assert torch.allclose(module.preprocess(prepared), (prepared / 510 - 0.5) / 0.5)
    assert torch.equal(preparer(data, module)(images[:1]), prepared[:1])


def test_pictures_that_differ_in_size() -> None:
    write_pictures(Path("pictures"), {"a": [(20, 30), (31, 12)], "b": [(25, 25)]})
    data = FOLDER + "  transform = Resize([8, 8]) -> ToTensor\n"
    data += "  augment = RandomRotation(5) -> Speckle(0.1) -> darker -> RandomResizedCrop(8)"
    module, _ = made(data, channels=3, classes=2)
    pictures, _ = module.load_data()["train"]
    assert module.augment(pictures.batch(torch.arange(3))).shape == (3, 3, 8, 8)
    assert [shape for _, shape in module.filters.seen] == [(3, 20, 30), (3, 31, 12), (3, 25, 25)]


def test_another_text_of_the_file_decodes_anew() -> None:
    write_pictures(Path("pictures"), {"a": [(20, 30)] * 2, "b": [(25, 25)]})
    data = FOLDER + "  transform = darker -> Resize([8, 8]) -> ToTensor"
    kept = []
    for text in (FILTERS, FILTERS, FILTERS.replace("image // by", "image // by // 2")):
        Path("filters.py").write_text(text)
        module, _ = made(data, channels=3, classes=2)
        pictures, _ = module.load_data()["train"]
        kept.append(pictures.pixels)
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[0], kept[2])
    assert len(list(Path("cache/pictures").iterdir())) == 2


def test_shape_and_type_have_to_stay() -> None:
    for step, said in (("smaller", r"makes torch\.uint8 \[1, 7, 8\] of torch\.uint8 \[1, 8, 8\]"),
                       ("halved", r"makes torch\.float32 \[1, 8, 8\] of torch\.uint8 \[1, 8, 8\]")):  # fmt: skip
        module, _ = made(DIGITS + f"  transform = ToTensor\n  augment = {step}")
        with pytest.raises(SystemExit, match=said):
            module.augment(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))


def test_a_module_whose_name_the_script_uses() -> None:
    Path("images.py").write_text(FILTERS)
    data = DIGITS + "  transform = darker -> ToTensor\n  augment = Speckle(1.0, value=3)"
    text = NET.replace("filters.py", "images.py").format(data=data, channels=1, size=8, classes=10)
    found = compiler.analyse(text, "net.net", "net", None, imported)
    assert found.program is not None
    files = compiler.emit(found.program)
    assert files.train is not None
    assert "import images as images_file\n" in files.train
    module = load_script(files.train, files.model, beside=[Path("images.py")])
    assert module.augment(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).unique().tolist() == [3]


@pytest.mark.parametrize(
    ("step", "code"),
    [("Speckle", "E0306"), ("Speckle(0.1, colour=3)", "E0302"), ("darker(1, 2)", "E0304"), ("Speckel(0.1)", "E0511")],
)
def test_arguments_are_those_of_the_file(step: str, code: str) -> None:
    found = checked(DIGITS + f"  transform = ToTensor\n  augment = {step}")
    assert [d.code for d in found.diagnostics] == [code], found.diagnostics


def test_the_script_is_clean(tmp_path: Path) -> None:
    import subprocess
    import sys

    data = (
        DIGITS + "  transform = darker(by=5) -> ToTensor -> halved\n  augment = Speckle(0.5, value=9) -> Speckle(0.1)"
    )
    found = checked(data)
    assert found.program is not None
    files = compiler.emit(found.program)
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text(str(files.train))
    (folder / "model.py").write_text(files.model)
    (folder / "filters.py").write_text("")
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--target-version=py311"]
    for command in (["check", *common, "--select=E,F,I,UP,B"], ["format", *common, "--diff"]):
        run = subprocess.run([*ruff, *command, "train.py"], cwd=folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout
