"""Parameters and multiply-adds against formulas by hand, inferred arguments, and what refusals say."""

from __future__ import annotations

from typing import Any

import pytest

from netc import catalog
from netc.catalog.entry import Rule
from netc.catalog.rules.normalization import batch_values
from netc.shapes import Dim, Reject, Size, TensorType, product, symbol
from tests.catalog.referee import Case, completed, entry_of

N = symbol("N")


def answer(name: str, shape: tuple[Dim, ...], dtype: str = "float32", **args: Any) -> tuple[Rule, Any, Any]:
    case = Case("layer", name, args, (TensorType(shape, dtype),))
    rule = entry_of(case).rule
    assert rule is not None
    bound = completed(case)
    return rule, bound, bound if isinstance(bound, Reject) else rule.shape(bound, case.inputs)


@pytest.mark.parametrize(
    ("name", "shape", "args", "result", "macs", "parameters"),
    [
        ("Conv2d", (N, 1, 32, 32), {"out_channels": 6, "kernel_size": 5}, (N, 6, 28, 28), 6 * 28 * 28 * 25 * N, 156),
        (
            "Conv2d",
            (1, 8, 6, 6),
            {"out_channels": 8, "kernel_size": 3, "groups": 8, "bias": False},
            (1, 8, 4, 4),
            8 * 16 * 9,
            72,
        ),
        (
            "ConvTranspose2d",
            (1, 4, 3, 3),
            {"out_channels": 2, "kernel_size": 2, "stride": 2},
            (1, 2, 6, 6),
            4 * 9 * 2 * 4,
            34,
        ),
        ("Linear", (N, 400), {"out_features": 120}, (N, 120), 48000 * N, 48120),
        ("Linear", (N, 7, 400), {"out_features": 120, "bias": False}, (N, 7, 120), 7 * 48000 * N, 48000),
    ],
)
def test_multiply_adds_and_parameters(
    name: str, shape: tuple[Dim, ...], args: dict[str, Any], result: tuple[Dim, ...], macs: Dim, parameters: int
) -> None:
    rule, bound, found = answer(name, shape, **args)
    assert found == TensorType(result)
    assert rule.macs is not None
    assert rule.macs(bound, (TensorType(shape),), found) == macs
    assert rule.state is not None
    assert sum(product(s) for s in rule.state(bound).values()) == parameters


@pytest.mark.parametrize(
    ("name", "shape", "args", "argument", "expected", "got", "words"),
    [
        (
            "Linear",
            (N, 576),
            {"out_features": 10, "in_features": 400},
            "in_features",
            "576",
            "400",
            "576 features arrive",
        ),
        (
            "Conv2d",
            (N, 3, 5, 5),
            {"out_channels": 8, "kernel_size": 7},
            "kernel_size",
            "at most 5",
            "7",
            "the kernel (7) is larger than the input (5) in height",
        ),
        (
            "Conv2d",
            (N, 3, 5, 5),
            {"out_channels": 8, "kernel_size": 9, "padding": 1},
            "kernel_size",
            "at most 7",
            "9",
            "larger than the padded input (7)",
        ),
        (
            "Conv2d",
            (3, 32, 32),
            {"out_channels": 8, "kernel_size": 3},
            None,
            "[N, C, H, W]",
            "[3, 32, 32]",
            "batch axis is missing",
        ),
        (
            "Conv2d",
            (N, 3, 5, 5),
            {"out_channels": 8, "kernel_size": 3, "groups": 2},
            "groups",
            "a divisor of 3",
            "2",
            "3 input channels",
        ),
        (
            "MaxPool2d",
            (N, 3, 5, 5),
            {"kernel_size": 2, "padding": 2},
            "padding",
            "at most 1",
            "2",
            "half of the kernel",
        ),
        ("BatchNorm2d", (N, 8, 5, 5), {"num_features": 16}, "num_features", "8", "16", "8 channels arrive"),
        (
            "LayerNorm",
            (N, 8, 32),
            {"normalized_shape": (8, 16)},
            "normalized_shape",
            "8, 32",
            "8, 16",
            "ends in [8, 32]",
        ),
        (
            "Unflatten",
            (N, 10),
            {"dim": 1, "unflattened_size": (3, -1)},
            "unflattened_size",
            "a divisor of 10",
            "3",
            "10 elements",
        ),
    ],
)
def test_refusals_say_what_was_expected(
    name: str, shape: tuple[Dim, ...], args: dict[str, Any], argument: str | None, expected: str, got: str, words: str
) -> None:
    _, _, reject = answer(name, shape, **args)
    assert isinstance(reject, Reject)
    assert reject[:3] == (argument, expected, got)
    assert words in reject.reason


def test_a_convolution_on_whole_numbers_is_refused() -> None:
    reject = answer("Conv2d", (N, 1, 8, 8), "uint8", out_channels=2, kernel_size=3)[2]
    assert reject == Reject(None, "float32", "uint8", "I compute with float32 numbers, and the input is uint8")


def test_symbols_pass_through_a_network() -> None:
    h, w = symbol("H"), symbol("W")
    x = answer("Conv2d", (N, 3, h, w), out_channels=64, kernel_size=7, stride=2, padding=3)[2]
    x = answer("MaxPool2d", x.shape, kernel_size=3, stride=2, padding=1)[2]
    assert str(x) == "[N, 64, (H + 3) // 4, (W + 3) // 4]"
    x = answer("AdaptiveAvgPool2d", x.shape, output_size=1)[2]
    x = answer("Flatten", x.shape)[2]
    rule, bound, result = answer("Linear", x.shape, out_features=10)
    assert bound["in_features"] == 64
    assert result == TensorType((N, 10))
    assert rule.state is not None


def test_buffers_of_batch_norm() -> None:
    rule, bound, _ = answer("BatchNorm2d", (N, 8, 4, 4))
    assert rule.buffers is not None
    assert rule.buffers(bound) == {
        "running_mean": ((8,), "float32"),
        "running_var": ((8,), "float32"),
        "num_batches_tracked": ((), "int64"),
    }


def test_values_of_a_batch() -> None:
    assert batch_values(TensorType((1, 8))) == 1
    assert batch_values(TensorType((N, 8, 4, 4))) == 16 * N
    assert isinstance(batch_values(TensorType((N, 8))), Size)


def test_functions_say_how_they_are_printed() -> None:
    flatten, pool, pad = (e.rule for n in ("Flatten", "MaxPool2d", "ReflectionPad2d") if (e := catalog.layer(n)))
    assert flatten is not None
    assert flatten.function is not None
    assert (flatten.function.callee, flatten.function.always) == (".flatten", ("start_dim",))
    assert pool is not None
    assert pool.function is not None
    assert pool.function.callee == "F.max_pool2d"
    assert pad is not None
    assert pad.function is not None
    assert (pad.function.extra, pad.function.spread) == (('mode="reflect"',), {"padding": 4})
