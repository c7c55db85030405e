"""Generated scripts in a folder of their own, run as processes or loaded as modules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netc.backends.training import emit, files_to_ship
from netc.runtime.script import load_script
from tests.forked import Started
from tests.training.programs import image_input, lenet

if TYPE_CHECKING:
    from types import ModuleType

    from netc import ir

LENET = """
from torch import Tensor, nn
from torch.nn import functional as F


class LeNet(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.drop = nn.Dropout(0.1)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(image)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(self.drop(x.flatten(1)))))
"""

TINY = """
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.LazyConv2d(4, 3, stride=2)
        self.fc = nn.LazyLinear({classes})
        self(__import__("torch").zeros(2, {channels}, {height}, {width}))

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.conv(image).relu().mean((2, 3)))
"""


def tiny(channels: int, height: int, width: int, classes: int) -> str:
    """The text of a model.py with the network `Net`."""
    return TINY.format(channels=channels, height=height, width=width, classes=classes)


class Project:
    """A folder with train.py, model.py and what ships with them."""

    def __init__(self, folder: Path, text: str, model: str, data: ir.Data) -> None:
        self.folder = folder
        self.text = text
        self.model = model
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.py").write_text(text, encoding="utf-8")
        (folder / "model.py").write_text(model, encoding="utf-8")
        for source, target in files_to_ship(data):
            (folder / target).parent.mkdir(exist_ok=True)
            shutil.copy(source, folder / target)

    def module(self) -> ModuleType:
        """The script as a module that believes to lie in the folder."""
        return load_script(self.text, self.model, self.folder)

    def command(self, *arguments: str) -> list[str]:
        """What stands behind `python` to run the script on the CPU."""
        return [str(self.folder / "train.py"), "--device", "cpu", *arguments]

    def start(self, *arguments: str, cwd: Path, **options: Any) -> Started:
        """The script as a process on the CPU, its output to be read line by line."""
        return Started(self.command(*arguments), cwd, os.environ | {"OMP_NUM_THREADS": "1"}, **options)

    def run(self, *arguments: str, cwd: Path, **options: Any) -> tuple[int, str, str]:
        """Run the script to its end: exit code, output, errors."""
        process = self.start(*arguments, cwd=cwd, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def lenet_project(folder: Path, epochs: int = 2, **changes: Any) -> Project:
    """LeNet on the digits in a folder."""
    data, train = lenet(epochs, **changes)
    text = emit("LeNet", "lenet", image_input(1, 32, 32), data, train, outputs=10)
    return Project(folder, text, LENET, data)


def tiny_project(folder: Path, data: ir.Data, train: ir.Train, shape: tuple[int, int, int], classes: int) -> Project:
    """A small network on any data in a folder."""
    text = emit("Net", "net", image_input(*shape), data, train, outputs=classes)
    return Project(folder, text, tiny(*shape, classes), data)
