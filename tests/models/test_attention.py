"""ViT, Swin and MaxViT against torchvision: keys, shapes, layers, drawn weights and outputs, all equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchvision.models import maxvit, swin_transformer, vision_transformer

from tests.models.referee import (
    Case,
    Pair,
    assert_same_numbers,
    assert_same_outputs,
    assert_same_state,
    assert_same_structure,
    ours,
    program_lines,
    sharing,
    theirs,
    torchvision_lines,
    unsettle,
    without_data,
)
from tests.models.small import small_pair

# The networks of each file, torchvision's builder of the same, and the image that it is made for.
BUILDERS: dict[str, dict[str, tuple[str, int]]] = {
    "vit": {f"ViT_{size}": (f"vit_{size.lower()}", 224) for size in ("B_16", "B_32", "L_16", "L_32", "H_14")},
    "swin": {
        **{f"Swin{size}": (f"swin_{size.lower()}", 224) for size in "TSB"},
        **{f"SwinV2{size}": (f"swin_v2_{size.lower()}", 256) for size in "TSB"},
    },
    "maxvit": {"MaxViT_T": ("maxvit_t", 224)},
}
CASES = {
    network: Case(file, network, builder, (1, 3, size, size))
    for file, networks in BUILDERS.items()
    for network, (builder, size) in networks.items()
}
# Of networks that differ in their sizes alone, the small ones draw their weights; of ViT the others are given some, and
# Swin, whose buffers have to be computed, is built as it is.
COMPUTED = ["ViT_B_32", *BUILDERS["swin"], "MaxViT_T"]
GIVEN = {"ViT_B_16": 64, "ViT_L_16": 64, "ViT_L_32": 64, "ViT_H_14": 56}  # with the size of the image


@pytest.mark.parametrize("network", CASES)
def test_structure(network: str) -> None:
    assert_same_structure(without_data(CASES[network]))


@pytest.mark.parametrize("network", COMPUTED)
def test_numbers(network: str) -> None:
    assert_same_numbers(CASES[network])


@pytest.mark.parametrize("network", GIVEN)
def test_outputs(network: str) -> None:
    case, size = CASES[network], GIVEN[network]
    with torch.device("meta"):
        pair = Pair(ours(case, size=size), theirs(case, image_size=size))
    assert_same_outputs(sharing(pair), (1, 3, size, size))


def test_every_network_is_computed() -> None:
    assert {*COMPUTED, *GIVEN} == CASES.keys()


def vit() -> nn.Module:
    return vision_transformer.VisionTransformer(32, 8, 2, 4, 32, 64, dropout=0.1, attention_dropout=0.2, num_classes=10)


def swin(version: int, depths: tuple[int, ...]) -> nn.Module:
    return swin_transformer.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=16,
        depths=list(depths),
        num_heads=[2, 4],
        window_size=[4, 4],
        stochastic_depth_prob=0.3,
        num_classes=10,
        block=swin_transformer.SwinTransformerBlock if version == 1 else swin_transformer.SwinTransformerBlockV2,
        downsample_layer=swin_transformer.PatchMerging if version == 1 else swin_transformer.PatchMergingV2,
    )


def max_vit() -> nn.Module:
    return maxvit.MaxVit(
        input_size=(56, 56),
        stem_channels=8,
        partition_size=7,
        block_channels=[32, 64],
        block_layers=[1, 2],
        head_dim=32,
        stochastic_depth_prob=0.3,
        num_classes=10,
    )


# Windows of 4 on 9×9 places, then on 5×5: padded at the windows and at the merging. On 4×4 places: nothing to shift.
PADDED = "(16, [2, 2], [2, 4], 0.3, window=4, size=36, classes=10)"
ONE_WINDOW = "(16, [3, 1], [2, 4], 0.3, window=4, size=16, classes=10)"
V2 = "BlockV2(WindowAttention(cosine=True)), PatchMerging(norm_first=False), window"  # what SwinV2 fixes
SMALL: dict[str, tuple[str, str, Callable[[], nn.Module], int]] = {
    "vit with dropout": ("vit", "VisionTransformer(8, 2, 4, 32, 64, 0.1, 0.2, 32, 10)", vit, 32),
    "swin, padded": ("swin", f"Swin{PADDED}", lambda: swin(1, (2, 2)), 36),
    "swin v2, padded": ("swin", f"Swin{PADDED}".replace("window", V2), lambda: swin(2, (2, 2)), 36),
    "swin, one window": ("swin", f"Swin{ONE_WINDOW}", lambda: swin(1, (3, 1)), 16),
    "swin v2, one window": ("swin", f"Swin{ONE_WINDOW}".replace("window", V2), lambda: swin(2, (3, 1)), 16),
    "maxvit": ("maxvit", "MaxViT(8, [32, 64], [1, 2], 0.3, 56, 10)", max_vit, 56),
}


@pytest.mark.parametrize("name", SMALL)
def test_small(name: str) -> None:
    """At odd sizes, and in training, where dropout and stochastic depth draw the same."""
    file, definition, theirs, size = SMALL[name]
    pair = small_pair(file, definition, theirs)
    assert_same_structure(pair)
    pair = small_pair(file, definition, theirs)
    assert_same_state(pair)
    unsettle(pair)
    assert_same_outputs(pair, (2, 3, size, size))
    assert_same_outputs(pair, (2, 3, size, size), training=True)


@pytest.mark.parametrize("file", BUILDERS)
def test_length(file: str) -> None:
    """A network takes fewer lines here than in Python."""
    assert program_lines(file) <= torchvision_lines(CASES[next(iter(BUILDERS[file]))])
