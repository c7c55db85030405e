"""The convolutional families against torchvision: keys, shapes, layers, drawn weights and outputs, all equal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models import regnet

from tests.models.referee import (
    Case,
    assert_same_numbers,
    assert_same_outputs,
    assert_same_structure,
    built,
    program_lines,
    sharing,
    torchvision_lines,
    without_data,
)

# The networks of each file, and torchvision's builder of the same.
BUILDERS: dict[str, dict[str, str]] = {
    "alexnet": {"AlexNet": "alexnet"},
    "vgg": {
        "VGG11": "vgg11",
        "VGG11BN": "vgg11_bn",
        "VGG13": "vgg13",
        "VGG13BN": "vgg13_bn",
        "VGG16": "vgg16",
        "VGG16BN": "vgg16_bn",
        "VGG19": "vgg19",
        "VGG19BN": "vgg19_bn",
    },
    "resnet": {
        "ResNet18": "resnet18",
        "ResNet34": "resnet34",
        "ResNet50": "resnet50",
        "ResNet101": "resnet101",
        "ResNet152": "resnet152",
        "ResNeXt50_32x4d": "resnext50_32x4d",
        "ResNeXt101_32x8d": "resnext101_32x8d",
        "ResNeXt101_64x4d": "resnext101_64x4d",
        "WideResNet50_2": "wide_resnet50_2",
        "WideResNet101_2": "wide_resnet101_2",
    },
    "squeezenet": {"SqueezeNet1_0": "squeezenet1_0", "SqueezeNet1_1": "squeezenet1_1"},
    "densenet": {f"DenseNet{depth}": f"densenet{depth}" for depth in (121, 161, 169, 201)},
    "googlenet": {"GoogLeNet": "googlenet"},
    "inception": {"InceptionV3": "inception_v3"},
    "mobilenet_v2": {"MobileNetV2": "mobilenet_v2"},
    "mobilenet_v3": {"MobileNetV3Large": "mobilenet_v3_large", "MobileNetV3Small": "mobilenet_v3_small"},
    "mnasnet": {f"MNASNet{width}": f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3")},
    "shufflenet_v2": {f"ShuffleNetV2X{width}": f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")},
    "efficientnet": {
        **{f"EfficientNetB{number}": f"efficientnet_b{number}" for number in range(8)},
        **{f"EfficientNetV2{size}": f"efficientnet_v2_{size.lower()}" for size in "SML"},
    },
    "regnet": {
        f"RegNet{kind}{size}": f"regnet_{kind.lower()}_{size.lower()}"
        for kind, sizes in {
            "X": ("400MF", "800MF", "1_6GF", "3_2GF", "8GF", "16GF", "32GF"),
            "Y": ("400MF", "800MF", "1_6GF", "3_2GF", "8GF", "16GF", "32GF", "128GF"),
        }.items()
        for size in sizes
    },
    "convnext": {f"ConvNeXt{size}": f"convnext_{size.lower()}" for size in ("Tiny", "Small", "Base", "Large")},
}
INPUTS = {"InceptionV3": (1, 3, 80, 80)}
# Without it they warn that what they draw by default is going to change.
SETTINGS = {"GoogLeNet": {"init_weights": True}, "InceptionV3": {"init_weights": True}}
CASES = {
    network: Case(file, network, name, INPUTS.get(network, (1, 3, 64, 64)), SETTINGS.get(network, {}))
    for file, networks in BUILDERS.items()
    for network, name in networks.items()
}
# Of networks that differ in their sizes alone, the small ones draw their weights; the others are given some.
COMPUTED = """
    AlexNet VGG11 VGG11BN ResNet18 ResNet50 ResNeXt50_32x4d WideResNet50_2 SqueezeNet1_0 SqueezeNet1_1 DenseNet121
    DenseNet161 GoogLeNet InceptionV3 MobileNetV2 MobileNetV3Large MobileNetV3Small MNASNet0_5 MNASNet1_3
    ShuffleNetV2X0_5 ShuffleNetV2X2_0 EfficientNetB0 EfficientNetB1 EfficientNetB5 EfficientNetV2S RegNetX400MF
    RegNetX8GF RegNetY400MF RegNetY800MF ConvNeXtTiny
""".split()
# What draws in `forward`, has results only in training, or sets a momentum; two images, for the batch norms.
TRAINED = {
    "AlexNet": (2, 3, 64, 64),
    "GoogLeNet": (2, 3, 64, 64),
    "InceptionV3": (2, 3, 299, 299),
    "MobileNetV3Small": (2, 3, 64, 64),
    "MNASNet0_5": (2, 3, 64, 64),
    "EfficientNetB0": (2, 3, 64, 64),
    "EfficientNetV2S": (2, 3, 64, 64),
    "ConvNeXtTiny": (2, 3, 64, 64),
}


def first_of(file: str) -> Case:
    return CASES[next(iter(BUILDERS[file]))]


@pytest.fixture(autouse=True)
def _widths_have_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision finds the widths of a RegNet with tensors, which have no values on the meta device."""
    found = regnet.BlockParams.from_init_params

    def on_cpu(**settings: Any) -> Any:
        with torch.device("cpu"):
            return found(**settings)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", staticmethod(on_cpu))


@pytest.mark.parametrize("network", CASES)
def test_structure(network: str) -> None:
    assert_same_structure(without_data(CASES[network]))


@pytest.mark.parametrize("network", COMPUTED)
def test_numbers(network: str) -> None:
    pair = assert_same_numbers(CASES[network])
    if network in TRAINED:
        assert_same_outputs(pair, TRAINED[network], training=True)


@pytest.mark.parametrize("network", [network for network in CASES if network not in COMPUTED])
def test_outputs(network: str) -> None:
    assert_same_outputs(sharing(without_data(CASES[network])), CASES[network].inputs)


def test_every_network_that_is_trained_is_computed() -> None:
    assert TRAINED.keys() <= set(COMPUTED) <= CASES.keys()


@pytest.mark.parametrize("network", ["GoogLeNet", "InceptionV3"])
def test_images_that_are_normalised_otherwise(network: str) -> None:
    case = CASES[network]
    pair = built(case, transform_input=True)
    assert_same_outputs(pair, case.inputs)


@pytest.mark.parametrize("file", BUILDERS)
def test_other_classes(file: str) -> None:
    assert_same_structure(without_data(first_of(file), classes=10))


@pytest.mark.parametrize("file", BUILDERS)
def test_length(file: str) -> None:
    """A network takes fewer lines here than in Python."""
    assert program_lines(file) <= torchvision_lines(first_of(file))
