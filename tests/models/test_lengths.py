"""The length of model.py follows the program and not the depth or width of the network."""

from __future__ import annotations

import pytest

from netc import compiler
from netc.files import imported
from tests.models.referee import MODELS

PAIRS = [
    ("resnet", "ResNet50", "ResNet152"),
    ("resnet", "ResNet18", "ResNet34"),
    ("resnet", "ResNet50", "WideResNet101_2"),
    ("vit", "ViT_B_16", "ViT_L_16"),
    ("densenet", "DenseNet121", "DenseNet201"),
    ("efficientnet", "EfficientNetB0", "EfficientNetB7"),
    ("convnext", "ConvNeXtTiny", "ConvNeXtLarge"),
    ("swin", "SwinT", "SwinB"),
    ("regnet", "RegNetY400MF", "RegNetY128GF"),
    ("llama", "LLaMA2_7B", "LLaMA2_13B"),
]


def lines(file: str, network: str) -> int:
    """The lines of model.py for one network of a file of the library."""
    path = MODELS / f"{file}.net"
    checked = compiler.analyse(path.read_text(encoding="utf-8"), str(path), path.stem, None, imported)
    assert checked.program is not None
    (chosen,) = (n for n in checked.program.networks if n.name == network)
    return len(compiler.emit(checked.program, [chosen]).model.splitlines())


@pytest.mark.parametrize(("file", "small", "large"), PAIRS)
def test_depth_and_width_take_no_lines(file: str, small: str, large: str) -> None:
    # A variant's own class may need one line more or less: its arguments fit on one line or not.
    assert abs(lines(file, small) - lines(file, large)) <= (0 if file == "resnet" and large == "ResNet152" else 8)


def test_resnet_152_is_short() -> None:
    assert lines("resnet", "ResNet152") == lines("resnet", "ResNet50") <= 110
