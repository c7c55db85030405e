"""The plans for the layers of torchvision.ops: what well-formed and ill-formed arguments look like.

In: nothing. Out: `PLANS`.
Guarantees: every argument that changes shapes, state or refusals is drawn; arguments that are layers are `LayerValue`s.
Leaves to others: how a plan becomes cases (`draws`), and the comparison (`test_ops`).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netc import catalog
from netc.catalog.entry import LayerValue
from tests.catalog.draws import OMITTED, SIX, Pair, Plan, any_shape, anything, each, flag, images, one_of, sizes


def made(name: str, **args: Any) -> LayerValue:
    entry = catalog.layer(name)
    assert entry is not None
    return LayerValue(entry, args)


def _norms(n: int) -> Pair:
    good = one_of(OMITTED, None, made(f"BatchNorm{n}d", eps=0.01), made(f"InstanceNorm{n}d", affine=True))
    return good, one_of(made("GroupNorm", num_channels=4), made("GroupNorm"), made("LayerNorm"), made("ReLU"))


ACTIVATIONS = (
    one_of(OMITTED, made("ReLU"), made("SiLU"), made("Hardtanh", max_val=6.0)),
    one_of(None, made("GELU"), made("PReLU"), made("Sigmoid"), made("ReLU", inplace=False), made("GLU")),
)


def _conv_norm(n: int) -> dict[str, Pair]:
    return {
        "in_channels": (one_of(OMITTED), one_of(1, 3, 4)),
        "out_channels": (one_of(2, 4), one_of(-1, 0, 3)),
        "kernel_size": (each(n, one_of(1, 3)), each(n, one_of(-1, 0, 2, 9))),
        "stride": (each(n, sizes(1, 2)), each(n, sizes(-1, 2))),
        "padding": (st.one_of(st.none(), each(n, sizes(0, 1)), one_of("valid")), one_of(-1, 7, "half")),
        "groups": (one_of(1, 2), one_of(-1, 0, 3)),
        "norm_layer": _norms(n),
        "activation_layer": ACTIVATIONS,
        "dilation": (each(n, sizes(1, 2)), each(n, one_of(-1, 0, 4))),
        "inplace": (one_of(None, True), one_of(False)),
        "bias": (one_of(None, True), one_of(False)),
    }


def _mlp(n: int) -> dict[str, Pair]:
    return {
        "in_channels": (one_of(OMITTED), one_of(1, 3)),
        "hidden_channels": (one_of((4,), (4, 3), (5, 4, 2)), one_of((), 4, (4, -1), (-2, 3))),
        "norm_layer": (one_of(None, made("LayerNorm")), one_of(made("BatchNorm1d"), made("ReLU"))),
        "activation_layer": (one_of(OMITTED, made("GELU"), made("PReLU")), one_of(None, made("Softmax2d"))),
        "inplace": (one_of(None), one_of(True, False)),
        "bias": (flag, flag),
        "dropout": (one_of(0.0, 0.5), one_of(-0.1, 1.5)),
    }


def _excitation(n: int) -> dict[str, Pair]:
    return {
        "input_channels": (one_of(OMITTED), one_of(1, 3)),
        "squeeze_channels": (one_of(1, 3), one_of(0, -1)),
        "activation": (one_of(OMITTED, made("SiLU"), made("PReLU")), one_of(made("Softmax2d"), made("Flatten"))),
        "scale_activation": (one_of(OMITTED, made("Hardsigmoid")), one_of(made("MaxPool2d"), made("GLU"))),
    }


def _blocks(n: int) -> dict[str, Pair]:
    return {
        "p": (one_of(0.0, 0.5, 1.0), one_of(-0.5, 1.5)),
        "block_size": (one_of(1, 3, 5, 9), one_of(0, 2, 4, -1)),
        "eps": (one_of(1e-6), one_of(1e-3)),
    }


def _regions(n: int) -> Pair:
    sample = st.tuples(sizes(1, 2), one_of(4, 8), sizes(2, 5), sizes(2, 5))
    good = st.tuples(sample, sizes(1, 3).map(lambda k: (k, 5)))
    bad = st.tuples(sample, one_of((3, 4), (5,), (2, 5, 1), ()))
    return good, st.one_of(bad, st.tuples(one_of((2, 3), (3, 4, 4)), st.just((2, 5))))


def _pool(n: int) -> dict[str, Pair]:
    return {
        "output_size": (each(2, sizes(1, 2)), each(2, one_of(3, 5))),  # torchvision crashes on 0
        "spatial_scale": (one_of(1.0, 0.5), one_of(2.0)),
    }


def _aligned(n: int) -> dict[str, Pair]:
    return {**_pool(n), "sampling_ratio": (one_of(-1, 2), one_of(0)), "aligned": (flag, flag)}


def _position_aligned(n: int) -> dict[str, Pair]:
    return {name: pair for name, pair in _aligned(n).items() if name != "aligned"}


def _deformed_shapes(n: int) -> Pair:
    """A kernel of 3 without padding on 5 × 5 gives 3 × 3, and 18 offsets each; with a mask of 9."""
    image, offset, two = (2, 4, 5, 5), (2, 18, 3, 3), (2, 36, 3, 3)
    good = one_of((image, offset), (image, two), (image, offset, (2, 9, 3, 3)), (image, two, (2, 18, 3, 3)))
    bad = one_of((image, (2, 9, 3, 3)), (image, (1, 18, 3, 3)), (image, (2, 18, 4, 3)), (image, offset, (2, 10, 3, 3)))
    return good, st.one_of(
        bad, one_of((image,), (image, (2, 54, 3, 3)), (image, two, (2, 9, 3, 3)), (image, (18, 3, 3)))
    )


def _deformed(n: int) -> dict[str, Pair]:
    """Nothing that is 0, on which torchvision crashes."""
    return {
        "in_channels": (one_of(OMITTED), one_of(1, 3)),
        "out_channels": (one_of(2, 4), one_of(-1, 3)),
        "kernel_size": (one_of(3, (3, 3)), one_of(1, (3, 2), 7)),
        "stride": (one_of(1, (1, 1)), one_of(2, 3)),
        "padding": (one_of(0, (0, 0)), one_of(1, -1)),
        "dilation": (one_of(1), one_of(2, 3)),
        "groups": (one_of(1, 2), one_of(3)),
        "bias": (flag, flag),
    }


PLANS = {
    "convolution": [
        Plan("layer", ("Conv2dNormActivation", "Conv3dNormActivation"), images, _conv_norm, ("out_channels",)),
    ],
    "perceptron": [Plan("layer", ("MLP",), anything, _mlp, ("hidden_channels",))],
    "excitation": [Plan("layer", ("SqueezeExcitation",), images, _excitation, ("squeeze_channels",))],
    "dropping": [
        Plan(
            "layer",
            ("StochasticDepth",),
            anything,
            lambda n: {
                "p": (one_of(0.0, 0.5, 1.0), one_of(-0.5, 1.5)),
                "mode": (one_of("row", "batch"), one_of("rows", "")),
            },
            ("p", "mode"),
            SIX,
        ),
        Plan("layer", ("DropBlock2d", "DropBlock3d"), images, _blocks, ("p", "block_size"), ("float32", "float64")),
    ],
    "moving and freezing": [
        Plan(
            "layer",
            ("Permute",),
            lambda n: (any_shape(3), any_shape(1, 2, 4)),
            lambda n: {"dims": (st.permutations([0, 1, -1]).map(tuple), one_of((0, 1), (0, 0, 1), (0, 1, 3)))},
            ("dims",),
            SIX,
        ),
        Plan(
            "layer",
            ("FrozenBatchNorm2d",),
            images,
            lambda n: {"num_features": (one_of(OMITTED), one_of(1, 3)), "eps": (one_of(1e-5), one_of(1e-3))},
            dtypes=SIX,
        ),
    ],
    "regions": [
        Plan("layer", ("RoIPool", "PSRoIPool"), _regions, _pool, ("output_size", "spatial_scale")),
        Plan("layer", ("RoIAlign",), _regions, _aligned, ("output_size", "spatial_scale", "sampling_ratio")),
        Plan("layer", ("PSRoIAlign",), _regions, _position_aligned, ("output_size", "spatial_scale", "sampling_ratio")),
    ],
    "deformed": [Plan("layer", ("DeformConv2d",), _deformed_shapes, _deformed, ("out_channels", "kernel_size"))],
}
