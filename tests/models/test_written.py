"""Networks from papers that are not in the library, written from the documentation alone.

Each file under written/ is built with its defaults and with other arguments; its parameters are counted against the
arithmetic below, which is done by hand from the paper's figures and not by netc.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from netc.api import execute
from netc.compiler import analyse, emit
from netc.files import imported
from netc.ir import Network
from netc.render import render

FOLDER = Path(__file__).parent / "written"


@cache
def compiled(file: str) -> tuple[ModuleType, dict[str, Network]]:
    """model.py of a file as a module, and what the checker knows of its networks."""
    path = FOLDER / f"{file}.net"
    checked = analyse(path.read_text(encoding="utf-8"), str(path), file, None, imported)
    assert checked.program is not None, "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    networks = {n.name: n for n in checked.program.networks}
    return execute(emit(checked.program).model, file), networks


# --- parameters, counted by hand --------------------------------------------------------------------------------------


def dense(a: int, b: int, bias: int = 1) -> int:
    """A linear layer, or a convolution if `a` is multiplied by the kernel's size."""
    return a * b + bias * b


def senet(widths: tuple[int, ...] = (16, 32, 64), depth: int = 2, reduction: int = 4, classes: int = 10) -> int:
    total, channels = dense(27, widths[0], 0) + 2 * widths[0], widths[0]
    for i, w in enumerate(widths):
        for j in range(depth):
            total += dense(9 * channels, w, 0) + dense(9 * w, w, 0) + 4 * w
            total += dense(w, w // reduction) + dense(w // reduction, w)
            total += dense(channels, w, 0) + 2 * w if channels != w or (i > 0 and j == 0) else 0
            channels = w
    return total + dense(channels, classes)


def xception(width: int = 8, middle: int = 2, classes: int = 10) -> int:
    def separable(a: int, b: int) -> int:
        return 9 * a + a * b + 2 * b

    total = dense(27, width, 0) + 2 * width + dense(9 * width, 2 * width, 0) + 4 * width
    channels = 2 * width
    for i in range(3):
        w = 4 * width * 2**i
        total += separable(channels, w) + separable(w, w) + channels * w + 2 * w
        channels = w
    total += middle * 3 * separable(channels, channels) + separable(channels, 32 * width)
    return total + dense(32 * width, classes)


def hrnet(width: int = 8, depth: int = 2, modules: int = 2, joints: int = 17) -> int:
    def residual(c: int) -> int:
        return 2 * 9 * c * c + 4 * c

    a, b = width, 2 * width
    exchange = depth * (residual(a) + residual(b)) + b * a + 2 * a + 9 * a * b + 2 * b
    return 27 * a + 2 * a + 9 * a * b + 2 * b + modules * exchange + dense(a + b, joints)


def wavenet(levels: int = 256, channels: int = 16, layers: int = 5, blocks: int = 2, skip: int = 32) -> int:
    gated = 2 * dense(2 * channels, channels) + dense(channels, channels) + dense(channels, skip)
    return levels * channels + layers * blocks * gated + dense(skip, skip) + dense(skip, levels)


def tcn(widths: tuple[int, ...] = (16, 16, 32), kernel: int = 3, features: int = 8, classes: int = 5) -> int:
    total, channels = 0, features
    for w in widths:
        total += dense(kernel * channels, w) + dense(kernel * w, w) + (dense(channels, w) if channels != w else 0)
        channels = w
    return total + dense(channels, classes)


def feed_forward(d: int, expand: int = 4) -> int:
    return 2 * d + dense(d, expand * d) + dense(expand * d, d)


def perceiver(
    latents: int = 8, width: int = 32, heads: int = 4, depth: int = 2, turns: int = 3, features: int = 12,
    classes: int = 10,
) -> int:  # fmt: skip
    assert heads * turns, "which cost no parameters"
    attention = width * width + 2 * features * width + 3 * width + dense(width, width)
    cross = 2 * width + 2 * features + attention + feed_forward(width)
    latent = depth * (2 * width + 4 * dense(width, width) + feed_forward(width))
    return latents * width + cross + latent + dense(width, classes)


def mixer(size: int = 32, classes: int = 10) -> int:
    patch, width, depth, token, channel = 4, 32, 2, 16, 64
    places = (size // patch) ** 2
    one = 4 * width + dense(places, token) + dense(token, places) + dense(width, channel) + dense(channel, width)
    return dense(3 * patch * patch, width) + depth * one + 2 * width + dense(width, classes)


def unetpp(widths: tuple[int, ...] = (8, 16, 32, 64), classes: int = 2) -> int:
    def node(a: int, b: int) -> int:
        return dense(9 * a, b, 0) + dense(9 * b, b, 0) + 4 * b

    a, b, c, d = widths
    down = node(3, a) + node(a, b) + node(b, c) + node(c, d)
    up = node(a + b, a) + node(b + c, b) + node(c + d, c) + node(2 * a + b, a) + node(2 * b + c, b)
    return down + up + node(3 * a + b, a) + 3 * dense(a, classes)


def highway(width: int = 50, depth: int = 10, classes: int = 10) -> int:
    return dense(784, width) + depth * 2 * dense(width, width) + dense(width, classes)


def tagger(
    words: int = 1000, letters: int = 50, width: int = 32, char_width: int = 10, filters: int = 12, hidden: int = 24,
    tags: int = 9,
) -> int:  # fmt: skip
    lstm = 2 * 4 * (hidden * (width + filters) + hidden * hidden + 2 * hidden)
    return words * width + letters * char_width + dense(3 * char_width, filters) + lstm + dense(2 * hidden, tags)


def clip(joint: int = 16, size: int = 32) -> int:
    def layer(d: int) -> int:
        return 4 * d + dense(d, 3 * d) + dense(d, d) + dense(d, 4 * d) + dense(4 * d, d)

    vision = 32 + 3 * 8 * 8 * 32 + (1 + (size // 8) ** 2) * 32 + 4 * 32 + 2 * layer(32) + 32 * joint
    text = 20 * 24 + 100 * 24 + 2 * layer(24) + 2 * 24 + 24 * joint
    return 1 + vision + text


def nafnet(
    width: int = 8, down: tuple[int, int] = (1, 1), middle: int = 1, up: tuple[int, int] = (1, 1)
) -> int:  # fmt: skip
    def block(c: int) -> int:
        first = dense(c, 2 * c) + dense(9, 2 * c) + dense(c, c) + dense(c, c)
        return 2 * c + 4 * c + first + dense(c, 2 * c) + dense(c, c)

    blocks = (down[0] + up[1]) * block(width) + (down[1] + up[0]) * block(2 * width) + middle * block(4 * width)
    between = dense(4 * width, 2 * width) + dense(8 * width, 4 * width)
    shuffled = 4 * width * 8 * width + 2 * width * 4 * width
    return dense(27, width) + blocks + between + shuffled + dense(9 * width, 3)


def edsr(width: int = 16, depth: int = 4, factor: int = 4) -> int:
    one = dense(9 * width, width)
    return dense(27, width) + (2 * depth + 1) * one + factor // 2 * dense(9 * width, 4 * width) + dense(9 * width, 3)


def fpn(width: int = 16, pyramid: int = 32) -> int:
    def basic(a: int, b: int) -> int:
        return 9 * a * b + 9 * b * b + 4 * b + (a * b + 2 * b if a != b else 0)

    total, channels = 147 * width + 2 * width, width
    for i in range(4):
        w = width * 2**i
        total += basic(channels, w) + basic(w, w) + dense(w, pyramid) + dense(9 * pyramid, pyramid)
        channels = w
    return total


def wide_deep(
    fields: tuple[int, ...] = (100, 50, 20), width: int = 8, hidden: tuple[int, ...] = (64, 32), numbers: int = 5
) -> int:
    total, channels = sum(fields) * width + dense(numbers, 1), len(fields) * width + numbers
    for h in hidden:
        total, channels = total + dense(channels, h), h
    return total + dense(channels, 1)


def generator(latent: int = 16, width: int = 8, channels: int = 3, steps: int = 3) -> int:
    inner = width * 2 ** (steps - 1)
    total = 16 * latent * inner + 2 * inner
    for i in range(steps - 1):
        w = width * 2 ** (steps - 2 - i)
        total, inner = total + 16 * inner * w + 2 * w, w
    return total + dense(16 * inner, channels)


def discriminator(width: int = 8, channels: int = 3, steps: int = 3) -> int:
    total = dense(16 * channels, width)
    for i in range(1, steps):
        total += 16 * width * 2 ** (i - 1) * width * 2**i + 2 * width * 2**i
    return total + dense(16 * width * 2 ** (steps - 1), 1)


def conformer(width: int = 16, depth: int = 2, heads: int = 4, mels: int = 80, words: int = 30) -> int:
    assert width % heads == 0
    frames = ((mels - 3) // 2 + 1 - 3) // 2 + 1
    convolution = 2 * width + dense(width, 2 * width) + dense(7, width, 0) + 2 * width + dense(width, width)
    block = 2 * feed_forward(width) + 2 * width + 4 * dense(width, width) + convolution + 2 * width
    stem = dense(9, width) + dense(9 * width, width) + dense(width * frames, width)
    return stem + depth * block + dense(width, words)


def pointnet(classes: int = 10) -> int:
    def transform(a: int, k: int) -> int:
        return dense(a, 32, 0) + 64 + dense(32, 64, 0) + 128 + dense(64, 32) + dense(32, k * k)

    return transform(3, 3) + dense(3, 32, 0) + 64 + transform(32, 32) + dense(32, 64, 0) + 128 + dense(64, classes)


def moe(width: int = 16, depth: int = 2, count: int = 4, k: int = 2, heads: int = 2) -> int:
    assert k <= count
    assert width % heads == 0
    attention = 4 * dense(width, width)
    experts = dense(width, count) + count * (dense(width, 4 * width) + dense(4 * width, width))
    return 50 * width + depth * (4 * width + attention + experts) + 50 * width


def vqvae(width: int = 16, codes: int = 32, dim: int = 8) -> int:
    encoder = dense(48, width) + dense(16 * width, dim)
    return encoder + codes * dim + dense(16 * dim, width) + dense(16 * width, 3)


def repvgg(depths: tuple[int, ...] = (1, 2, 2), width: int = 8, classes: int = 10) -> int:
    total, channels = 0, 3
    for i, n in enumerate(depths):
        w = width * 2**i
        for j in range(n):
            same = j > 0 and channels == w
            total += 9 * channels * w + 2 * w + channels * w + 2 * w + (2 * w if same else 0)
            channels = w
        total += dense(w, max(1, w // 4)) + dense(max(1, w // 4), w) + dense(2 * 49, 1)
    return total + dense(channels, classes)


def convlstm(frames: int = 4, hidden: int = 8) -> int:
    assert frames > 1
    return dense(9 * (1 + hidden), 4 * hidden) + dense(hidden, 1)


def nerf(width: int = 32, depth: int = 8, skip: int = 4) -> int:
    position, direction = 3 + 6 * 10, 3 + 6 * 4
    total, features = 0, position
    for i in range(depth):
        features += position if i == skip else 0
        total, features = total + dense(features, width), width
    colour = dense(width, width) + dense(width + direction, width // 2) + dense(width // 2, 3)
    return total + dense(width, 1) + colour


def gat(features: int = 12, width: int = 8, heads: int = 4, classes: int = 7) -> int:
    first = features * heads * width + 2 * heads * width
    return first + heads * width * classes + 2 * classes


def t5(
    words: int = 60, width: int = 16, heads: int = 2, hidden: int = 32, depth: int = 2, reach: int = 8
) -> int:  # fmt: skip
    attention, forward = 4 * width * width, 2 * width * hidden
    encoder = 2 * width + attention + forward
    decoder = 3 * width + 2 * attention + forward
    return words * width + 2 * (2 * reach + 1) * heads + depth * (encoder + decoder) + 2 * width


def bifpn(width: int = 8, repeats: int = 2, classes: int = 3, anchors: int = 2) -> int:
    fuse = 2 + 9 * width + dense(width, width, 0) + 2 * width
    backbone = dense(27, 8) + dense(72, 16) + dense(144, 24) + dense(216, 32)
    lateral = dense(16, width) + dense(24, width) + dense(32, width)
    return backbone + lateral + repeats * 4 * fuse + dense(9 * width, anchors * classes)


def stylegan(latent: int = 16, width: int = 8, steps: int = 2) -> int:
    modulated = dense(latent, width) + 9 * width * width
    return 3 * dense(latent, latent) + 16 * width + steps * modulated + dense(width, 3)


# --- the networks -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A network: its file, its count by hand, arguments for a second build, inputs, and the shapes of what it gives."""

    file: str
    network: str
    count: Callable[..., int]
    other: dict[str, Any]
    inputs: Callable[[], tuple[Tensor, ...]]
    gives: list[tuple[int, ...]]
    unused: tuple[str, ...] = ()  # parameters that have no part in the result


def image(size: int, channels: int = 3) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(2, channels, size, size),)


def words(*shapes: tuple[int, ...]) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: tuple(torch.randint(10, shape) for shape in shapes)


CASES = [
    Case("senet", "SENet", senet, {"widths": (8, 24), "depth": 1, "reduction": 2}, image(32), [(2, 10)]),
    Case("xception", "Xception", xception, {"width": 4, "middle": 1, "classes": 3}, image(64), [(2, 10)]),
    Case("hrnet", "HRNet", hrnet, {"width": 4, "depth": 1, "modules": 3}, image(64), [(2, 17, 32, 32)]),
    Case("wavenet", "WaveNet", wavenet, {"layers": 2, "blocks": 3, "skip": 8}, words((2, 40)), [(2, 256, 40)],
         ("layer1_4.residual.weight", "layer1_4.residual.bias")),
    Case("tcn", "TCN", tcn, {"widths": (8, 12), "kernel": 2}, lambda: (torch.randn(2, 8, 30),), [(2, 5)]),
    Case("perceiver", "Perceiver", perceiver, {"width": 16, "depth": 1, "turns": 1, "features": 5},
         lambda: (torch.randn(2, 50, 12),), [(2, 10)]),
    Case("mixer", "MixerTiny", mixer, {"size": 16, "classes": 4}, image(32), [(2, 10)]),
    Case("unetpp", "UNetPP", unetpp, {"widths": (4, 6, 8, 10), "classes": 3}, image(64), [(2, 2, 64, 64)] * 3),
    Case("highway", "HighwayNet", highway, {"width": 7, "depth": 3}, image(28, 1), [(2, 10)]),
    Case("bilstm_tagger", "Tagger", tagger, {"filters": 5, "hidden": 6, "width": 7, "p": 0.0},
         words((2, 9), (2, 9, 4)), [(2, 9, 9)]),
    Case("clip", "CLIP", clip, {"joint": 5, "size": 16},
         lambda: (torch.randn(2, 3, 32, 32), torch.randint(100, (2, 12))), [(2, 2)]),
    Case("nafnet", "NAFNet", nafnet, {"width": 4, "down": (2, 1), "middle": 2}, image(32), [(2, 3, 32, 32)]),
    Case("edsr", "EDSR", edsr, {"width": 8, "depth": 2, "factor": 2}, image(12), [(2, 3, 48, 48)]),
    Case("fpn", "FPN", fpn, {"width": 4, "pyramid": 6}, image(64), [(2, 32, s, s) for s in (16, 8, 4, 2)]),
    Case("wide_deep", "WideDeep", wide_deep, {"fields": (9, 8), "hidden": (5,), "numbers": 3},
         lambda: (torch.randint(10, (2, 3)), torch.randn(2, 5)), [(2,)]),
    Case("gan", "Generator", generator, {"latent": 5, "width": 4, "steps": 4},
         lambda: (torch.randn(2, 16),), [(2, 3, 32, 32)]),
    Case("gan", "Discriminator", discriminator, {"width": 4, "channels": 1, "steps": 2}, image(32), [(2,)]),
    Case("conformer", "Conformer", conformer, {"width": 8, "heads": 2, "mels": 40},
         lambda: (torch.randn(2, 40, 80),), [(2, 9, 30)]),
    Case("pointnet", "PointNet", pointnet, {"classes": 3}, lambda: (torch.randn(2, 20, 3),), [(2, 10)]),
    Case("moe", "MoE", moe, {"width": 8, "depth": 1, "count": 3, "k": 1}, words((2, 9)), [(2, 9, 50)]),
    Case("vqvae", "VQVAE", vqvae, {"width": 4, "codes": 9, "dim": 5}, image(32),
         [(2, 3, 32, 32), (2, 8, 8, 8), (2, 8, 8, 8)]),
    Case("repvgg", "RepVGG", repvgg, {"depths": (2, 1), "width": 4}, image(32), [(2, 10)]),
    Case("convlstm", "ConvLSTM", convlstm, {"frames": 2, "hidden": 3},
         lambda: (torch.randn(2, 4, 1, 16, 16),), [(2, 1, 16, 16)]),
    Case("nerf", "NeRF", nerf, {"width": 8, "depth": 3, "skip": 1},
         lambda: (torch.randn(2, 7, 3), torch.randn(2, 7, 3)), [(2, 7, 1), (2, 7, 3)]),
    Case("gat", "GAT", gat, {"features": 5, "width": 3, "heads": 2},
         lambda: (torch.randn(2, 6, 12), torch.rand(2, 6, 6) > 0.5), [(2, 6, 7)]),
    Case("t5", "T5", t5, {"width": 8, "hidden": 12, "depth": 1, "reach": 3}, words((2, 9), (2, 7)), [(2, 7, 60)]),
    Case("bifpn", "Detector", bifpn, {"width": 4, "repeats": 1, "classes": 5}, image(64), [(2, 84, 6)]),
    Case("stylegan", "Generator", stylegan, {"latent": 6, "width": 4, "steps": 1},
         lambda: (torch.randn(2, 16),), [(2, 3, 16, 16)]),
]  # fmt: skip


def test_every_file_is_tested() -> None:
    assert {c.file for c in CASES} == {p.stem for p in FOLDER.glob("*.net")}


def results(made: object) -> list[Tensor]:
    return [made] if isinstance(made, Tensor) else [t for t in made if t is not None]  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.network)
def test_written(case: Case) -> None:
    module, networks = compiled(case.file)
    torch.manual_seed(0)
    model: nn.Module = getattr(module, case.network)()
    assert sum(p.numel() for p in model.parameters()) == case.count()
    made = results(model(*case.inputs()))
    assert [tuple(t.shape) for t in made] == case.gives
    assert [len(o.type.shape) for o in networks[case.network].outputs] == [len(shape) for shape in case.gives]
    torch.stack([t.float().square().mean() for t in made]).sum().backward()  # type: ignore[no-untyped-call]
    assert {n for n, p in model.named_parameters() if p.grad is None} == set(case.unused)
    with torch.no_grad():
        assert all(t.isfinite().all() for t in results(model.eval()(*case.inputs())))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.network)
def test_parameters_stay_parameters(case: Case) -> None:
    """The class built with other arguments has the sizes that these ask for."""
    model: nn.Module = getattr(compiled(case.file)[0], case.network)(**case.other)
    counted = {n: v for n, v in case.other.items() if n != "p"}
    assert sum(p.numel() for p in model.parameters()) == case.count(**counted)


@pytest.mark.parametrize("width", [88, 120])
def test_a_formatter_and_a_linter_leave_them_alone(tmp_path: Path, width: int) -> None:
    for path in FOLDER.glob("*.net"):
        checked = analyse(path.read_text(encoding="utf-8"), str(path), path.stem, None, imported)
        assert checked.program is not None
        (tmp_path / f"{path.stem}.py").write_text(emit(checked.program).model, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", f"--line-length={width}", str(tmp_path)]
    subprocess.run([*ruff, "format", "--check", "--diff", *options], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,W,I,UP,B,C4,SIM,RUF", *options], check=True)
