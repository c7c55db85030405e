"""One step of training against torchvision's: from equal weights, seed and batch, every gradient is equal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.models.referee import Case, Pair, assert_same_state, built, unsettle

CASES = {
    "ResNet18": Case("resnet", "ResNet18", "resnet18", (4, 3, 64, 64)),
    "ViT_B_16": Case("vit", "ViT_B_16", "vit_b_16", (2, 3, 224, 224)),
    "ConvNeXtTiny": Case("convnext", "ConvNeXtTiny", "convnext_tiny", (2, 3, 64, 64)),
    "MobileNetV3Large": Case("mobilenet_v3", "MobileNetV3Large", "mobilenet_v3_large", (4, 3, 64, 64)),
    "MobileNetV3Small": Case("mobilenet_v3", "MobileNetV3Small", "mobilenet_v3_small", (4, 3, 64, 64)),
}


def step(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradients of one step of gradient descent, which is taken."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    model.train()
    torch.manual_seed(4)  # for dropout and stochastic depth
    nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: gradient for name, gradient in gradients.items() if gradient is not None}


def assert_same_step(pair: Pair, inputs: tuple[int, ...]) -> None:
    """Equal gradients for every parameter, none of them all zero, and equal weights and buffers behind the step."""
    draws = torch.Generator().manual_seed(2)
    images, labels = torch.randn(inputs, generator=draws), torch.randint(1000, inputs[:1], generator=draws)
    compiled, written = (step(model, images, labels) for model in pair)
    assert list(compiled) == list(written) == [name for name, _ in pair.theirs.named_parameters()]
    different = [name for name, gradient in written.items() if not torch.equal(compiled[name], gradient)]
    assert not different, f"{len(different)} of {len(written)} gradients differ: {different[:5]}"
    assert all(bool(gradient.any()) for gradient in written.values())
    assert_same_state(pair)


@pytest.mark.parametrize("network", CASES)
def test_gradients_of_one_step(network: str) -> None:
    pair = built(CASES[network])
    unsettle(pair)
    assert_same_step(pair, CASES[network].inputs)
