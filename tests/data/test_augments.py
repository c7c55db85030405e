"""Which arguments of random transforms torchvision takes for uint8 images, held against torchvision."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torchvision.transforms import v2

from netc import catalog
from netc.catalog.data import UNSUITED, Image, is_random, transform_image
from netc.catalog.data_transforms import ENUMERATIONS
from netc.catalog.entry import REQUIRED
from netc.shapes import Reject

if TYPE_CHECKING:
    from netc.catalog.entry import Param

# Those whose sizes have draws of their own in test_facts, ElasticTransform, whose kernel follows from sigma, and what
# takes batches.
ELSEWHERE = {"RandomCrop", "GaussianBlur", "RandomShortestSize", "ElasticTransform", "MixUp", "CutMix"}
NAMES = [n for n in catalog.transforms() if is_random(n) and n not in UNSUITED and n not in ELSEWHERE]
NUMBERS = (-0.6, -0.1, 0, 0.3, 0.5, 0.6, 1, 1.5, 7.0, 30)
PAIRS = (
    (0.2, 0.8),
    (0.8, 0.2),
    (1.0, 2.0),
    (0.0, 0.4),
    (-0.3, 0.3),
    (0.5, 0.5),
    (2, 3),
    (0.3,),
    (0.1, 0.2, 0.3),
    (-10, 10, 0, 5),
)


def draw_value(rng: random.Random, name: str, param: Param) -> Any:
    kinds = param.type.split("|")
    if param.name == "p":
        return 1.0
    if param.choices:
        return rng.choice(param.choices)
    if "None" in kinds and rng.random() < 0.3:
        return None
    if "bool" in kinds:
        return rng.random() < 0.5
    if param.name == "size":
        return rng.choice((5, [5, 7]))
    if "int*2" in kinds:
        return rng.choice(([40, 40], [30, 52], [0, 5]))
    if "int" in kinds:
        return rng.choice(
            (-1, 0, 2, 4, 8, 9, 10, 11, 31, 40) if param.name.endswith("size") else (-1, 0, 1, 4, 8, 9, 10, 31)
        )
    if "ints" in kinds:
        return rng.choice((0, 1, 50, 100, 101, [10, 90], [90, 10], [30, 300]))
    if "floats" in kinds:
        return rng.choice(PAIRS + NUMBERS) if not isinstance(param.default, tuple) else rng.choice(PAIRS)
    return rng.choice(NUMBERS)


def accepted(name: str, args: dict[str, Any], images: list[torch.Tensor]) -> bool:
    """Whether torchvision gets through many images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            args = {
                n: getattr(v2, ENUMERATIONS[name, n])(v) if (name, n) in ENUMERATIONS else v for n, v in args.items()
            }
            step = getattr(v2, name)(**args)
            for image in images:
                step(image)
        except Exception:
            return False
    return True


def further(name: str, args: dict[str, Any]) -> bool:
    """Values that torchvision takes and that do nothing, or not what they say; netc rejects them."""
    if name in ("RandAugment", "AugMix"):
        return (
            args.get("num_ops", 1) < 1
            or args.get("magnitude", 9) < 0
            or args.get("mixture_width", 3) < 1
            or (args.get("alpha", 1.0) <= 0)
        )
    if args.get("distortion_scale") == 1 or args.get("min_size") == 0:
        return True  # which fails for some images
    if name == "ScaleJitter" and (args.get("scale_range") or (0, 1))[0] > (args.get("scale_range") or (0, 1))[-1]:
        return True
    pairs = ("scale", "ratio", "brightness", "contrast", "saturation", "hue", "translate", "scale_range", "side_range")
    return any(isinstance(args.get(n), tuple) and len(args[n]) > 2 for n in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_arguments(name: str) -> None:
    entry = catalog.transform(name)
    assert entry is not None
    rng = random.Random(name)
    torch.manual_seed(0)
    for _ in range(60):
        args = {
            p.name: draw_value(rng, name, p)
            for p in entry.params
            if p.name != "fill" and (p.default is REQUIRED or rng.random() < 0.4)
        }
        if further(name, args):
            continue
        channels = rng.choice((1, 3))
        images = [torch.randint(0, 256, (channels, 12, 12), dtype=torch.uint8) for _ in range(40)]
        whole = {p.name: p.default for p in entry.params} | args
        ours = transform_image(name, whole, Image(channels, 12, 12, "uint8", 0.0, 255.0))
        assert isinstance(ours, Reject) != accepted(name, args, images), (args, channels, ours)
