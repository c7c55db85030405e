"""Data sets that torchvision opens: the same pictures and labels, from files of the real formats."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from netc import catalog
from netc.backends.training import emit
from netc.catalog.data import dataset_facts, dataset_reject, sample_count
from netc.catalog.data_official import OFFICIAL, OTHER_USES
from tests.data.official_formats import WRITERS
from tests.data.test_reading import script
from tests.training.programs import TO_TENSOR, data, dataset, image_input, train, transform

# Sums that these small files can't have; torchvision is made to believe them.
MODULES = (
    "caltech clevr dtd fer2013 flowers102 gtsrb imagenet imagenette lfw omniglot pcam places365 semeion stl10 svhn usps"
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETC_CACHE", str(tmp_path / "cache"))
    for name in MODULES.split():
        module = getattr(torchvision.datasets, name)
        if hasattr(module, "check_integrity"):
            monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).exists())
    for kind in (torchvision.datasets.Omniglot, torchvision.datasets.STL10, torchvision.datasets.LFWPeople):
        monkeypatch.setattr(kind, "_check_integrity", lambda self: True)


def sections(name: str, **given: Any) -> Any:
    facts = OFFICIAL[name]
    call = dataset(name, "data", **given)
    other = dataset(name, "data", **given) if facts.parts and facts.argument not in given else None
    return data(call, transform=(transform("Resize", [9, 8]), TO_TENSOR), batch_size=4, validation=other)


def made(name: str, **given: Any) -> ModuleType:
    channels = OFFICIAL[name].image[0]
    return script(sections(name, **given), (channels, 9, 8), 3)


def expected(name: str, training: bool, **given: Any) -> tuple[list[torch.Tensor], list[int]]:
    """What torchvision's class gives of the part that is meant."""
    facts = OFFICIAL[name]
    if facts.parts and facts.argument not in given:
        part: Any = next(iter(facts.parts)) if training else [*facts.parts][-1]
        given = given | {facts.argument: part == "train" if facts.argument == "train" else part}
    samples = getattr(torchvision.datasets, name)("data", **given)
    pairs = [samples[i] for i in range(len(samples))]
    if "sorted" in facts.pairs:
        files = [path for path, _ in getattr(torchvision.datasets, name)("data", **given, loader=str)]
        pairs = [pairs[i] for i in sorted(range(len(pairs)), key=lambda i: str(files[i]))]
    images = [v2.functional.pil_to_tensor(i.convert("RGB") if facts.image[0] == 3 else i) for i, _ in pairs]
    return [v2.functional.resize(image, [9, 8]) for image in images], [int(label) for _, label in pairs]


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OFFICIAL),
    ("DTD", {"partition": 7}),
    ("FGVCAircraft", {"annotation_level": "family"}),
    ("Imagenette", {"size": "160px"}),
    ("OxfordIIITPet", {"target_types": "binary-category"}),
    ("STL10", {"folds": 1, "split": "train"}),
    ("SVHN", {"split": "extra"}),
    ("Country211", {"split": "valid"}),
    ("USPS", {"train": False}),
]


@pytest.mark.parametrize(("name", "given"), CASES, ids=lambda v: str(v))
def test_pictures_and_labels_are_those_of_torchvision(name: str, given: dict[str, Any]) -> None:
    if name == "PCAM":
        pytest.importorskip("h5py", reason="PCAM is read with it")
    WRITERS[name](Path("data"))
    if name == "SEMEION":
        given = given | {"download": False}
    found = made(name, **given).load_data()
    for role, (images, labels) in found.items():
        theirs = expected(name, role == "train", **given)
        assert labels.tolist() == theirs[1]
        assert labels.dtype == torch.int64
        ours = torch.cat(images.batch(torch.arange(len(images)))) if OFFICIAL[name].listed else images
        assert torch.equal(ours, torch.stack(theirs[0]))
    assert set(found) == ({"train", "validation"} if "validation" in found else {"train"})
    assert len(labels) > 1


def test_names_of_classes_come_from_torchvision() -> None:
    for name, names in (
        ("DTD", ["banded", "dotted"]),
        ("EuroSAT", ["Forest", "River"]),
        ("ImageNet", ["tench, Tinca tinca", "goldfish"]),
        ("Caltech101", ["accordion", "airplanes"]),
        ("OxfordIIITPet", ["Abyssinian", "American Bulldog", "Bengal"]),
        ("StanfordCars", ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]),
    ):
        WRITERS[name](Path("data"))
        assert made(name).class_names() == names
    assert made("OxfordIIITPet", target_types="binary-category").class_names() == ["Cat", "Dog"]
    digits = made("SVHN").CLASS_NAMES
    assert digits == list("0123456789")


def test_pictures_of_a_set_are_decoded_once(tmp_path: Path) -> None:
    WRITERS["DTD"](Path("data"))
    made("DTD").load_data()
    module = made("DTD")

    def read_picture(path: Path) -> torch.Tensor:
        raise AssertionError(f"{path} is decoded again")

    module.__dict__["read_picture"] = read_picture
    module.load_data()


@pytest.mark.parametrize("name", ["DTD", "SVHN", "ImageNet", "StanfordCars"])
def test_a_set_that_is_not_there(name: str) -> None:
    with pytest.raises(SystemExit, match="error: the train data cannot be opened: "):
        made(name).load_data()


def test_a_picture_that_is_missing_is_named() -> None:
    WRITERS["Food101"](Path("data"))
    Path("data/food-101/images/waffles/train1.jpg").unlink()
    with pytest.raises(
        SystemExit, match=r"error: data/food-101/images/waffles/train1\.jpg cannot be read: No such file"
    ):
        made("Food101").load_data()


def test_faces_without_labels() -> None:
    WRITERS["FER2013"](Path("data"))
    rows = Path("data/fer2013/fer2013.csv").read_text().splitlines()
    Path("data/fer2013/fer2013.csv").unlink()
    Path("data/fer2013/train.csv").write_text("\n".join([rows[0], rows[1]]))
    Path("data/fer2013/test.csv").write_text("\n".join(line.partition(",")[2] for line in rows))
    with pytest.raises(SystemExit, match="error: the validation data has no labels"):
        made("FER2013").load_data()


def test_every_script_is_clean(tmp_path: Path) -> None:
    for i, (name, given) in enumerate(CASES):
        folder = tmp_path / "scripts" / f"{name}{i}"
        folder.mkdir(parents=True)
        text = emit("Net", "net", image_input(3, 9, 8), sections(name, **given), train(), outputs=3)
        (folder / "train.py").write_text(text)
        (folder / "model.py").write_text("")
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--target-version=py311"]
    for command in (["check", *common, "--select=E,F,I,UP,B"], ["format", *common, "--diff"]):
        run = subprocess.run([*ruff, *command, "."], cwd=tmp_path / "scripts", capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


def test_every_data_set_of_torchvision_is_read_or_said_to_be_for_something_else() -> None:
    own = {"MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "CIFAR10", "CIFAR100", "ImageFolder", "FakeData"}
    assert set(catalog.datasets()) == own | set(OFFICIAL) | set(OTHER_USES)
    assert not set(OFFICIAL) & set(OTHER_USES)


@pytest.mark.parametrize(
    ("name", "given", "argument"),
    [
        ("DTD", {"split": "valid"}, "split"),
        ("DTD", {"partition": 11}, "partition"),
        ("Places365", {"split": "test"}, "split"),
        ("STL10", {"split": "unlabeled"}, "split"),
        ("STL10", {"folds": 10}, "folds"),
        ("Caltech101", {"target_type": "annotation"}, "target_type"),
        ("OxfordIIITPet", {"target_types": ["category", "segmentation"]}, "target_types"),
        ("StanfordCars", {"download": True}, "download"),
        ("INaturalist", {"version": "2020"}, "version"),
        ("Food101", {"loader": 1}, "loader"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be(name: str, given: dict[str, Any], argument: str) -> None:
    reject = dataset_reject(given, name)
    assert reject is not None
    assert reject.argument == argument
    assert dataset_facts(given, name) is None


def test_sizes_and_classes_follow_from_the_arguments() -> None:
    for name, given, classes, counts in (
        ("DTD", {}, 47, (1880, 1880)),
        ("SVHN", {}, 10, (73257, 26032)),
        ("SVHN", {"split": "extra"}, 10, (531131, 531131)),
        ("STL10", {"folds": 3}, 10, (1000, 1000)),
        ("FGVCAircraft", {"annotation_level": "family"}, 70, (6667, 3333)),
        ("OxfordIIITPet", {"target_types": "binary-category"}, 2, (3680, 3669)),
        ("Omniglot", {"background": False}, 659, (None, None)),
        ("EuroSAT", {}, 10, (27000, 27000)),
        ("INaturalist", {"version": "2018"}, 8142, (None, None)),
        ("USPS", {"train": False}, 10, (2007, 2007)),
    ):
        facts = dataset_facts(given, name)
        assert facts is not None
        assert facts.classes == classes, name
        assert tuple(sample_count(given, name, training) for training in (True, False)) == counts, name


def test_a_picture_of_another_size_than_published_is_named() -> None:
    WRITERS["EuroSAT"](Path("data"))
    path = Path("data/eurosat/2750/River/River_1.jpg")
    Image.new("RGB", (64, 66)).save(path)
    with pytest.raises(SystemExit, match=rf"error: {path} has \[66, 64\] pixels, not \[64, 64\]"):
        made("EuroSAT").load_data()
