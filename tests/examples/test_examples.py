"""Every example trains, from `netc train` and as a script that stands alone, on small data of the real form."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netc.backends import training_data
from netc.cli import run
from tests import forked
from tests.data.formats import samples, write_cifar, write_mnist, write_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(p.relative_to(ROOT / "examples") for p in (ROOT / "examples").rglob("*.net") if "runs" not in p.parts)


def cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 with 20 images a file, whose sums the script is told."""
    place, key, *parts = training_data._CIFAR["CIFAR10"]
    images, labels = samples(20, (3, 32, 32), 10)
    found = [
        {name: write_cifar(folder / "data" / place, name, images, labels, key) for name in names} for names in parts
    ]
    monkeypatch.setitem(training_data._CIFAR, "CIFAR10", (place, key, found[0], found[1]))


def mnist(name: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """A set in the files of MNIST."""

    def write(folder: Path, _: pytest.MonkeyPatch) -> None:
        for start, count in (("train", 80), ("t10k", 40)):
            write_mnist(folder / "data" / name / "raw", start, *samples(count, (28, 28), 10))

    return write


def pictures(folder: Path, _: pytest.MonkeyPatch) -> None:
    sizes = [(150 + 7 * i, 170 - 3 * i) for i in range(6)]
    for part in ("train", "val"):
        write_pictures(folder / "hymenoptera" / part, {"ants": sizes, "bees": sizes[:4]}, ".jpg")


def letters(folder: Path, _: pytest.MonkeyPatch) -> None:
    """Five classes of pictures, and the weights of another LeNet, saved on several GPUs."""
    write_pictures(folder / "letters", {name: [(20, 20)] * 6 for name in "abcde"})
    weights = {"module.conv1.weight": torch.rand(6, 1, 5, 5), "module.fc3.weight": torch.rand(10, 84)}
    torch.save({"model": weights}, folder / "lenet.pt")


def flowers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowers102 as torchvision keeps it, whose sums aren't the published ones."""
    from torchvision.datasets import flowers102

    from tests.data.official_formats import flowers102 as write

    write(folder / "data")
    monkeypatch.setattr(flowers102, "check_integrity", lambda path, md5=None: Path(path).exists())


def nothing(folder: Path, _: pytest.MonkeyPatch) -> None:
    """What ships with netc, or lies beside the program."""


SMALL: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], list[str]]] = {
    "cifar10/cifar10.net": (cifar, ["train.epochs=2", "train.log_every=2"]),
    "diabetes/classification.net": (nothing, ["train.epochs=2"]),
    "diabetes/regression.net": (nothing, ["train.epochs=2"]),
    "fashion_mnist/fashion_mnist.net": (mnist("FashionMNIST"), ["train.epochs=2"]),
    "folder/ants_bees.net": (pictures, ["train.epochs=2", "data.batch_size=4"]),
    "groups/groups.net": (mnist("MNIST"), ["train.epochs=8", "data.batch_size=40"]),
    "lenet.net": (nothing, ["train.epochs=2"]),
    "lenet_mse/lenet_mse.net": (nothing, ["train.epochs=2"]),
    "resnet50/resnet50.net": (nothing, ["train.epochs=1", "data.batch_size=8", "data.train=Shapes(count=20)"]),
    "two_layers/two_layers.net": (cifar, ["train.epochs=2", "hidden=32", "data.validation=10"]),
    "vgg16/vgg16.net": (
        flowers,
        [
            "train.epochs=1",
            "weights=None",
            'data.train=Flowers102("data")',
            'data.validation=Flowers102("data", split="val")',
            # nor are the two layers of 120 million weights trained, whose momentum the checkpoints would have
            'train.freeze=["backbone.features.*", "backbone.classifier.0.*", "backbone.classifier.3.*"]',
        ],
    ),
    "warm_start/warm_start.net": (letters, ["train.epochs=6"]),
}


# Runs the script, with files of Flowers102 that aren't the published ones
UNSUMMED = """
import runpy, sys
from pathlib import Path
from torchvision.datasets import flowers102
flowers102.check_integrity = lambda path, md5=None: Path(path).exists()
sys.path.insert(0, "built")
runpy.run_path("built/train.py", run_name="__main__")
"""


def test_each_example_has_its_small_form() -> None:
    assert {p.as_posix() for p in EXAMPLES} == SMALL.keys()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield tmp_path
    for path in tmp_path.rglob("*.pt"):  # of VGG-16 there are gigabytes
        path.unlink()


@pytest.mark.parametrize("name", [p.as_posix() for p in EXAMPLES])
def test_an_example_trains(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data, settings = SMALL[name]
    program = folder / Path(name).name
    for path in (ROOT / "examples" / name).parent.iterdir():
        if path.suffix in (".net", ".py", ".csv"):
            shutil.copy(path, folder / path.name)
    data(folder, monkeypatch)
    monkeypatch.chdir(folder)
    chosen = [word for setting in settings for word in ("--set", setting)]
    assert run(["train", program.name, "--device", "cpu", *chosen]) == 0, capfd.readouterr().err
    made = Path("runs") / program.stem / "001"
    assert {"best.pt", "last.pt", "metrics.csv", "report.html"} <= {path.name for path in made.iterdir()}
    assert run(["build", program.name, "--out", "built", *chosen]) == 0
    arguments = ["--device", "cpu", "--run-dir", "alone"]
    alone = [*(["-c", UNSUMMED] if data is flowers else ["built/train.py"]), *arguments]
    done = forked.run(alone, cwd=folder, env=os.environ, prepare=_without_netc)
    assert done.returncode == 0, done.stderr
    _same(
        torch.load("alone/last.pt", weights_only=True)["model"],
        torch.load(made / "last.pt", weights_only=True)["model"],
    )


def _without_netc() -> None:
    """Let a process be one in which netc can't be imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "netc"]:
        del sys.modules[name]
    sys.modules["netc"] = None  # type: ignore[assignment]


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def test_one_picture_in_the_name_of_its_class_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.chdir(folder)
    shutil.copy(ROOT / "examples" / "lenet.net", folder / "lenet.net")
    assert run(["train", "lenet.net", "--device", "cpu", "--set", "train.epochs=3"]) == 0
    weights = torch.load("runs/lenet/001/best.pt", weights_only=True)
    elsewhere = {f"module.{name}": value for name, value in weights["model"].items()}
    torch.save(elsewhere, "trained_elsewhere.pt")
    pixels = np.zeros((60, 60), dtype=np.uint8)
    pixels[5:55, 26:34] = 255  # a bar that stands: one
    Image.fromarray(pixels).save("one.png")
    capfd.readouterr()
    assert run(["predict", "lenet.net", "one.png", "--weights", "runs/lenet/001/best.pt", "--device", "cpu"]) == 0
    assert "one.png" in capfd.readouterr().out
    assert run(["predict", "lenet.net", "one.png", "--weights", "trained_elsewhere.pt", "--device", "cpu"]) == 0
    assert "one.png" in capfd.readouterr().out


def test_all_parameters_with_their_sizes(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", "--params", str(ROOT / "examples" / "lenet_mse" / "lenet_mse.net")]) == 0
    out = capfd.readouterr().out
    for path in ("conv1.weight", "conv2.bias", "fc3.weight"):
        assert path in out
    assert "[6, 1, 5, 5]" in out
