"""Which of torchvision's networks the library has: each of its classifiers, segmentations and videos, tested once.

The tests of the families compare a network's keys, shapes, types and outputs; here it is counted that none is left out.
"""

from __future__ import annotations

import pytest
import torchvision

from netc.compiler import analyse
from netc.files import imported
from tests.models import test_attention, test_convolutional, test_segmentation, test_video
from tests.models.referee import MODELS, Case

# MViT crops and pools in ways of its own; it is not in the library yet.
ABSENT = {"mvit_v1_b", "mvit_v2_s"}
CASES: list[Case] = [
    *test_convolutional.CASES.values(),
    *test_attention.CASES.values(),
    *test_segmentation.CASES.values(),
    *test_video.CASES.values(),
]
FILES = sorted({case.file for case in CASES})


@pytest.mark.parametrize(
    ("kind", "count"),
    [(torchvision.models, 80), (torchvision.models.segmentation, 6), (torchvision.models.video, 7)],
    ids=["classification", "segmentation", "video"],
)
def test_every_builder_of_torchvision_has_a_network(kind: object, count: int) -> None:
    builders = set(torchvision.models.list_models(module=kind)) - ABSENT
    tested = [case.builder for case in CASES if case.builder in builders]
    assert sorted(tested) == sorted(builders)
    assert len(tested) == count


def test_every_case_is_of_a_builder_and_of_a_file() -> None:
    builders = set(torchvision.models.list_models())
    assert len({case.builder for case in CASES}) == len({case.network for case in CASES}) == len(CASES) == 93
    assert all(case.builder in builders for case in CASES)
    files = {path.stem for path in MODELS.glob("*.net")}
    assert set(FILES) <= files


@pytest.mark.parametrize("file", FILES)
def test_every_network_of_a_file_is_tested(file: str) -> None:
    """A variant that is written and never compared would be one that nobody has seen work."""
    path = MODELS / f"{file}.net"
    program = analyse(path.read_text(encoding="utf-8"), str(path), file, None, imported).program
    assert program is not None
    assert {network.name for network in program.networks} == {case.network for case in CASES if case.file == file}
