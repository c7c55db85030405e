"""Batches and images, compared to the bit with torchvision and with DataLoader."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from netc import ir
from netc.backends.training import emit
from netc.runtime.prediction import preparer
from netc.runtime.script import load_script
from tests.training.programs import TO_TENSOR, data, dataset, image_input, train, transform
from tests.training.scripts import lenet_project, tiny

SHAPE = (3, 37, 29)


def script(steps: tuple[ir.Call, ...], augment: tuple[ir.Call, ...], out: tuple[int, ...], **more: Any) -> ModuleType:
    """The script for random images of SHAPE."""
    images = dataset("FakeData", size=10, image_size=SHAPE, num_classes=3)
    sections = data(images, transform=steps, augment=augment, **more)
    channels, height, width = out
    text = emit("Net", "net", image_input(channels, height, width), sections, train(), outputs=3)
    return load_script(text, tiny(channels, height, width, 3), Path())


def pictures(count: int = 8, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)


def official(step: ir.Call) -> Any:
    """The transform of torchvision for a call."""
    values = {name: arg.value for name, arg in step.args.items()}
    if "dtype" in values:
        values["dtype"] = getattr(torch, str(values["dtype"]))
    return getattr(v2, step.name)(**values)


FIXED = [
    transform("Resize", 20),
    transform("Resize", 64),
    transform("Resize", [31, 50]),
    transform("Resize", 20, interpolation="bicubic"),
    transform("Resize", 20, interpolation="nearest"),
    transform("Resize", 20, interpolation="nearest-exact"),
    transform("Resize", 20, antialias=False),
    transform("Resize", 20, max_size=22),
    transform("CenterCrop", 20),
    transform("CenterCrop", [12, 33]),
    transform("CenterCrop", [50, 44]),
    transform("CenterCrop", [40, 10]),
    transform("Pad", 3),
    transform("Pad", [1, 2], fill=7),
    transform("Pad", [1, 2, 3, 4], padding_mode="reflect"),
    transform("Grayscale"),
    transform("Grayscale", num_output_channels=3),
    transform("RGB"),
    transform("Identity"),
]


def name_of(step: Any) -> str:
    return f"{step.name}({step.arguments})" if isinstance(step, ir.Call) else ""


@pytest.mark.parametrize("step", FIXED, ids=name_of)
def test_fixed_steps_are_those_of_torchvision(step: ir.Call) -> None:
    images = pictures()
    expected = official(step)(images)
    assert torch.equal(script((step, TO_TENSOR), (), tuple(expected.shape[1:])).prepare(images), expected)


@pytest.mark.parametrize("shape", [SHAPE, (3, 29, 37), (3, 30, 30), (1, 19, 64)], ids=str)
@pytest.mark.parametrize("step", FIXED, ids=name_of)
def test_pictures_of_any_size_are_prepared_as_by_torchvision(step: ir.Call, shape: tuple[int, ...]) -> None:
    images = pictures(1, shape)
    sections = data(dataset("MNIST" if shape[0] == 1 else "CIFAR10", "data"), transform=(step, TO_TENSOR))
    assert torch.equal(preparer(sections)(images), official(step)(images))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)], ids=str)
def test_grey_and_colour_sets_are_resized_as_by_torchvision(shape: tuple[int, ...]) -> None:
    images = pictures(5, shape)
    name = {8: "Digits", 28: "MNIST", 32: "CIFAR10"}[shape[1]]
    call = dataset(name) if name == "Digits" else dataset(name, "data")
    step = transform("Resize", 32) if name != "CIFAR10" else transform("Resize", [48, 40])
    size = (32, 32) if name != "CIFAR10" else (48, 40)
    sections = data(call, transform=(step, TO_TENSOR))
    text = emit("Net", "net", image_input(shape[0], *size), sections, train(), outputs=10)
    prepared = load_script(text, tiny(shape[0], *size, 10), Path()).prepare(images)
    assert torch.equal(prepared, torch.stack([official(step)(image) for image in images]))


CONVERSIONS = [
    (TO_TENSOR,),
    (TO_TENSOR, transform("Normalize", mean=[0.31], std=[0.38])),
    (TO_TENSOR, transform("Normalize", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])),
    (transform("ToImage"), transform("ToDtype", "float32", scale=True)),
    (transform("ToDtype", "float32"), transform("Normalize", mean=[3.5, 4.5, 5.5], std=[250.0])),
    (transform("ConvertImageDtype"), transform("Normalize", mean=[0.5], std=[0.1, 0.2, 0.3])),
    (TO_TENSOR, transform("Resize", 20)),
    (TO_TENSOR, transform("Pad", 2), transform("Grayscale"), transform("Normalize", mean=[0.1], std=[0.3])),
]


@pytest.mark.parametrize("steps", CONVERSIONS, ids=lambda steps: "-".join(s.name for s in steps))
def test_conversion_has_the_bits_of_torchvision(steps: tuple[ir.Call, ...]) -> None:
    """All 256 values in every channel: there are no others."""
    images = torch.arange(256, dtype=torch.uint8).repeat(3, 5).view(1, 3, 40, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official_steps = [official(step) for step in steps]
    out = images[0]
    for step, own in zip(steps, official_steps, strict=True):
        out = out.float().div(255) if step.name == "ToTensor" else own(out)
    sections = data(dataset("FakeData", size=9, image_size=(3, 40, 32), num_classes=3), transform=steps)
    channels, height, width = out.shape
    text = emit("Net", "net", image_input(channels, height, width), sections, train(), outputs=3)
    result = load_script(text, tiny(channels, height, width, 3), Path()).preprocess(images)
    assert result.dtype == torch.float32
    assert torch.equal(result[0], out)


CROPS = [
    ((24,), {}),
    ((37,), {"padding": 4}),
    (([30, 20],), {"padding": [1, 2, 3, 4], "fill": 9}),
    (([50, 29],), {"pad_if_needed": True}),
]


@pytest.mark.parametrize(("arguments", "named"), CROPS)
def test_crops_are_those_of_torchvision_at_the_same_place(arguments: Any, named: Any) -> None:
    step = transform("RandomCrop", *arguments, **named)
    size = arguments[0] if isinstance(arguments[0], list) else [arguments[0]] * 2
    images = pictures(60)
    torch.manual_seed(5)
    cropped = script((TO_TENSOR,), (step,), (3, *size)).augment(images)
    places = []
    own = official(step)
    for image, result in zip(images, cropped, strict=True):
        params = own.make_params([image])
        windows = {
            (top, left): own.transform(image, params | {"needs_crop": True, "top": top, "left": left})
            for top in range(60)
            for left in range(60)
            if top + size[0] <= 37 + params["padding"][1] + params["padding"][3]
            and left + size[1] <= 29 + params["padding"][0] + params["padding"][2]
        }
        places.append(next(place for place, window in windows.items() if torch.equal(window, result)))
    tops, lefts = ({place[i] for place in places} for i in (0, 1))
    assert max(tops) == max(top for top, _ in windows)
    assert max(lefts) == max(left for _, left in windows)
    assert min(tops) == min(lefts) == 0


@pytest.mark.parametrize(("name", "axis"), [("RandomHorizontalFlip", 3), ("RandomVerticalFlip", 2)])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flips(name: str, axis: int, p: float) -> None:
    images = pictures(400)
    torch.manual_seed(0)
    flipped = script((TO_TENSOR,), (transform(name, p=p),), SHAPE).augment(images)
    mirrored = getattr(v2.functional, "horizontal_flip" if axis == 3 else "vertical_flip")(images)
    count = 0
    for image, mirror, result in zip(images, mirrored, flipped, strict=True):
        assert torch.equal(result, mirror) or torch.equal(result, image)
        count += torch.equal(result, mirror)
    assert abs(count / 400 - p) <= (0.08 if 0 < p < 1 else 0)


def test_other_steps_go_through_torchvision_one_by_one() -> None:
    steps = (
        transform("RandomRotation", 20),
        transform("RandomPerspective"),
        transform("RandomAutocontrast"),
    )
    images = pictures()
    torch.manual_seed(3)
    result = script((TO_TENSOR,), steps, SHAPE).augment(images)
    torch.manual_seed(3)
    chain = v2.Compose([official(step) for step in steps])
    assert torch.equal(result, torch.stack([chain(image) for image in images]))


def test_augmentation_that_crops_replaces_the_crop_and_keeps_the_resizing() -> None:
    fixed = (transform("Resize", [48, 40]), transform("CenterCrop", 32), TO_TENSOR)
    module = script(fixed, (transform("RandomCrop", 32),), (3, 32, 32))
    images = pictures()
    resized = v2.Resize([48, 40])(images)
    assert torch.equal(module.prepare_training(images), resized)
    assert torch.equal(module.prepare(images), v2.CenterCrop(32)(resized))
    assert module.augment(resized).shape[1:] == (3, 32, 32)


def test_augmentation_that_resizes_replaces_resizing_and_crop() -> None:
    fixed = (transform("Resize", 48), transform("CenterCrop", 32), TO_TENSOR)
    module = script(fixed, (transform("RandomResizedCrop", 32),), (3, 32, 32))
    images = pictures()
    assert torch.equal(module.prepare_training(images), images)
    assert module.augment(images).shape == (8, 3, 32, 32)


@pytest.mark.parametrize("count", [1, 7, 64, 1000])
def test_the_order_is_that_of_dataloader(count: int, tmp_path: Path) -> None:
    module = lenet_project(tmp_path / "project").module()
    loader = DataLoader(TensorDataset(torch.arange(count)), batch_size=32, shuffle=True)
    torch.manual_seed(11)
    expected = []
    for _ in range(3):
        for (batch,) in loader:
            torch.rand(2)  # dropout draws from the same generator
            expected.append(batch)
    torch.manual_seed(11)
    found = []
    for _ in range(3):
        for batch in module.shuffled(count).split(32):
            torch.rand(2)
            found.append(batch)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1, 7, 144])
def test_held_out_images_are_of_all_classes_in_proportion(share: float, tmp_path: Path) -> None:
    module = lenet_project(tmp_path / "project", validation=share).module()
    labels = torch.cat([torch.full((n,), i) for i, n in enumerate([300, 100, 10, 3, 1000])])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    mask = module.held_out(labels)
    wanted = share if isinstance(share, int) else round(share * len(labels))
    assert mask.sum() == wanted
    for i in range(5):
        of_class = labels == i
        assert abs((mask & of_class).sum() - of_class.sum() * wanted / len(labels)) < 1
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(mask, module.held_out(labels))
    assert torch.equal(state, torch.get_rng_state())
    module.__dict__["SEED"] = 1
    assert not torch.equal(mask, module.held_out(labels))
    where = mask.nonzero().flatten().double().mean() / len(labels)
    assert wanted < 30 or 0.35 < where < 0.65


def test_a_split_that_leaves_nothing_is_an_error(tmp_path: Path) -> None:
    module = lenet_project(tmp_path / "project", validation=5).module()
    with pytest.raises(SystemExit, match="cannot hold 5 of 5 images out"):
        module.held_out(torch.zeros(5, dtype=torch.int64))


def test_the_loss_is_the_mean_and_the_accuracy_exact(tmp_path: Path) -> None:
    module = lenet_project(tmp_path / "project").module()
    module.__dict__["EVALUATION_BATCH"] = 7
    images, labels = module.load_data()["validation"]
    model = module.build_model(torch.device("cpu"))
    scores = module.evaluate(model, images, labels)
    with torch.no_grad():
        logits = torch.cat([model(module.preprocess(image[None])) for image in images])
    assert scores["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits.double(), labels).item(), abs=1e-5)
    assert scores["accuracy"] == int((logits.argmax(1) == labels).sum()) / len(labels)
