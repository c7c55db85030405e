"""FCN, DeepLab v3 and LR-ASPP against torchvision: keys, shapes, layers, and outputs from the same weights.

The drawn weights can't be equal: torchvision builds a whole classifier for the backbone and drops its head, which has
drawn by then. They are compared in their spread.
"""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from tests.models.referee import (
    Case,
    Pair,
    assert_same_outputs,
    assert_same_structure,
    ours,
    program_lines,
    theirs,
    torchvision_lines,
    unsettle,
    without_data,
)

AUXILIARY = {"weights_backbone": None, "aux_loss": True}
BUILDERS: dict[str, dict[str, str]] = {
    "fcn": {"FCNResNet50": "fcn_resnet50", "FCNResNet101": "fcn_resnet101"},
    "deeplab": {
        "DeepLabV3ResNet50": "deeplabv3_resnet50",
        "DeepLabV3ResNet101": "deeplabv3_resnet101",
        "DeepLabV3MobileNetV3Large": "deeplabv3_mobilenet_v3_large",
    },
    "lraspp": {"LRASPPMobileNetV3Large": "lraspp_mobilenet_v3_large"},
}
CASES = {
    network: Case(file, network, builder, (1, 3, 65, 74), {"weights_backbone": None} if file == "lraspp" else AUXILIARY)
    for file, networks in BUILDERS.items()
    for network, builder in networks.items()
}


def with_equal_weights(case: Case) -> Pair:
    """Both networks with torchvision's weights; at a size that none of the strides divides."""
    torch.manual_seed(0)
    pair = Pair(ours(case), theirs(case))
    pair.ours.load_state_dict(pair.theirs.state_dict())
    unsettle(pair)
    return pair


@pytest.mark.parametrize("network", CASES)
def test_structure(network: str) -> None:
    assert_same_structure(without_data(CASES[network], classes=21))


@pytest.mark.parametrize("network", CASES)
def test_numbers(network: str) -> None:
    case = CASES[network]
    pair = with_equal_weights(case)
    assert_same_outputs(pair, case.inputs)
    assert_same_outputs(pair, (2, *case.inputs[1:]), training=True)


@pytest.mark.parametrize("network", ["FCNResNet50", "DeepLabV3MobileNetV3Large"])
def test_without_auxiliary_head(network: str) -> None:
    case = CASES[network]
    with torch.device("meta"):
        pair = Pair(ours(case, auxiliary=False), theirs(case, aux_loss=False))
        assert_same_structure(pair)
        result = pair.ours.eval()(torch.empty(2, 3, 33, 40))
    out = result if isinstance(result, Tensor) else result.out
    assert out.shape == (2, 21, 33, 40)


@pytest.mark.parametrize("network", ["FCNResNet50", "LRASPPMobileNetV3Large"])
def test_backbone_is_initialised_as_its_classifier(network: str) -> None:
    """The standard deviation of He et al. by fan out, which is not torch's default."""
    torch.manual_seed(0)
    checked = 0
    for path, layer in ours(CASES[network]).named_modules():
        if isinstance(layer, nn.Conv2d) and path.startswith("backbone") and layer.weight.numel() > 20_000:
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            assert float(layer.weight.detach().std()) == pytest.approx(sqrt(2 / fan_out), rel=0.05), path
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("file", BUILDERS)
def test_length(file: str) -> None:
    """A network takes fewer lines here than in Python."""
    assert program_lines(file) <= torchvision_lines(CASES[next(iter(BUILDERS[file]))])
