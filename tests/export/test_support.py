"""What `netc export` says can't be exported before it asks torch: each name is put to torch again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netc import cli, ir
from netc.api import execute
from netc.backends.onnx import export
from netc.backends.onnx_support import unexportable
from netc.catalog.unexportable import NAMES
from netc.compiler import analyse, emit
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

# The input and the body of a network for each name.
IMAGES, VOLUMES, ROWS = "[N, 4, 8, 8]", "[N, 4, 8, 8, 8]", "[N, 4]"
PROGRAMS = {
    "FractionalMaxPool2d": (IMAGES, "FractionalMaxPool2d(2, output_size=4)"),
    "FractionalMaxPool3d": (VOLUMES, "FractionalMaxPool3d(2, output_size=4)"),
    "fractional_max_pool2d": (IMAGES, "fractional_max_pool2d(_, 2, output_size=4)"),
    "fractional_max_pool3d": (VOLUMES, "fractional_max_pool3d(_, 2, output_size=4)"),
    "RReLU": (ROWS, "RReLU"),
    "rrelu": (ROWS, "_ -> rrelu"),
    "CrossMapLRN2d": (IMAGES, "CrossMapLRN2d(3)"),
    "RoIPool": (IMAGES, "(x, x[:, 0, 0, 0:5]) -> RoIPool(2, spatial_scale=1.0)"),
    "PSRoIAlign": (IMAGES, "(x, x[:, 0, 0, 0:5]) -> PSRoIAlign(2, spatial_scale=1.0, sampling_ratio=2)"),
    "PSRoIPool": (IMAGES, "(x, x[:, 0, 0, 0:5]) -> PSRoIPool(2, spatial_scale=1.0)"),
    "cummax": (ROWS, "a, b = x -> cummax(1)\n  a"),
    "cummin": (ROWS, "a, b = x -> cummin(1)\n  a"),
    "cumprod": (ROWS, "_ -> cumprod(1)"),
    "erfinv": (ROWS, "_ -> erfinv"),
    "kthvalue": (ROWS, "a, b = x -> kthvalue(2, 1)\n  a"),
    "lgamma": (ROWS, "_ -> lgamma"),
    "median": (ROWS, "a, b = x -> median(1)\n  a"),
    "mode": (ROWS, "a, b = x -> mode(1)\n  a"),
    "cdist": ("[N, 5, 4]", "cdist(x, x)"),
    "pdist": (ROWS, "_ -> pdist"),
    "gumbel_softmax": (ROWS, "_ -> gumbel_softmax(dim=1)"),
    "rand_like": (ROWS, "_ + rand_like(_)"),
    "randn_like": (ROWS, "_ + randn_like(_)"),
    "scaled_dot_product_attention": ("[N, 5, 4]", "scaled_dot_product_attention(x, x, x)"),
    "AdaptiveAvgPool3d": (VOLUMES, "AdaptiveAvgPool3d(4)"),
    "AdaptiveMaxPool1d": ("[N, 4, 8]", "AdaptiveMaxPool1d(3)"),
    "AdaptiveMaxPool2d": (IMAGES, "AdaptiveMaxPool2d(3)"),
    "AdaptiveMaxPool3d": (VOLUMES, "AdaptiveMaxPool3d(3)"),
    "adaptive_avg_pool3d": (VOLUMES, "adaptive_avg_pool3d(_, 3)"),
    "adaptive_max_pool1d": ("[N, 4, 8]", "adaptive_max_pool1d(_, 3)"),
    "adaptive_max_pool2d": (IMAGES, "adaptive_max_pool2d(_, 3)"),
    "adaptive_max_pool3d": (VOLUMES, "adaptive_max_pool3d(_, 3)"),
}
# Asked of torch as well, which takes seconds for each.
TRIED = ("RReLU", "cumprod", "randn_like", "AdaptiveMaxPool2d", "scaled_dot_product_attention")


def network(shape: str, body: str) -> tuple[ir.Program, ir.Network]:
    checked = analyse(f"network Net {{\n  input x: {shape}\n  {body}\n}}\n", "net.net", "net")
    assert checked.program is not None, checked.diagnostics
    return checked.program, checked.program.networks[0]


def test_every_name_has_a_program() -> None:
    assert set(PROGRAMS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_before_torch_is_asked(name: str) -> None:
    (found,) = unexportable(network(*PROGRAMS[name])[1])
    assert found.code == "E0630"
    assert f"`{name}`" in found.message


@pytest.mark.parametrize("name", TRIED)
def test_torch_says_so_too(name: str, tmp_path: Path) -> None:
    program, net = network(*PROGRAMS[name])
    module = execute(emit(program).model, "net", []).Net().eval()
    with pytest.raises(UserError, match=r"PyTorch cannot export|differs by"):
        export(module, net.inputs, ("output",), tmp_path / "net.onnx", {})


@pytest.mark.parametrize(
    "body",
    ["AdaptiveMaxPool2d(1)", "AdaptiveMaxPool2d(4)", "AdaptiveAvgPool2d(3)", "LocalResponseNorm(3)", "LeakyReLU"],
)
def test_what_can_be_exported_is_not_found(body: str) -> None:
    assert unexportable(network(IMAGES, body)[1]) == ()


def test_only_what_evaluation_needs_is_looked_at() -> None:
    body = "fc: Linear(3)\n  if training { output aux = _ -> cumprod(1) }\n  output y = _ -> relu"
    assert unexportable(network(ROWS, body)[1]) == ()


def test_a_module_has_the_place_of_the_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    text = "module Block {\n  act: RReLU\n}\nnetwork Net {\n  input x: [N, 4]\n  a: Block -> b: Block\n}\n"
    (tmp_path / "net.net").write_text(text)
    assert cli.run(["export", "--onnx", "--untrained"]) == 1
    said = capsys.readouterr().err
    assert "error[E0630]: `a.act` (RReLU) can't be exported to ONNX" in said
    assert "net.net:2:8" in said
    assert not list(tmp_path.glob("*.onnx"))
