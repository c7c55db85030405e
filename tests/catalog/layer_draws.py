"""The plans for layers: what well-formed and ill-formed arguments look like.

In: nothing. Out: `PLANS`, by family; and `upsamplings`.
Guarantees: every argument that changes shapes, state or refusals is drawn.
Leaves to others: how a plan becomes cases (`draws`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from netc.shapes import TensorType
from tests.catalog.draws import (
    FLOATS,
    OMITTED,
    SIX,
    Pair,
    Plan,
    any_shape,
    anything,
    each,
    flag,
    images,
    nothing,
    omitted,
    one_of,
    shape,
    sizes,
    with_number,
)
from tests.catalog.referee import DTYPES, Case


def _conv(n: int) -> dict[str, Pair]:
    return {
        "in_channels": (omitted, one_of(1, 3, 4)),
        "out_channels": (one_of(2, 4, 8), one_of(-1, 1, 3)),
        "kernel_size": (each(n, sizes(1, 3)), each(n, one_of(-1, 0, 2, 6, 9))),
        "stride": (each(n, sizes(1, 3)), each(n, sizes(-1, 2))),
        "padding": (
            st.one_of(each(n, sizes(0, 2)), one_of("valid", "same")),
            st.one_of(each(n, one_of(-2, -1, 1, 7)), one_of("half")),
        ),
        "dilation": (each(n, sizes(1, 2)), each(n, one_of(-1, 0, 1, 3, 4))),
        "groups": (one_of(1, 1, 2), one_of(-1, 0, 3, 4, 8)),
        "bias": (flag, flag),
        "padding_mode": (
            one_of("zeros", "zeros", "reflect", "replicate", "circular"),
            one_of("mirror", "reflect", "circular"),
        ),
    }


def _conv_transpose(n: int) -> dict[str, Pair]:
    args = _conv(n)
    args["padding"] = (each(n, sizes(0, 2)), each(n, one_of(-2, -1, 1, 7)))
    args["padding_mode"] = (one_of("zeros"), one_of("reflect", "circular", "mirror"))
    args["output_padding"] = (each(n, one_of(0, 0, 1)), each(n, one_of(-1, 1, 2, 3)))
    return args


def _max_pool(n: int) -> dict[str, Pair]:
    return {
        "kernel_size": (each(n, sizes(1, 4)), each(n, one_of(-1, 0, 2, 6, 9))),
        "stride": (st.one_of(st.none(), each(n, sizes(1, 3))), each(n, sizes(-1, 2))),
        "padding": (each(n, one_of(0, 0, 1, 2)), each(n, one_of(-2, -1, 1, 2, 7))),
        "dilation": (each(n, sizes(1, 2)), each(n, one_of(-1, 0, 1, 3, 4))),
        "ceil_mode": (flag, flag),
        "return_indices": (flag, flag),
    }


def _avg_pool(n: int) -> dict[str, Pair]:
    args = _max_pool(n)
    del args["dilation"], args["return_indices"]
    args["count_include_pad"] = (flag, flag)
    if n > 1:
        args["divisor_override"] = (one_of(None, 1, 3), one_of(0, -1))
    return args


def _lp_pool(n: int) -> dict[str, Pair]:
    args = {name: pair for name, pair in _max_pool(n).items() if name not in ("dilation", "padding", "return_indices")}
    if n == 1:
        args["kernel_size"] = (sizes(1, 4), one_of(-1, 0, 2, 6, 9))
    return {"norm_type": (one_of(1, 2, 1.5), one_of(0, 0.0, -1)), **args}


def _adaptive_pool(n: int) -> dict[str, Pair]:
    good = each(n, sizes(1, 9)) if n == 1 else each(n, st.one_of(st.none(), sizes(1, 9)))
    return {"output_size": (good, each(n, sizes(-3, 0)))}


def _adaptive_max_pool(n: int) -> dict[str, Pair]:
    return {**_adaptive_pool(n), "return_indices": (flag, flag)}


def _pad(bound: int) -> Callable[[int], dict[str, Pair]]:
    def args(n: int) -> dict[str, Pair]:
        return {"padding": (each(2 * n, sizes(0, bound)), each(2 * n, sizes(-5, 7)))}

    return args


def _constant_pad(n: int) -> dict[str, Pair]:
    return {**_pad(3)(n), "value": (st.floats(0, 9), one_of(-0.3, -1, 255, 255.5, 256, 3e9, -129, 1e30, 65520.0))}


def _norm_images(n: int) -> Pair:
    good, bad = images(n, low=1, high=3)
    return (st.one_of(good, shape(sizes(1, 3), one_of(2, 4))) if n == 1 else good), bad


def _channelled(n: int) -> Pair:
    return any_shape(2, 3, 4, 5, high=3), any_shape(0, 1, high=3)


def _instance_images(n: int) -> Pair:
    return images(n, low=2, high=3)[0], images(n, low=1, high=1)[1]


def _batch_norm(n: int) -> dict[str, Pair]:
    return {
        "num_features": (omitted, one_of(1, 3, 4)),
        "eps": (one_of(1e-3, 1e-5), st.just(0.1)),
        "momentum": (one_of(None, 0.1), st.just(0.5)),
        "affine": (flag, flag),
        "track_running_stats": (flag, flag),
        "bias": (flag, flag),
    }


def _instance_norm(n: int) -> dict[str, Pair]:
    # A wrong num_features is only a warning in torch where there are no weights; netc always refuses it.
    args = _batch_norm(n)
    args["num_features"] = (omitted, omitted)
    args["momentum"] = (st.just(0.1), st.just(0.5))
    return args


def _group_norm(n: int) -> dict[str, Pair]:
    return {
        "num_groups": (one_of(1, 2), one_of(-1, 0, 3, 4, 5)),
        "num_channels": (omitted, one_of(1, 3, 6)),
        "affine": (flag, flag),
        "bias": (flag, flag),
        "eps": (one_of(1e-3, 1e-5), st.just(0.1)),
    }


def _layer_norm(n: int) -> dict[str, Pair]:
    return {
        "normalized_shape": (one_of(OMITTED, 3, (3,), (2, 3)), one_of(2, (2,), (3, 2), (1, 2, 3), (2, 2, 2, 2, 3))),
        "elementwise_affine": (flag, flag),
        "bias": (flag, flag),
        "eps": (one_of(1e-3, 1e-5), st.just(0.1)),
    }


def _rms_norm(n: int) -> dict[str, Pair]:
    args = _layer_norm(n)
    del args["bias"]
    return args


def _threes(n: int) -> Pair:
    good = st.integers(2, 3).flatmap(lambda count: shape(*[sizes(1, 2)] * (count - 2), st.just(2), st.just(3)))
    return good, any_shape(1, 2, 3, high=3)


def _axis(n: int) -> dict[str, Pair]:
    return {"dim": (sizes(-2, 1), one_of(-5, -4, 3, 4, 9))}


def _two(n: int) -> Pair:
    """Two shapes that go together by broadcasting; ill-formed: any two."""
    full = st.lists(sizes(1, 3), min_size=2, max_size=3)

    def partner(shape: list[int]) -> Any:
        stretched = st.tuples(*(st.sampled_from([size, size, 1]) for size in shape))
        return stretched.flatmap(
            lambda s: st.sampled_from([(tuple(shape), s), (s, tuple(shape)), (tuple(shape), s[1:])])
        )

    any_one = st.lists(sizes(1, 4), max_size=3).map(tuple)
    return full.flatmap(partner), st.tuples(any_one, any_one)


def _evens(n: int) -> Pair:
    even = one_of(2, 4)
    return shape(even, even, even), any_shape(1, 2, 3)


PLANS = {
    "convolution": [Plan("layer", ("Conv1d", "Conv2d", "Conv3d"), images, _conv, ("out_channels", "kernel_size"))],
    "transposed": [
        Plan(
            "layer",
            ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
            lambda n: images(n, low=1, high=4),
            _conv_transpose,
            ("out_channels", "kernel_size"),
        )
    ],
    "max pool": [Plan("layer", ("MaxPool1d", "MaxPool2d", "MaxPool3d"), images, _max_pool, ("kernel_size",))],
    "avg pool": [Plan("layer", ("AvgPool1d", "AvgPool2d", "AvgPool3d"), images, _avg_pool, ("kernel_size",))],
    "power pool": [Plan("layer", ("LPPool1d", "LPPool2d", "LPPool3d"), images, _lp_pool, ("norm_type", "kernel_size"))],
    "adaptive pool": [
        Plan("layer", tuple(f"Adaptive{kind}Pool{n}d" for n in (1, 2, 3)), images, args, ("output_size",))
        for kind, args in (("Avg", _adaptive_pool), ("Max", _adaptive_max_pool))
    ],
    "padding": [
        Plan(
            "layer",
            tuple(f"{kind}Pad{n}d" for n in (1, 2, 3)),
            lambda n: images(n, low=1, high=5),
            args,
            ("padding", "value"),
        )
        for kind, args in [
            ("Reflection", _pad(2)),
            ("Replication", _pad(3)),
            ("Circular", _pad(3)),
            ("Constant", _constant_pad),
            ("Zero", _pad(3)),
        ]
    ],
    "batch norm": [
        Plan("layer", ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), _norm_images, _batch_norm),
        Plan("layer", ("SyncBatchNorm",), _channelled, _batch_norm),
    ],
    "instance norm": [
        Plan("layer", ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), _instance_images, _instance_norm)
    ],
    "other norms": [
        Plan("layer", ("GroupNorm",), _norm_images, _group_norm, ("num_groups",)),
        Plan("layer", ("LayerNorm",), _threes, _layer_norm),
        Plan("layer", ("RMSNorm",), _threes, _rms_norm),
        Plan(
            "layer",
            ("LocalResponseNorm",),
            lambda n: images(n),
            lambda n: {
                "size": (sizes(1, 4), sizes(-1, 0)),
                "alpha": (st.just(0.1), st.just(0.0)),
                "beta": (st.just(0.5), st.just(1.0)),
                "k": (st.just(2.0), st.just(1.0)),
            },
            ("size",),
        ),
    ],
    "cross-map norm": [
        Plan(
            "layer",
            ("CrossMapLRN2d",),
            lambda n: images(2),
            lambda n: {
                "size": (sizes(1, 4), one_of(0)),
                "alpha": (st.just(0.1), st.just(0.0)),
                "beta": (st.just(0.5), st.just(1.0)),
                "k": (st.just(2.0), st.just(1.0)),
            },
            ("size",),
            dtypes=("float32", "float64", "float16"),
        )
    ],
    "distance": [
        Plan(
            "layer",
            ("CosineSimilarity",),
            _two,
            lambda n: {"dim": (sizes(-1, 1), one_of(-5, -3, 2, 3)), "eps": (st.just(1e-8), st.just(0.1))},
            dtypes=("float32", "float64", "float16"),
            mixed=True,
        ),
        Plan(
            "layer",
            ("PairwiseDistance",),
            _two,
            lambda n: {
                "p": (one_of(1.0, 2.0), one_of(0.0, -1.0, 0.5)),
                "eps": (st.just(1e-6), st.just(0.1)),
                "keepdim": (flag, flag),
            },
            dtypes=("float32", "float64", "int64"),
            mixed=True,
        ),
    ],
    "activation": [
        Plan(
            "layer",
            tuple("Hardsigmoid Hardswish LogSigmoid Mish SELU SiLU ReLU ReLU6".split()),
            anything,
            lambda n: {"inplace": (flag, flag)} if n == 9 else {},
            dtypes=SIX,
        ),
        Plan("layer", ("Identity", "Sigmoid", "Softsign", "Tanh", "Tanhshrink"), anything, nothing, dtypes=DTYPES),
        Plan("layer", ("CELU", "ELU"), anything, with_number("alpha"), dtypes=FLOATS),
        Plan("layer", ("Hardshrink", "Softshrink"), anything, with_number("lambd", bad=st.just(0.0)), dtypes=FLOATS),
        Plan("layer", ("LeakyReLU",), anything, with_number("negative_slope"), dtypes=FLOATS),
        Plan(
            "layer",
            ("GELU",),
            anything,
            lambda n: {"approximate": (one_of("none", "tanh"), one_of("erf", "sigmoid"))},
            dtypes=SIX,
        ),
        Plan(
            "layer",
            ("Hardtanh",),
            anything,
            lambda n: {
                "min_val": (one_of(-1.0, 0.0), one_of(1.0, 2.0)),
                "max_val": (one_of(1.0, 2.0), one_of(-1.0, -2.0)),
            },
            dtypes=SIX,
        ),
        Plan(
            "layer",
            ("RReLU",),
            anything,
            lambda n: {"lower": (one_of(0.1, 0.2), one_of(0.3, 0.9)), "upper": (one_of(0.3, 0.4), one_of(0.0, 0.1))},
            dtypes=SIX,
        ),
        Plan(
            "layer",
            ("Softplus",),
            anything,
            lambda n: {"beta": (one_of(1.0, 2.0), one_of(0.5)), "threshold": (one_of(1.0, 20.0), one_of(3.0))},
            dtypes=SIX,
        ),
        Plan(
            "layer",
            ("Threshold",),
            anything,
            lambda n: {"threshold": (one_of(0.5, 1.0), one_of(0.0)), "value": (one_of(0.0, 2.0), one_of(1.0))},
            ("threshold", "value"),
            dtypes=DTYPES,
        ),
        Plan(
            "layer",
            ("PReLU",),
            anything,
            lambda n: {"num_parameters": (one_of(1, 1, 2), one_of(-1, 0, 3, 4)), "init": (one_of(0.1), one_of(0.2))},
        ),
        Plan(
            "layer",
            ("Softmax", "LogSoftmax", "Softmin"),
            lambda n: (any_shape(2, 3), any_shape(1, 2, 3, 4)),
            _axis,
            ("dim",),
        ),
        Plan("layer", ("Softmax2d",), lambda n: images(2), nothing, dtypes=SIX),
        Plan("layer", ("GLU",), _evens, _axis),
    ],
    "dropout": [
        Plan("layer", (name,), shapes, with_number("p", st.floats(0, 1), one_of(-0.5, 1.5, 2.0)), dtypes=SIX)
        for name, shapes in [
            ("Dropout", anything),
            ("AlphaDropout", anything),
            ("FeatureAlphaDropout", anything),
            ("Dropout1d", lambda n: images(1)),
            ("Dropout2d", anything),
            ("Dropout3d", anything),
        ]
    ],
    "reshaping": [
        Plan(
            "layer",
            ("Flatten",),
            anything,
            lambda n: {"start_dim": (sizes(0, 1), sizes(-5, 5)), "end_dim": (sizes(-2, -1), sizes(-5, 5))},
            dtypes=DTYPES,
        ),
        Plan(
            "layer",
            ("Unflatten",),
            lambda n: (shape(st.just(12), st.just(12), sizes(1, 3)), any_shape(0, 1, 2, 3, high=12)),
            lambda n: {
                "dim": (sizes(0, 1), sizes(-4, 4)),
                "unflattened_size": (
                    one_of((3, 4), (-1, 6), (2, 3, 2), (12,), (2, 2, -1)),
                    one_of((5, -1), (3, 3), (-1, -1), (), (-2, -6), (0, -1), (12, 1)),
                ),
            },
            ("dim", "unflattened_size"),
            dtypes=DTYPES,
        ),
    ],
    "resampling": [
        Plan(
            "layer",
            ("PixelShuffle",),
            lambda n: (shape(sizes(1, 2), one_of(4, 8, 16), sizes(1, 3), sizes(1, 3)), any_shape(1, 2, 3, 4, 5)),
            lambda n: {"upscale_factor": (one_of(1, 2), one_of(-2, -1, 0, 3))},
            ("upscale_factor",),
            dtypes=DTYPES,
        ),
        Plan(
            "layer",
            ("PixelUnshuffle",),
            lambda n: (shape(sizes(1, 2), one_of(1, 2), one_of(2, 4), one_of(2, 6)), any_shape(1, 2, 3, 4, 5)),
            lambda n: {"downscale_factor": (one_of(1, 2), one_of(-2, -1, 0, 3))},
            ("downscale_factor",),
            dtypes=DTYPES,
        ),
        Plan(
            "layer",
            ("ChannelShuffle",),
            lambda n: (images(2, one_of(2, 4, 6))[0], any_shape(1, 2, 3, 5)),
            lambda n: {"groups": (one_of(1, 2), one_of(-1, 0, 3, 4))},
            ("groups",),
            dtypes=DTYPES,
        ),
    ],
    "linear": [
        Plan(
            "layer",
            ("Linear",),
            lambda n: (any_shape(1, 2, 3), any_shape(0, 1, 4)),
            lambda n: {
                "in_features": (omitted, one_of(1, 2, 7)),
                "out_features": (one_of(1, 3), one_of(-1, 2, 0)),
                "bias": (flag, flag),
            },
            ("out_features",),
        ),
        Plan(
            "layer",
            ("Bilinear",),
            lambda n: (
                st.tuples(sizes(1, 2), sizes(1, 3), sizes(1, 3)).map(lambda t: (t[:2], (t[0], t[2]))),
                st.lists(st.lists(sizes(1, 3), min_size=1, max_size=3).map(tuple), min_size=2, max_size=2).map(tuple),
            ),
            lambda n: {
                "in1_features": (omitted, one_of(1, 2, 7)),
                "in2_features": (omitted, one_of(1, 2, 7)),
                "out_features": (one_of(1, 3), one_of(-1, 2)),
                "bias": (flag, flag),
            },
            ("out_features",),
        ),
        Plan(
            "layer",
            ("Embedding",),
            lambda n: (any_shape(1, 2, 3), any_shape(0, 1, 4)),
            lambda n: {
                "num_embeddings": (one_of(5, 9), one_of(-1, 2)),
                "embedding_dim": (one_of(1, 3), one_of(-1, 2)),
                "padding_idx": (one_of(None, 0, -1, 4), one_of(5, -6, 9, -10, 2)),
                "max_norm": (one_of(None, 1.0), one_of(2.0)),
                "norm_type": (one_of(2.0), one_of(1.0)),
                "scale_grad_by_freq": (flag, flag),
                "sparse": (flag, flag),
            },
            ("num_embeddings", "embedding_dim"),
            dtypes=("int64", "int32"),
        ),
    ],
}


@st.composite
def upsamplings(draw: st.DrawFn) -> Case:
    """Modes fit the number of axes more often than they would by chance."""
    name = draw(st.sampled_from(["Upsample", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "interpolate"]))
    n = 2 if name.endswith("2d") else draw(st.integers(1, 3))
    by_axes = {
        1: ["nearest", "linear", "area"],
        2: ["nearest", "bilinear", "bicubic", "nearest-exact"],
        3: ["nearest", "trilinear", "area"],
    }
    modes = ["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear", "cubic"]
    args: dict[str, Any] = {}
    if not name.endswith("2d"):
        args["mode"] = draw(st.sampled_from(by_axes[n] * 3 + modes))
    which = draw(st.sampled_from(["size"] * 4 + ["scale_factor"] * 4 + ["both", "neither"]))
    factor = st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.5, 2, 2.0, 3, 1.3])
    if which in ("size", "both"):
        args["size"] = draw(
            each(
                draw(st.sampled_from([n, n, n, n + 1])) if n > 1 and not name.endswith("2d") else n,
                sizes(draw(st.sampled_from([1, 1, 1, -1])), 9),
            )
        )
    if which in ("scale_factor", "both"):
        args["scale_factor"] = draw(each(draw(st.sampled_from([n, n, n, n % 3 + 1])), factor))
    if not name.endswith("2d"):
        if draw(st.integers(0, 3)) == 0:
            args["align_corners"] = draw(st.booleans())
        if draw(st.integers(0, 3)) == 0:
            args["recompute_scale_factor"] = draw(st.booleans())
        if name == "interpolate" and draw(st.integers(0, 3)) == 0:
            args["antialias"] = draw(st.booleans())
    good, bad = images(n, low=1, high=9)
    dtype = draw(st.sampled_from(["float32"] * 4 + ["float64", "int64", "uint8", "bool"]))
    shapes = draw(st.one_of(good, good, good, bad))
    return Case("function" if name == "interpolate" else "layer", name, args, (TensorType(shapes[0], dtype),))
