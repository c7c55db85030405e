"""Files of several networks, and networks of several results, at the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_mistakes import netc

if TYPE_CHECKING:
    from pathlib import Path

TWO = """
network Two(width = 8, side = True) {
  input image: [N, 3, H, W]
  input scale: [N]
  image -> conv: Conv2d(width, 3, padding=1) -> ReLU
  deep = _ * scale[:, None, None, None]
  output out = deep -> head: Conv2d(2, 1)
  if side { output scale_of = deep -> mean([2, 3]) -> fc: Linear(1) }
  if training { output late = deep -> aux: Conv2d(4, 1) }
}
network Plain = Two(4, side=False)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.net").write_text(TWO)
    return tmp_path


def test_each_result_keeps_its_name_in_onnx(folder: Path) -> None:
    import onnx

    shown = netc("export", "--onnx", "--untrained", "--network", "Two", cwd=folder).stdout
    names = [o.name for o in onnx.load(folder / "two.onnx").graph.output]
    assert names == ["out", "scale_of"]
    assert "out: greatest difference" in shown
    assert "scale_of: greatest difference" in shown


def test_one_result_has_its_own_name(folder: Path) -> None:
    import onnx

    netc("export", "--onnx", "--untrained", "--network", "Plain", cwd=folder)
    assert [o.name for o in onnx.load(folder / "two.onnx").graph.output] == ["out"]


def test_a_network_is_named_where_there_are_several(folder: Path) -> None:
    refused = netc("export", "--onnx", "--untrained", cwd=folder, code=1)
    assert "Plain" in refused.stderr


def test_build_writes_the_network_that_is_named(folder: Path) -> None:
    netc("build", "--network", "Plain", cwd=folder)
    model = (folder / "build" / "two" / "model.py").read_text()
    assert "class Plain(Two)" in model
    netc("build", cwd=folder)
    assert "class Two(" in (folder / "build" / "two" / "model.py").read_text()


def test_a_setting_of_a_variant_is_its_own(folder: Path) -> None:
    assert "`Two.width`, `Plain.width`" in netc("check", "--set", "width=6", cwd=folder, code=1).stderr
    shown = netc("summary", "--network", "Plain", "--set", "Plain.width=6", cwd=folder).stdout
    assert "[N, 6, H, W]" in shown
    assert "[N, 8, H, W]" in netc("summary", "--network", "Two", "--set", "Plain.width=6", cwd=folder).stdout


def test_settings_of_variants_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "circle.net").write_text("network A = B(3)\nnetwork B = A(4)\n")
    assert "E0202" in netc("check", "--set", "x=1", cwd=tmp_path, code=1).stderr
