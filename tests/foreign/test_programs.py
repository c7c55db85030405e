"""Many ways to use Python layers: what is checked is what the generated module gives, or the mistake has its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from netc.shapes import evaluate
from tests.foreign.conftest import LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netc.shapes import TensorType
    from tests.foreign.conftest import Built

MORE = (
    LAYERS
    + """

class Split(nn.Module):
    def forward(self, x):
        a, b = x.chunk(2, 1)
        return a, (b, b)


class Keyed(nn.Module):
    def forward(self, x):
        return {"out": x, "aux": x.mean((2, 3))}


class Odd(nn.Module):
    def __init__(self, sizes, names=("a", "b"), *, table={"x": 1}):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(s, s) for s in sizes])

    def forward(self, x):
        return x


class Recurrent(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.rnn = nn.LSTM(n, n, batch_first=True)

    def forward(self, x):
        return self.rnn(x)


def both(x, y=None):
    return (x, x if y is None else y)


def ones():
    return torch.ones(3)


def many(*tensors, dim=1):
    return torch.cat(tensors, dim)


def listed(tensors):
    return torch.stack(tensors).sum(0)
"""
)
SIZES = {"N": 2, "T": 5, "H": 16, "W": 12}
RIGHT = [
    "input x: [N, 4, 8, 8]; a, (b, c) = _ -> s: Split(); a + b",
    "input x: [N, 4, 8, 8]; s: Split(); _[1][0]",
    'input x: [N, 4, 8, 8]; d = _ -> s: Keyed(); d["aux"]',
    'input x: [N, 4, 8, 8]; s: Keyed(); _["out"] -> ReLU',
    "input x: [N, 4]; s: Odd([2, 3])",
    'input x: [N, 4]; s: Odd(sizes=(2, 3), names=["c"], table=3) -> s',
    "input x: [N, T, 8]; out, (h, c) = _ -> r: Recurrent(8); h[0] + out[:, -1]",
    "input x: [N, T, 8]; r: Recurrent(8)",
    "input x: [N, T, 8]; p, q = both(_); p + q",
    "input x: [N, T, 8]; p, q = _ -> both; p * q",
    "input x: [N, T, 8]; p, q = both(_, _ * 2); p + q",
    "input x: [N, T, 3]; z = ones(); _ + z",
    "input x: [N, T, 3]; _ + ones()",
    "input x: [N, T, 3]; many(_, _, _, dim=2)",
    "input x: [N, T, 3]; _ -> many(_, dim=1)",
    "input x: [N, T, 3]; listed([_, _])",
    "input x: [N, T, 3]; (_, _) -> p: Pair() -> halve",
    'input x: [N, T, 3]; for i in range(3) { "s{i}": Scale(3) }',
    "input x: [N, T, 3]; if training { output a = _ -> s: Scale(3) }; output b = x * 2",
    'input x: [N, T, 3]; s: Recurrent(3) { replace "rnn" = Identity }',
    'input x: [N, 3, H, W]; s: Patches(4, 8) { replace "project" = Conv2d(6, 2) }',
    "input x: [N, 3, H, W]; s: Patches(4, 8) -> swap -> mean(2)",
    "input x: [2, 3, 32, 32]; s: Patches(4, 8)",
    "input x: [N, 3, 30, 30]; s: Patches(4, 8)",
    "input x: [N, T] int64; e: Embedding(10, 4) -> s: Scale(4)",
    "input x: [N, 3, H, W]; m: module { input x: [N, C, H, W]; p: Patches(4, C) }; mean(1)",
]
WRONG = {
    "input x: [N, 4, 8, 8]; s: Split() -> ReLU": "E0408",
    'input x: [N, 4, 8, 8]; d = _ -> s: Keyed(); d["aus"]': "E0301",
    "input x: [N, 4, 8, 8]; d = _ -> s: Keyed(); d[0]": "E0301",
    "input x: [N, 4, 8, 8]; s: Keyed(); Flatten": "E0206",
    "input x: [N, 4, 8, 8]; output a = _ -> s: Keyed()": "E0206",
    "input x: [N, T, 3]; s: Scale(_)": "E0307",
    "input x: [N, T, 3]; s: Scale(x.shape[1])": "E0402",
    "input x: [N, T, 3]; for i in range(3) { Scale(3) }": "E0205",
    "input x: [N, 3, H, W] uint8; s: Patches(4, 8)": "E0707",
    "input x: [N, T] int64; s: Scale(4)": "E0402",
    'input x: [N, T, 3]; s: Scale(3) { replace "weight" = Identity }': "E0710",
}


def tensors(result: object) -> Iterator[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, tuple):
        for part in result:
            yield from tensors(part)


def shape(type_: TensorType) -> list[int]:
    return [evaluate(dim, SIZES) for dim in type_.shape]


@pytest.mark.parametrize("body", RIGHT)
def test_it_gives_what_was_checked(build: Callable[..., Built], body: str) -> None:
    built = build(f'use "layers.py"\nnetwork Net {{ {body} }}', layers=MORE)
    (network,) = built.program.networks
    inputs = [torch.ones(shape(i.type), dtype=getattr(torch, i.type.dtype)) for i in network.inputs]
    found = [list(t.shape) for t in tensors(built.module().eval()(*inputs))]
    assert found == [shape(o.type) for o in network.outputs if not o.training]


@pytest.mark.parametrize("body", WRONG)
def test_its_mistake_has_its_code(build: Callable[..., Built], body: str) -> None:
    built = build(f'use "layers.py"\nnetwork Net {{ {body} }}', layers=MORE)
    assert built.codes == [WRONG[body]], built.said
