"""The facts about data sets and transforms, held against torchvision."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
import torchvision
from torchvision.transforms import v2

from netc import catalog
from netc.catalog.data import (
    DATASETS,
    UNSUITED,
    Image,
    dataset_facts,
    dataset_reject,
    is_random,
    sets_size,
    training_chain,
    transform_image,
)
from netc.catalog.data_official import OFFICIAL
from netc.shapes import Reject


def test_names_of_classes() -> None:
    for name in ("MNIST", "FashionMNIST", "KMNIST", "QMNIST"):
        facts = dataset_facts({}, name)
        assert facts is not None
        assert facts.class_names == tuple(getattr(torchvision.datasets, name).classes)
    for split, names in torchvision.datasets.EMNIST.classes_split_dict.items():
        facts = dataset_facts({"split": split}, "EMNIST")
        assert facts is not None
        assert facts.class_names == tuple(names)
    facts = dataset_facts({}, "CIFAR100")
    assert facts is not None
    assert facts.class_names is not None
    assert len(set(facts.class_names)) == 100
    assert list(facts.class_names) == sorted(facts.class_names)


def test_every_data_set_has_facts_and_is_known() -> None:
    for name in DATASETS:
        facts = dataset_facts({"split": "digits", "root": "x"} if name == "EMNIST" else {"root": "x"}, name)
        assert facts is not None
        assert facts.classes == (None if facts.class_names is None else len(facts.class_names)) or name in OFFICIAL
        assert facts.image[3:] == ("uint8", 0.0, 255.0)
        assert name == "Digits" or catalog.dataset(name) is not None
    assert dataset_facts({}, "CelebA") is None


@pytest.mark.parametrize(
    ("name", "args", "argument"),
    [
        ("EMNIST", {"split": "letter"}, "split"),
        ("EMNIST", {}, "split"),
        ("QMNIST", {"what": "all"}, "what"),
        ("QMNIST", {"compat": False}, "compat"),
        ("FakeData", {"image_size": (3, 4)}, "image_size"),
        ("FakeData", {"image_size": (2, 4, 4)}, "image_size"),
        ("FakeData", {"image_size": (3, 0, 4)}, "image_size"),
        ("FakeData", {"num_classes": 0}, "num_classes"),
        ("FakeData", {"size": 0}, "size"),
        ("ImageFolder", {"loader": 1}, "loader"),
    ],
)
def test_arguments_that_cannot_be(name: str, args: dict[str, Any], argument: str) -> None:
    reject = dataset_reject(args, name)
    assert reject is not None
    assert reject.argument == argument
    assert dataset_facts(args, name) is None


def drawn(draw: random.Random) -> tuple[str, dict[str, Any]]:
    """A transform with arguments, right or wrong."""

    def number() -> int:
        return draw.choice([0, 1, 2, 3, 5, 8, 13, 21, 34, -1])

    def size() -> Any:
        return draw.choice([number(), [number()], [number(), number()], [1, 2, 3]])

    padding = draw.choice([number(), [number(), number()], [number()] * 4, [1, 2, 3]])
    mode = draw.choice(["constant", "edge", "reflect", "symmetric"])
    return draw.choice(
        [
            ("Resize", {"size": size(), "max_size": draw.choice([None, None, 9, 30])}),
            ("Resize", {"size": None, "max_size": draw.choice([None, 9, 30])}),
            ("CenterCrop", {"size": size()}),
            ("RandomResizedCrop", {"size": size()}),
            ("RandomCrop", {"size": size(), "padding": draw.choice([None, padding]), "padding_mode": mode}),
            ("RandomCrop", {"size": size(), "pad_if_needed": True}),
            ("Pad", {"padding": padding, "padding_mode": mode}),
            ("Grayscale", {"num_output_channels": draw.choice([1, 2, 3])}),
            ("RGB", {}),
            ("GaussianBlur", {"kernel_size": size(), "sigma": draw.choice([0, 1.0, [0.1, 2.0], [2.0, 1.0]])}),
            ("RandomHorizontalFlip", {"p": draw.choice([0.0, 0.5, 1.0, 1.5, -0.1])}),
            (
                "Normalize",
                {"mean": draw.choice([[0.5], [0.1] * 3, [0.1] * 2]), "std": draw.choice([[0.5], [0.2] * 3, [0.0]])},
            ),
            ("RandomRotation", {"degrees": 10}),
            ("ColorJitter", {"brightness": 0.3}),
            ("RandomErasing", {"p": 1.0}),
        ]
    )


def official(name: str, args: dict[str, Any], image: torch.Tensor) -> torch.Tensor | Exception:
    """What torchvision makes of an image, or how it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: torch.Tensor = getattr(v2, name)(**args)(image)
    except Exception as problem:
        return problem
    return made


def nothing(args: dict[str, Any]) -> bool:
    """Whether a size is not positive, or a padding negative."""
    for argument, least in (("size", 1), ("padding", 0)):
        value = args.get(argument)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if any(v < least for v in values):
            return True
    return False


def test_images_and_rejections_are_those_of_torchvision() -> None:
    draw = random.Random(0)
    rejected = agreed = 0
    for _ in range(3000):
        name, args = drawn(draw)
        shape = draw.choice([1, 3]), draw.choice([8, 20, 33]), draw.choice([8, 20, 33])
        floating = draw.random() < 0.5
        dtype, low_high = ("float32", (0.0, 1.0)) if floating else ("uint8", (0.0, 255.0))
        entry = catalog.transform(name)
        assert entry is not None
        full = {p.name: p.default for p in entry.params} | args
        image = Image(*shape, dtype, *low_high)
        ours = transform_image(name, full, image)
        tensor = torch.rand(shape) if floating else torch.randint(0, 256, shape, dtype=torch.uint8)
        theirs = official(name, args, tensor)
        where = (name, args, shape, dtype, ours, theirs)
        several = shape[0] == 1 and max(len(args.get("mean", ())), len(args.get("std", ()))) > 1
        if nothing(args) or several:  # torchvision makes no pixels of it, or several channels of one
            assert isinstance(ours, Reject), where
        elif isinstance(theirs, Exception):
            assert isinstance(ours, Reject), where
            rejected += 1
        else:
            assert isinstance(ours, Image), where
            assert (ours.channels, ours.height, ours.width) == theirs.shape, where
            assert ours.dtype == str(theirs.dtype).removeprefix("torch.")
            agreed += 1
    assert rejected > 600
    assert agreed > 1000


@pytest.mark.parametrize("seed", range(20))
def test_the_values_stay_in_the_range_that_is_said(seed: int) -> None:
    draw = random.Random(seed)
    mean, std = ([draw.uniform(-1, 1) for _ in range(3)], [draw.uniform(-1, 2) or 1.0 for _ in range(3)])
    image = Image(3, 4, 4, "float32", 0.0, 1.0)
    out = transform_image("Normalize", {"mean": mean, "std": std}, image)
    assert isinstance(out, Image)
    assert out.low is not None
    assert out.high is not None
    values = v2.Normalize(mean, std)(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]))
    assert values.min().item() == pytest.approx(out.low, abs=1e-5)
    assert values.max().item() == pytest.approx(out.high, abs=1e-5)


def test_sizes_that_are_not_known() -> None:
    unknown = Image(3, None, None, "uint8", 0.0, 255.0)
    assert transform_image("Resize", {"size": 30}, unknown) == unknown
    assert transform_image("Resize", {"size": [30, 20]}, unknown) == unknown._replace(height=30, width=20)
    assert transform_image("CenterCrop", {"size": 30}, unknown) == unknown._replace(height=30, width=30)
    assert transform_image("Pad", {"padding": 3}, unknown) == unknown
    known = unknown._replace(height=9, width=9)
    rotation = {"degrees": 9, "expand": True, "interpolation": "nearest", "center": None}
    assert transform_image("RandomRotation", rotation, known) == unknown
    assert transform_image("RandomResize", {"min_size": 9, "max_size": 12}, known) == unknown


def test_what_is_unsuited_is_rejected_and_nothing_else() -> None:
    image = Image(3, 9, 9, "float32", 0.0, 1.0)
    given = {"size": 5, "padding": 1, "kernel_size": 3, "mean": [0.5], "std": [0.5], "dtype": "float32"}
    given |= {
        "quality": 50,
        "degrees": 9,
        "bits": 4,
        "threshold": 0.5,
        "sharpness_factor": 2.0,
        "target_size": [90, 90],
    }
    given |= {"min_size": 5, "max_size": 9}
    for name in catalog.transforms():
        entry = catalog.transform(name)
        assert entry is not None
        args = {p.name: given.get(p.name, p.default) for p in entry.params}
        assert isinstance(transform_image(name, args, image), Reject) == (name in UNSUITED), name
    assert set(catalog.transforms()) >= UNSUITED.keys() - {"SetClampingMode"}


def test_which_steps_are_random() -> None:
    fixed = [name for name in catalog.transforms() if not is_random(name)]
    assert " ".join(fixed) == (
        "CenterCrop ConvertImageDtype Grayscale Identity Normalize PILToTensor Pad RGB Resize "
        "ToDtype ToImage ToPureTensor ToTensor"
    )
    assert {name for name in catalog.transforms() if sets_size(name) and name not in UNSUITED} == {
        "CenterCrop",
        "RandomCrop",
        "RandomResize",
        "RandomResizedCrop",
        "RandomShortestSize",
        "Resize",
        "ScaleJitter",
    }


@pytest.mark.parametrize(
    ("transform", "augment", "expected"),
    [
        ("Resize ToTensor Normalize", "RandomCrop", "Resize RandomCrop ToTensor Normalize"),
        ("Resize CenterCrop ToTensor", "RandomCrop", "Resize RandomCrop ToTensor"),
        ("Resize CenterCrop ToTensor", "RandomResizedCrop ColorJitter", "RandomResizedCrop ColorJitter ToTensor"),
        ("Resize CenterCrop ToTensor", "ColorJitter", "Resize CenterCrop ColorJitter ToTensor"),
        ("Grayscale Pad ToTensor Resize", "RandomResizedCrop", "Grayscale Pad RandomResizedCrop ToTensor"),
        ("ToTensor", "", "ToTensor"),
        ("Resize", "RandomHorizontalFlip", "Resize RandomHorizontalFlip"),
    ],
)
def test_the_way_of_a_training_image(transform: str, augment: str, expected: str) -> None:
    names = {"transform": transform.split(), "augment": augment.split()}
    chain = training_chain(names["transform"], names["augment"])
    assert [names[which][i] for which, i in chain] == expected.split()


def test_facts_need_no_torch() -> None:
    code = "import netc.catalog.data, sys; print({'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
