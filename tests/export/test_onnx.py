"""Networks of every kind go to ONNX and come back with the same numbers; what can't is refused, with the layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netc
from netc import compiler
from netc.backends import onnx as backend
from netc.backends import onnx_sizes
from netc.backends.onnx import ExportReport, export
from netc.ir import Input
from netc.runtime.errors import UserError
from netc.shapes import TensorType, symbol
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Callable


def given(name: str, *shape: int | str, dtype: str = "float32") -> Input:
    """An input as the checker hands it on: letters become symbols."""
    dims = tuple(symbol(dim) if isinstance(dim, str) else dim for dim in shape)
    return Input(name, TensorType(dims, dtype), Span(0, 0))


def axes_in(path: Path) -> dict[str, list[int | str]]:
    """What the file itself says of its inputs and outputs, read by onnx and not by netc."""
    graph = onnx.load(str(path)).graph
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def assert_proof(report: ExportReport) -> None:
    """The comparison was made: two or more sizes of every symbol, none of them traced, and a difference below 1e-4."""
    for name, traced in report.traced.items():
        others = {sizes[name] for sizes in report.sizes} - {traced}
        assert len(others) >= 2, f"{name}: {report.sizes}"
    assert report.differences
    assert all(0 <= difference.absolute <= 1e-4 for difference in report.differences)
    assert report.bytes == report.path.stat().st_size
    assert [file.name for file in report.path.parent.iterdir()] == [report.path.name]


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(400, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(image)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(self.dropout(x.flatten(1)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.head = nn.Linear(128, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        return self.head(self.pool(x + self.body(x)).flatten(1))


class Text(nn.Module):
    """A language model: the logits and the last state of an LSTM, and a context of at most 40 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(50, 16)
        self.positions = nn.Embedding(40, 16)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.head = nn.Linear(16, 50)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.lstm(x)[0])


class Pair(NamedTuple):
    near: Tensor
    far: Tensor


class TwoInputs(nn.Module):
    def __init__(self, result: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.left = nn.Linear(3, 4)
        self.right = nn.Linear(5, 4)
        self.result = result

    def forward(self, a: Tensor, b: Tensor) -> object:
        x, y = self.left(a), self.right(b)
        return self.result(x + y, x - y)


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[LeNet, ExportReport]:
    torch.manual_seed(0)
    net = LeNet().train()
    path = tmp_path_factory.mktemp("lenet") / "new" / "lenet.onnx"
    metadata = {"classes": json.dumps(["zero", "één"]), "netc": "0.1.0"}
    return net, export(net, (given("image", "N", 1, 32, 32),), ("logits",), path, metadata)


def test_a_network_with_an_open_batch(lenet: tuple[LeNet, ExportReport]) -> None:
    net, report = lenet
    assert_proof(report)
    assert net.training, "the module's mode is the caller's"
    assert net.dropout.training
    assert axes_in(report.path) == {"image": ["N", 1, 32, 32], "logits": ["N", 10]}
    assert report.axes == {"image": ("N", 1, 32, 32), "logits": ("N", 10)}
    assert {1} <= {sizes["N"] for sizes in report.sizes}, "a single sample is what most people will run"
    model = onnx.load(str(report.path))
    assert report.opset == model.opset_import[0].version
    assert report.nodes == len(model.graph.node)


def test_the_file_gives_the_numbers_of_the_module_to_somebody_else(lenet: tuple[LeNet, ExportReport]) -> None:
    net, report = lenet
    image = torch.rand(7, 1, 32, 32)
    (theirs,) = onnxruntime.InferenceSession(str(report.path)).run(None, {"image": image.numpy()})
    with torch.no_grad():
        ours = net.eval()(image)
    net.train()
    np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-5)


def test_the_metadata_comes_back(lenet: tuple[LeNet, ExportReport]) -> None:
    read = onnxruntime.InferenceSession(str(lenet[1].path)).get_modelmeta().custom_metadata_map
    assert json.loads(read["classes"]) == ["zero", "één"]
    assert read["netc"] == "0.1.0"


def test_the_file_says_nothing_of_this_machine(lenet: tuple[LeNet, ExportReport]) -> None:
    data = lenet[1].path.read_bytes()
    for private in (str(Path(torch.__file__).parent), str(Path(__file__).parent), str(Path.home())):
        assert private.encode() not in data


def test_two_exports_are_the_same_to_the_byte(lenet: tuple[LeNet, ExportReport], tmp_path: Path) -> None:
    net, report = lenet
    again = export(net, (given("image", "N", 1, 32, 32),), ("logits",), tmp_path / "lenet.onnx", {})
    first, second = onnx.load(str(report.path)), onnx.load(str(again.path))
    del first.metadata_props[:]
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_a_fully_convolutional_network_has_open_sides(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(8, 2, 1)
    )
    report = export(net, (given("image", "N", 3, "H", "W"),), ("mask",), tmp_path / "fcn.onnx", {})
    assert_proof(report)
    assert report.axes["image"] == ("N", 3, "H", "W")
    assert any(sizes["H"] % 2 for sizes in report.sizes), "odd sides are where rounding goes wrong"
    assert any(sizes["H"] % 2 == 0 for sizes in report.sizes)


def test_a_network_that_takes_multiples_of_8_only(tmp_path: Path) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(1, 2, 8, stride=8)
            self.up = nn.ConvTranspose2d(2, 1, 8, stride=8)

        def forward(self, image: Tensor) -> Tensor:
            return image + self.up(self.down(image))

    report = export(Skip(), (given("image", "N", 1, "H", "W"),), ("image2",), tmp_path / "skip.onnx", {})
    assert_proof(report)
    assert all(sizes[name] % 8 == 0 for sizes in (report.traced, *report.sizes) for name in "HW")


def test_a_residual_graph_with_adaptive_pooling(tmp_path: Path) -> None:
    report = export(Residual(), (given("image", "N", 3, "H", "W"),), ("logits",), tmp_path / "residual.onnx", {})
    assert_proof(report)


def test_tokens_within_their_range_and_context(tmp_path: Path) -> None:
    inputs = (given("tokens", "N", "T", dtype="int64"),)
    net = Text()
    assert onnx_sizes.integer_ranges(net, inputs, {"N": 2, "T": 3}) == {"tokens": 50}
    report = export(net, inputs, ("logits",), tmp_path / "text.onnx", {})
    assert_proof(report)
    assert report.axes == {"tokens": ("N", "T"), "logits": ("N", "T", 50)}
    assert max(sizes["T"] for sizes in report.sizes) <= 40


def test_integers_stay_below_the_range_that_the_caller_gives() -> None:
    inputs = (given("tokens", "N", "T", dtype="int64"), given("mask", "N", dtype="bool"), given("x", "N", 3))
    tokens, mask, x = onnx_sizes.samples(inputs, {"N": 50, "T": 20}, {"tokens": 7})
    assert (tokens.dtype, mask.dtype, x.dtype) == (torch.int64, torch.bool, torch.float32)
    assert (tokens.shape, mask.shape, x.shape) == ((50, 20), (50,), (50, 3))
    assert set(tokens.flatten().tolist()) == set(range(7))
    assert x.std() > 0.5
    again = onnx_sizes.samples(inputs, {"N": 50, "T": 20}, {"tokens": 7})
    assert torch.equal(tokens, again[0])


PROGRAM = """\
network Residual(width = 8) {
  input image: [N, 1, H, W]
  stem: Conv2d(width, 3, padding=1) -> bn: BatchNorm2d -> ReLU
  skip = _
  a: Conv2d(width, 3, padding=1) -> ReLU
  _ + skip -> MaxPool2d(2) -> AdaptiveAvgPool2d(3)
  Flatten
  fc: Linear(10)
}
"""


def test_a_program_of_the_language(tmp_path: Path) -> None:
    (tmp_path / "residual.net").write_text(PROGRAM)
    program = compiler.analyse(PROGRAM, stem="residual").program
    assert program is not None
    path = tmp_path / "out" / "residual.onnx"
    report = export(netc.load(tmp_path / "residual.net"), program.networks[0].inputs, ("output",), path, {})
    assert_proof(report)
    assert report.axes == {"image": ("N", 1, "H", "W"), "output": ("N", 10)}


@pytest.mark.parametrize(
    "result",
    [Pair, lambda x, y: {"near": x, "far": y}, lambda x, y: (x, None, [y])],
    ids=["named tuple", "dict", "nested"],
)
def test_several_inputs_and_outputs_in_order(result: Callable[[Tensor, Tensor], object], tmp_path: Path) -> None:
    net = TwoInputs(result)
    inputs = (given("a", "N", 3), given("b", "N", 5))
    report = export(net, inputs, ("near", "far"), tmp_path / "two.onnx", {})
    assert_proof(report)
    assert report.axes == {"a": ("N", 3), "b": ("N", 5), "near": ("N", 4), "far": ("N", 4)}
    assert [difference.output for difference in report.differences] == ["near", "far"]
    a, b = torch.randn(2, 3), torch.randn(2, 5)
    near, far = onnxruntime.InferenceSession(str(report.path)).run(["near", "far"], {"a": a.numpy(), "b": b.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(near, net.left(a) + net.right(b), atol=1e-6)
        np.testing.assert_allclose(far, net.left(a) - net.right(b), atol=1e-6)


def test_letters_that_mean_something_in_algebra(tmp_path: Path) -> None:
    report = export(nn.AvgPool2d(2), (given("x", "N", "S", "E", "I"),), ("y",), tmp_path / "n.onnx", {})
    assert_proof(report)
    assert report.axes["x"] == ("N", "S", "E", "I")


def test_no_open_size_at_all(tmp_path: Path) -> None:
    report = export(nn.Linear(3, 2), (given("x", 4, 3),), ("y",), tmp_path / "fixed.onnx", {})
    assert report.sizes == ({},)
    assert report.axes == {"x": (4, 3), "y": (4, 2)}


def test_nan_on_both_sides_is_agreement(tmp_path: Path) -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    report = export(Log(), (given("x", "N", 64),), ("y",), tmp_path / "log.onnx", {})
    assert_proof(report)


class Counting(nn.Module):
    """Takes the length of its input for a number, as an unrolled recurrence does."""

    def forward(self, x: Tensor) -> Tensor:
        total = x[:, 0]
        for step in range(int(x.shape[1])):
            total = total + x[:, step]
        return total


class WithCounting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.middle = nn.Sequential(nn.ReLU(), Counting())
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.memory = nn.RNN(8, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(self.embed(x))[0])


class InTheBody(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x * float(int(x.shape[1]))


@pytest.mark.parametrize(
    ("net", "layer"),
    [
        (WithCounting(), "`middle.1` (Counting)"),
        (Recurrent(), "`memory` (RNN)"),
        (InTheBody(), "the body of InTheBody, after `first` (Linear)"),
    ],
    ids=["a loop over the length", "a plain RNN", "the body of the network"],
)
def test_an_axis_that_the_exporter_fixed_names_the_layer(net: nn.Module, layer: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        export(net, (given("steps", "N", "T", 4),), ("y",), tmp_path / "fixed.onnx", {})
    assert "`T` of input `steps` is open, but came out of the export fixed at 24" in caught.value.message
    assert caught.value.message.endswith(f"the layer that fixes it is {layer}")
    assert caught.value.help
    assert not any(tmp_path.iterdir())


def test_sizes_that_must_be_equal_have_one_letter(tmp_path: Path) -> None:
    class Symmetric(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.transpose(1, 2)

    with pytest.raises(UserError, match="the sizes `W` and `H` of input `x` are one size"):
        export(Symmetric(), (given("x", "N", "H", "W"),), ("y",), tmp_path / "n.onnx", {})
    assert_proof(export(Symmetric(), (given("x", "N", "H", "H"),), ("y",), tmp_path / "n.onnx", {}))


class Baked(nn.Module):
    """Adaptive pooling by torch's operator, out of reach of the general form that the export has for the function.

    Traced at a multiple of its output it becomes a pool with a fixed window, and the exporter says nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.adaptive_avg_pool2d(x, [8, 8])


def test_a_size_fixed_inside_the_network_names_the_layer(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(nn.ReLU(), Baked()), nn.Conv2d(4, 2, 1))
    with pytest.raises(UserError, match=r"output `y` has the shape .* in PyTorch at .*; they part at `1.1` \(Baked\)"):
        export(net, (given("image", "N", 3, "H", "W"),), ("y",), tmp_path / "n.onnx", {})
    assert not any(tmp_path.iterdir())


def test_numbers_that_follow_from_a_fixed_size_name_the_layer(tmp_path: Path) -> None:
    """The same pool before a maximum over the sides: all shapes are right, and the numbers are not."""

    class Most(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.amax((2, 3))

    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Baked(), Most())
    with pytest.raises(UserError, match=r"output `y` differs by .*; they part at `1` \(Baked\)"):
        export(net, (given("image", "N", 3, "H", "W"),), ("y",), tmp_path / "n.onnx", {})


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (nn.MaxPool1d(3, 2, padding=1, ceil_mode=True), (2, "L")),
        (nn.AdaptiveAvgPool1d(5), (2, "L")),
        (nn.AdaptiveAvgPool2d(7), (2, "H", "W")),
        (nn.AdaptiveAvgPool2d((3, None)), (2, "H", "W")),
        (nn.AdaptiveAvgPool3d((3, 2, 1)), (2, "D", "H", "W")),
        (nn.AdaptiveAvgPool2d(7), (2, "H", 30)),
    ],
    ids=str,
)
def test_pools_that_the_exporter_would_fix(pool: nn.Module, shape: tuple[int | str, ...], tmp_path: Path) -> None:
    before = (torch.max_pool1d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
    assert_proof(export(pool, (given("x", "N", *shape),), ("y",), tmp_path / "pool.onnx", {}))
    after = (torch.max_pool1d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_pool_over_sides_that_are_numbers_stays_a_pool(tmp_path: Path) -> None:
    report = export(nn.AdaptiveAvgPool2d(4), (given("x", "N", 2, 8, 8),), ("y",), tmp_path / "pool.onnx", {})
    assert [node.op_type for node in onnx.load(str(report.path)).graph.node] == ["AveragePool"]


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_numbers_that_differ_are_refused_and_the_former_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "noisy.onnx"
    path.write_bytes(b"the former file")
    with pytest.raises(UserError, match=r"output `y` differs by 0\.\d+ .* at N=1; the limit is 0.0001"):
        export(Noisy(), (given("x", "N", 8),), ("y",), path, {})
    assert path.read_bytes() == b"the former file"
    assert [file.name for file in tmp_path.iterdir()] == ["noisy.onnx"]


def test_the_tolerance_is_the_callers(tmp_path: Path) -> None:
    report = export(Noisy(), (given("x", "N", 8),), ("y",), tmp_path / "noisy.onnx", {}, tolerance=1.0)
    (difference,) = report.differences
    assert 1e-4 < difference.absolute <= 1.0
    assert 0 < difference.relative < difference.absolute


@pytest.mark.parametrize("index", [0, 3])
def test_weights_that_changed_on_the_way_are_noticed(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof runs the file that was written, not what is in memory: spoil one weight in the file alone."""
    load = backend._session

    def spoil(path: Path) -> onnxruntime.InferenceSession:
        model = onnx.load(str(path))
        weight = model.graph.initializer[index]
        values = onnx.numpy_helper.to_array(weight).copy()
        values.flat[0] += 0.5
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        onnx.save(model, str(path))
        return load(path)

    monkeypatch.setattr(backend, "_session", spoil)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    with pytest.raises(UserError, match="output `y` differs by"):
        export(net, (given("x", "N", 4),), ("y",), tmp_path / "n.onnx", {})


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([float("nan"), 1.0], [float("nan"), 1.0], 0.0),
        ([float("nan"), 1.0], [0.0, 1.0], float("inf")),
        ([float("inf"), 1.0], [float("inf"), 1.0], 0.0),
        ([float("inf"), 1.0], [float("-inf"), 1.0], float("inf")),
        ([], [], 0.0),
    ],
)
def test_the_difference_of_two_results(ours: list[float], theirs: list[float], expected: float) -> None:
    found = backend._difference("y", np.array(ours, np.float32), np.array(theirs, np.float32))
    assert found.absolute == expected


def test_the_relative_difference_is_to_the_largest_value() -> None:
    found = backend._difference("y", np.array([4.0, -8.0]), np.array([4.0, -6.0]))
    assert (found.absolute, found.relative) == (2.0, 0.25)


@pytest.mark.parametrize(
    ("place", "reason"), [("file/lenet.onnx", "Not a directory|File exists"), ("folder", "it is a folder")]
)
def test_a_place_that_cannot_be_written(place: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"cannot write .*: ({reason})"):
        export(nn.Linear(3, 2), (given("x", "N", 3),), ("y",), tmp_path / place, {})


def test_a_full_disk_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(b"the former file")
    original = torch.onnx.ONNXProgram.save

    def save(self: torch.onnx.ONNXProgram, destination: str, **options: object) -> None:
        Path(destination).symlink_to("/dev/full")
        original(self, destination, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", save)
    with pytest.raises(UserError, match="cannot write .*: No space left on device"):
        export(nn.Linear(3, 2), (given("x", "N", 3),), ("y",), path, {})
    assert path.read_bytes() == b"the former file"


def test_weights_too_large_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_ONE_FILE", 1)
    report = export(nn.Linear(256, 256), (given("x", "N", 256),), ("y",), tmp_path / "large.onnx", {})
    files = list(tmp_path.iterdir())
    assert {file.name for file in files} == {"large.onnx", "large.onnx.data"}
    assert report.bytes == sum(file.stat().st_size for file in files)
    (y,) = onnxruntime.InferenceSession(str(report.path)).run(None, {"x": np.zeros((1, 256), np.float32)})
    assert y.shape == (1, 256)


def test_a_network_that_runs_at_no_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sizes were found for `N`, `H`") as caught:
        export(nn.Linear(3, 2), (given("x", "N", "H", 4),), ("y",), tmp_path / "n.onnx", {})
    assert "at N=2, H=24: RuntimeError" in (caught.value.details or "")


def test_an_open_size_that_has_one_value_only(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`F` is an open size, but the network was seen to run with F = 32 only"):
        export(nn.Linear(32, 2), (given("x", "N", "F"),), ("y",), tmp_path / "n.onnx", {})


def test_what_pytorch_cannot_export_says_why(tmp_path: Path) -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.nonzero() if float(x.sum().item()) > 0 else torch.from_numpy(np.linalg.inv(x.numpy()))

    with pytest.raises(UserError, match=r"PyTorch cannot export this network to ONNX: \w+"):
        export(Branch(), (given("x", "N", 3),), ("y",), tmp_path / "n.onnx", {})


def test_the_exporter_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export(nn.Linear(3, 2), (given("x", "N", 3),), ("y",), tmp_path / "n.onnx", {})
    assert capfd.readouterr() == ("", "")
