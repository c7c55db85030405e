"""The networks for video against torchvision: keys, shapes, layers, drawn weights and outputs, all equal."""

from __future__ import annotations

import pytest
from torch import nn
from torchvision.models.video import swin_transformer

from tests.models.referee import (
    Case,
    assert_same_numbers,
    assert_same_outputs,
    assert_same_state,
    assert_same_structure,
    program_lines,
    torchvision_lines,
    unsettle,
    without_data,
)
from tests.models.small import small_pair

# The networks of each file, torchvision's builder of the same, and the clip that is computed.
BUILDERS: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
    "video_resnet": {
        "R3D_18": ("r3d_18", (2, 3, 4, 32, 32)),
        "MC3_18": ("mc3_18", (2, 3, 4, 32, 32)),
        "R2Plus1D_18": ("r2plus1d_18", (2, 3, 4, 32, 32)),
    },
    "s3d": {"S3D": ("s3d", (1, 3, 16, 224, 224))},
    "swin3d": {f"Swin3D_{size}": (f"swin3d_{size.lower()}", (1, 3, 16, 224, 224)) for size in "TSB"},
}
CASES = {
    network: Case(file, network, builder, clip)
    for file, networks in BUILDERS.items()
    for network, (builder, clip) in networks.items()
}


@pytest.mark.parametrize("network", CASES)
def test_structure(network: str) -> None:
    assert_same_structure(without_data(CASES[network], classes=400))


@pytest.mark.parametrize("network", CASES)
def test_numbers(network: str) -> None:
    case = CASES[network]
    pair = assert_same_numbers(case)
    if case.file == "video_resnet":
        assert_same_outputs(pair, case.inputs, training=True)


def swin() -> nn.Module:
    return swin_transformer.SwinTransformer3d(
        patch_size=[2, 4, 4],
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[4, 3, 3],
        stochastic_depth_prob=0.3,
        num_classes=10,
    )


# Frames and size, of patches of 2×4×4, in windows of 4×3×3: padded and shifted along every axis; a clip shorter than a
# window, which becomes the window; a clip of exactly one window, then one smaller than that.
@pytest.mark.parametrize(("frames", "size"), [(12, 28), (4, 28), (8, 12)])
def test_windows(frames: int, size: int) -> None:
    definition = f"Swin3D(16, [2, 2], [2, 4], 0.3, [4, 3, 3], {frames}, {size}, 10)"
    pair = small_pair("swin3d", definition, swin)
    assert_same_state(pair)
    assert_same_structure(pair)
    unsettle(pair)
    assert_same_outputs(pair, (2, 3, frames, size, size))
    assert_same_outputs(pair, (2, 3, frames, size, size), training=True)


@pytest.mark.parametrize("file", BUILDERS)
def test_length(file: str) -> None:
    """A network takes fewer lines here than in Python."""
    assert program_lines(file) <= torchvision_lines(CASES[next(iter(BUILDERS[file]))])
