"""Augmentations for a whole batch: the pixels are torchvision's for the same draws, and the draws are made as there."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from netc import ir
from netc.backends.training import emit
from netc.runtime.script import load_script
from tests.training.programs import TO_TENSOR, data, dataset, image_input, train, transform
from tests.training.scripts import lenet_project, tiny
from tests.training.test_images import SHAPE, official, pictures, script


def grey_script(*augment: ir.Call) -> ModuleType:
    images = dataset("FakeData", size=10, image_size=(1, 20, 16), num_classes=3)
    text = emit(
        "Net", "net", image_input(1, 20, 16), data(images, transform=(TO_TENSOR,), augment=augment), train(), outputs=3
    )
    return load_script(text, tiny(1, 20, 16, 3), Path())


def folder_script(fixed: tuple[ir.Call, ...], *augment: ir.Call) -> ModuleType:
    """The script for pictures that differ in size."""
    sections = data(dataset("ImageFolder", "x"), transform=(*fixed, TO_TENSOR), augment=augment)
    text = emit("Net", "net", image_input(3, 20, 16), sections, train(), outputs=3)
    return load_script(text, tiny(3, 20, 16, 3), Path())


def likeness(ours: list[float], theirs: list[float]) -> float:
    """The largest distance between two empirical distributions (Kolmogorov-Smirnov)."""
    a, b = torch.tensor(ours).double().sort().values, torch.tensor(theirs).double().sort().values
    points = torch.cat([a, b])
    shares = [torch.searchsorted(x, points, right=True) / len(x) for x in (a, b)]
    return float((shares[0] - shares[1]).abs().max())


# --- crops ------------------------------------------------------------------------------------------------------------

CROPS = [
    transform("RandomResizedCrop", [20, 16]),
    transform("RandomResizedCrop", [20, 16], scale=(0.3, 0.9), ratio=(0.5, 3.0)),
    transform("RandomResizedCrop", [20, 16], interpolation="bicubic"),
    transform("RandomResizedCrop", [20, 16], interpolation="nearest"),
    transform("RandomResizedCrop", [20, 16], antialias=False),
]


class Recorder:
    """torch.nn.functional, with a note of every window that is resized: top, left, height, width."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int, int, int]] = []

    def interpolate(self, part: torch.Tensor, **options: Any) -> torch.Tensor:
        top, left = divmod(int(part.storage_offset()) % part.stride(1), part.stride(2))
        self.windows.append((top, left, *part.shape[-2:]))
        resized: torch.Tensor = torch.nn.functional.interpolate(part, **options)
        return resized


def crops(module: ModuleType, batch: Any) -> tuple[torch.Tensor, list[tuple[int, int, int, int]]]:
    recorder = Recorder()
    module.__dict__["F"] = recorder
    return module.augment(batch), recorder.windows


@pytest.mark.parametrize("step", CROPS, ids=lambda step: step.arguments)
def test_resized_crops_have_the_pixels_of_torchvision(step: ir.Call) -> None:
    images = pictures(30)
    found, windows = crops(script((TO_TENSOR,), (step,), (3, 20, 16)), images)
    options = {n: a.value for n, a in step.args.items() if n in ("interpolation", "antialias")}
    if "interpolation" in options:
        options["interpolation"] = v2.InterpolationMode(options["interpolation"])
    for image, window, result in zip(images, windows, found, strict=True):
        expected = v2.functional.resized_crop(image, *window, size=[20, 16], **options)
        assert torch.equal(expected, result)
    assert len(set(windows)) > 25


@pytest.mark.parametrize("shape", [SHAPE, (3, 10, 90), (3, 90, 10)], ids=str)
@pytest.mark.parametrize("step", CROPS[:2], ids=lambda step: step.arguments)
def test_windows_are_drawn_as_by_torchvision(step: ir.Call, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, *shape, dtype=torch.uint8)
    _, ours = crops(folder_script((), step), [image] * 4000)
    theirs = [official(step).make_params([image[0]]) for _ in range(4000)]
    pairs: dict[str, tuple[list[Any], list[Any]]] = {
        "top": ([w[0] for w in ours], [p["top"] for p in theirs]),
        "left": ([w[1] for w in ours], [p["left"] for p in theirs]),
        "area": ([w[2] * w[3] for w in ours], [p["height"] * p["width"] for p in theirs]),
        "ratio": ([w[3] / w[2] for w in ours], [p["width"] / p["height"] for p in theirs]),
    }
    for name, (a, b) in pairs.items():
        assert likeness(a, b) < 0.045, name


def test_pictures_that_differ_in_size_become_a_batch() -> None:
    module = folder_script((), CROPS[0], transform("RandomHorizontalFlip"))
    sizes = [(30, 40), (20, 16), (5, 100), (64, 33)]
    batch = [torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8) for size in sizes]
    assert module.augment(batch).shape == (4, 3, 20, 16)
    assert "v2" not in vars(module)


def test_crops_of_pictures_that_differ_in_size() -> None:
    module = folder_script((transform("Resize", 24),), transform("RandomCrop", [20, 16]))
    wide, high = torch.arange(24 * 40), torch.arange(40 * 24)
    batch = [wide.view(1, 1, 24, 40).expand(-1, 3, -1, -1), high.view(1, 1, 40, 24).expand(-1, 3, -1, -1)] * 1000
    torch.manual_seed(0)
    found = module.augment(batch)[:, 0]
    for width, crop in ((40, found[::2]), (24, found[1::2])):
        tops, lefts = crop[:, 0, 0] // width, crop[:, 0, 0] % width
        grid = torch.arange(20).view(-1, 1) * width + torch.arange(16)
        assert torch.equal(crop, crop[:, :1, :1] + grid)
        for values, count in ((tops, 64 - width - 20 + 1), (lefts, width - 16 + 1)):
            shares = torch.bincount(values, minlength=count) / 1000
            assert len(shares) == count
            assert (shares - 1 / count).abs().max() < 0.05


def test_a_picture_that_is_too_small_for_a_crop_is_an_error() -> None:
    module = folder_script((transform("Resize", 18),), transform("RandomCrop", [20, 16]))
    with pytest.raises(
        SystemExit, match=r"error: RandomCrop: a picture of \(18, 30\) pixels is smaller than \(20, 16\)"
    ):
        module.augment([torch.zeros(1, 3, 18, 30, dtype=torch.uint8)])


# --- colours ----------------------------------------------------------------------------------------------------------

JITTERS = [
    {"brightness": 0.4},
    {"contrast": (0.2, 3.0)},
    {"saturation": 0.9},
    {"hue": 0.5},
    {"hue": (-0.1, 0.3)},
    {"brightness": 1.5, "contrast": 0.4, "saturation": (0.0, 2.0), "hue": 0.1},
]


def expected_jitter(images: torch.Tensor, values: dict[str, Any]) -> torch.Tensor:
    """torchvision's kernels with the draws that the script makes."""
    limits = {name: getattr(v2.ColorJitter(**values), name) for name in ("brightness", "contrast", "saturation", "hue")}
    names = [name for name, value in limits.items() if value is not None]
    orders = torch.rand(len(images), len(names)).argsort(1)
    factors = [torch.empty(len(images)).uniform_(*limits[name]) for name in names]
    out = []
    for i, image in enumerate(images):
        for number in orders[i].tolist():
            image = getattr(v2.functional, f"adjust_{names[number]}")(image, float(factors[number][i]))
        out.append(image)
    return torch.stack(out)


@pytest.mark.parametrize("values", JITTERS, ids=str)
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_colours_are_changed_as_by_torchvision(values: dict[str, Any], grey: bool) -> None:
    step = transform("ColorJitter", **values)
    module = grey_script(step) if grey else script((TO_TENSOR,), (step,), SHAPE)
    images = pictures(60, (1, 20, 16) if grey else SHAPE)
    images[:20] = images[:20, :1]  # without colour
    images[20:25] = 0
    images[25:30] = 255
    before = images.clone()
    torch.manual_seed(4)
    found = module.augment(images)
    assert torch.equal(images, before)
    torch.manual_seed(4)
    if grey:
        values = {n: v for n, v in values.items() if n in ("brightness", "contrast")}
    expected = expected_jitter(images, values)
    away = (found.int() - expected.int()).abs()
    if len(values) == 1 and "brightness" in values:
        assert away.max() == 0
    elif len(values) == 1:
        assert away.max() <= 1
        assert away.float().mean() < 0.001
    else:
        assert (away > 3).float().mean() < 0.001  # a colour beside grey turns far for a step of 256
    assert grey or not torch.equal(found, images)


def test_nothing_to_jitter() -> None:
    module = script((TO_TENSOR,), (transform("ColorJitter"), transform("RandomHorizontalFlip", p=0.0)), SHAPE)
    assert torch.equal(module.augment(pictures()), pictures())
    assert "v2" not in vars(module)


@pytest.mark.parametrize(
    "step",
    [
        transform("RandomGrayscale", p=0.3),
        transform("RandomInvert", p=0.3),
        transform("RandomSolarize", threshold=128, p=0.3),
        transform("RandomSolarize", threshold=99.5, p=0.3),
        transform("RandomPosterize", bits=3, p=0.3),
        transform("RandomPosterize", bits=8, p=0.3),
        transform("RandomPosterize", bits=0, p=0.3),
    ],
    ids=lambda step: f"{step.name}({step.arguments})",
)
def test_steps_that_some_images_get(step: ir.Call) -> None:
    images = pictures(300)
    module = script((TO_TENSOR,), (step,), SHAPE)
    assert "v2" not in vars(module)
    values = {n: a.value for n, a in step.args.items()} | {"p": 1.0}
    always = torch.stack([getattr(v2, step.name)(**values)(image) for image in images])
    torch.manual_seed(0)
    found = module.augment(images)
    chosen = [torch.equal(a, b) for a, b in zip(found, always, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(found, images, strict=True)]
    assert all(a or b for a, b in zip(chosen, kept, strict=True))
    if not torch.equal(always, images):
        assert 60 < sum(chosen) < 120


def test_grey_images_have_no_colours_to_lose() -> None:
    module = grey_script(transform("RandomGrayscale", p=1.0), transform("RandomInvert", p=1.0))
    images = pictures(5, (1, 20, 16))
    assert torch.equal(module.augment(images), 255 - images)


# --- erasing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [{}, {"p": 1.0, "value": 7}, {"p": 1.0, "scale": (0.3, 0.9), "ratio": (0.2, 5.0)}, {"value": (1, 2, 3)}],
    ids=str,
)
def test_erased_windows(values: dict[str, Any]) -> None:
    step = transform("RandomErasing", **values)
    torch.manual_seed(0)
    count = 3000
    found = script((TO_TENSOR,), (step,), SHAPE).augment(torch.full((count, *SHAPE), 200, dtype=torch.uint8))
    theirs = torch.stack([official(step)(torch.full(SHAPE, 200, dtype=torch.uint8)) for _ in range(count)])
    measures: list[list[tuple[float, ...]]] = []
    for images in (found, theirs):
        erased = images[:, 0] != 200
        assert torch.equal(images[:, 1] != 200, erased)
        value = torch.tensor(values.get("value", 0), dtype=torch.uint8).view(-1, 1).expand(3, int(erased.sum()))
        assert torch.equal(images.transpose(0, 1)[:, erased], value)
        rows, columns = erased.any(2), erased.any(1)
        assert torch.equal(rows.unsqueeze(2) & columns.unsqueeze(1), erased)  # a window
        heights, widths = rows.sum(1), columns.sum(1)
        tops, lefts = rows.int().argmax(1), columns.int().argmax(1)
        places = zip(*(x.tolist() for x in (heights, widths, tops, lefts)), strict=True)
        measures.append([(h * w, w / max(h, 1), top, left) for h, w, top, left in places])
    for i, name in enumerate(("area", "ratio", "top", "left")):
        assert likeness([m[i] for m in measures[0]], [m[i] for m in measures[1]]) < 0.05, name


def test_erasing_with_noise_is_left_to_torchvision() -> None:
    module = script((TO_TENSOR,), (transform("RandomErasing", value="random"),), SHAPE)
    assert "v2" in vars(module)


# --- together ---------------------------------------------------------------------------------------------------------


def test_the_images_that_are_given_stay_as_they_are() -> None:
    steps = (
        transform("ColorJitter", 0.4, 0.4, 0.4, 0.1),
        transform("RandomErasing", p=1.0),
        transform("RandomGrayscale", p=0.5),
    )
    images = pictures()
    module = script((TO_TENSOR,), steps, SHAPE)
    torch.manual_seed(0)
    first = module.augment(images)
    assert torch.equal(images, pictures())
    torch.manual_seed(0)
    assert torch.equal(first, module.augment(images))


def test_a_step_of_torchvision_between_others() -> None:
    steps = (transform("RandomHorizontalFlip"), transform("RandomRotation", 20), transform("RandomInvert"))
    module = script((TO_TENSOR,), steps, SHAPE)
    assert isinstance(vars(module)["AUGMENT"], v2.RandomRotation)
    assert module.augment(pictures()).shape == (8, *SHAPE)


def test_layouts_give_the_same() -> None:
    steps = (CROPS[0], transform("ColorJitter", 0.4, 0.4, 0.4, 0.1), transform("RandomErasing", p=1.0))
    module = script((TO_TENSOR,), steps, (3, 20, 16))
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        results.append(module.augment(pictures().contiguous(memory_format=layout)))
    assert torch.equal(*results)


# --- mixing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        (transform("MixUp"),),
        (transform("MixUp", alpha=0.2, num_classes=3),),
        (transform("CutMix"),),
        (transform("CutMix", alpha=0.5),),
        (transform("MixUp", alpha=0.2), transform("CutMix")),
    ],
    ids=lambda steps: "-".join(f"{s.name}({s.arguments})" for s in steps),
)
def test_batches_are_mixed_as_by_torchvision(steps: tuple[ir.Call, ...]) -> None:
    module = script((TO_TENSOR,), (transform("RandomHorizontalFlip"), *steps), SHAPE)
    assert "v2" not in vars(module)
    official_steps = []
    for step in steps:
        values = {n: a.value for n, a in step.args.items()} | {"num_classes": 3}
        official_steps.append(getattr(v2, step.name)(**values))
    for seed in range(30):
        batch = module.preprocess(pictures(7))
        labels = torch.randint(3, (7,))
        torch.manual_seed(seed)
        expected = batch, labels
        for step in official_steps:
            expected = step(*expected)
        torch.manual_seed(seed)
        found = module.mix(batch.clone(memory_format=torch.preserve_format), labels)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_training_with_mixed_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = lenet_project(tmp_path / "project", augment=(transform("MixUp", alpha=0.4), transform("CutMix")))
    module = project.module()
    seen = []
    loss_function = module.loss_function

    def recorded(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(target)
        loss: torch.Tensor = loss_function(logits, target)
        return loss

    module.__dict__["loss_function"] = recorded
    module.main(["--device", "cpu"])
    trained = [target for target in seen if target.is_floating_point()]
    assert len(trained) == 2 * 21
    assert all(target.shape[1] == 10 and torch.allclose(target.sum(1), torch.ones(len(target))) for target in trained)
    assert len(seen) - len(trained) == 3  # two evaluations, and the test


def test_windows_are_resized_on_a_gpu_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are resized as floats there, and rounded."""
    module = script((TO_TENSOR,), (CROPS[0],), (3, 20, 16))
    images = pictures(20)
    torch.manual_seed(0)
    expected = module.augment(images)

    class Elsewhere(torch.Tensor):
        is_cpu = False

    torch.manual_seed(0)
    found = module.augment(images.as_subclass(Elsewhere)).as_subclass(torch.Tensor)
    assert found.dtype == torch.uint8
    assert (found.int() - expected.int()).abs().max() <= 1
