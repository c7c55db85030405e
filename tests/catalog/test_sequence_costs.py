"""Multiply-adds of recurrent layers, attention and transformers against the products that torch counts as it runs."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch.utils.flop_counter import FlopCounterMode

from netc import catalog
from netc.catalog.entry import LayerValue
from netc.catalog.rules import parts
from netc.shapes import Reject, TensorType, product, symbol
from tests.catalog.referee import Case, apply, ask_rules, completed, entry_of, substituted, tensor
from tests.catalog.sequence_draws import STRATEGIES


def macs(case: Case) -> Any:
    rule, args = entry_of(case).rule, completed(case)
    assert rule is not None
    assert rule.macs is not None
    assert not isinstance(args, Reject)
    return rule.macs(args, case.inputs, case.inputs[0])


@pytest.mark.parametrize("family", STRATEGIES)
def test_what_torch_counts(family: str) -> None:
    """A multiply-add is two operations for torch, which counts matrix products and nothing else."""
    counted = 0

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(STRATEGIES[family])
    def check(case: Case) -> None:
        nonlocal counted
        if ask_rules(case).results is None:
            return
        counted += 1
        assert 2 * macs(case) == operations(case), case

    check()
    assert counted > 40


def operations(case: Case) -> int:
    """What torch counts, without oneDNN, which does an LSTM in one piece."""
    tensors = [tensor(t, "cpu") for t in case.inputs]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
            apply(case, tensors, "cpu")
    return int(counter.get_total_flops())


def parameters(name: str, inputs: tuple[TensorType, ...], **args: Any) -> Any:
    case = Case("layer", name, args, inputs)
    rule, bound = entry_of(case).rule, completed(case)
    assert rule is not None
    assert rule.state is not None
    assert not isinstance(bound, Reject)
    return sum(product(shape) for shape in rule.state(bound).values())


def test_sizes_stay_symbols() -> None:
    n, t = symbol("N"), symbol("T")
    x = TensorType((n, t, 256))
    attention = Case("layer", "MultiheadAttention", {"num_heads": 8, "batch_first": True}, (x,))
    assert ask_rules(attention).results == (x, TensorType((n, t, t)))
    assert macs(attention) == 4 * 256 * 256 * n * t + 2 * 256 * n * t * t
    assert parameters("MultiheadAttention", (x,), num_heads=8) == 4 * (256 * 256 + 256)
    lstm = Case("layer", "LSTM", {"hidden_size": 512, "num_layers": 2, "batch_first": True}, (x,))
    state = TensorType((2, n, 512))
    assert ask_rules(lstm).results == (TensorType((n, t, 512)), (state, state))
    assert macs(lstm) == n * t * 2048 * (256 + 512 + 512 + 512)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_a_projection_that_may_be_none(p: int) -> None:
    """Whether `p - 1` is 0 isn't known; the formula holds for both."""
    x = TensorType((5, 2, 3))

    def ask(width: Any) -> Any:
        return ask_rules(Case("layer", "LSTM", {"hidden_size": 4, "proj_size": width}, (x,))).results

    assert substituted(ask(symbol("$p") - 1), {"$p": p}) == ask(p - 1)


def test_a_stack_of_any_number_of_layers() -> None:
    depth, t = symbol("$depth"), symbol("T")
    layer = catalog.layer("TransformerEncoderLayer")
    assert layer is not None
    inner = LayerValue(layer, {"nhead": 4, "dim_feedforward": 128})
    x = TensorType((t, 2, 32))
    stack = Case("layer", "TransformerEncoder", {"encoder_layer": inner, "num_layers": depth}, (x,))
    assert ask_rules(stack).results == (x,)
    one = Case("layer", "TransformerEncoderLayer", {"nhead": 4, "dim_feedforward": 128}, (x,))
    assert macs(stack) == depth * macs(one)


@pytest.mark.parametrize(
    ("name", "shapes", "args", "argument", "words"),
    [
        ("LSTM", [(2, 5)], {"hidden_size": 4}, None, "the batch axis is missing"),
        ("LSTM", [(7, 2, 5), (1, 2, 4)], {"hidden_size": 4}, None, "and 2 tensors arrive"),
        ("GRU", [(7, 2, 5), (1, 3, 4)], {"hidden_size": 4}, None, "the initial hidden state must be [1, 2, 4]"),
        ("LSTM", [(7, 2, 5)], {"hidden_size": 4, "proj_size": 4}, "proj_size", "must be less than `hidden_size` (4)"),
        ("MultiheadAttention", [(7, 2, 6)], {"num_heads": 4}, "num_heads", "6 features can't be split into 4"),
        ("MultiheadAttention", [(7, 2, 6)] * 2, {"num_heads": 2}, None, "a query, a key and a value"),
        (
            "MultiheadAttention",
            [(7, 2, 6), (5, 2, 8), (5, 2, 6)],
            {"num_heads": 2},
            "kdim",
            "`kdim` is left out, which means `embed_dim` (6), and the key has 8 features",
        ),
        (
            "MultiheadAttention",
            [(7, 2, 6)],
            {"num_heads": 2, "attn_mask": TensorType((7, 8), "bool")},
            "attn_mask",
            "`attn_mask` must be [7, 7] bool, and is [7, 8] bool",
        ),
        (
            "MultiheadAttention",
            [(7, 2, 6)],
            {"num_heads": 2, "is_causal": True},
            "is_causal",
            "there is no `attn_mask`",
        ),
        ("Transformer", [(7, 2, 6), (5, 3, 6)], {"nhead": 2}, None, "the target has a batch of 3 and the memory of 2"),
        ("EmbeddingBag", [(6,)], {"num_embeddings": 5, "embedding_dim": 2}, None, "needs offsets"),
        (
            "EmbeddingBag",
            [(6,), (1,)],
            {"num_embeddings": 5, "embedding_dim": 2, "include_last_offset": True},
            "include_last_offset",
            "the end of the last bag",
        ),
        ("MaxUnpool2d", [(2, 3, 4, 4)], {"kernel_size": 2}, None, "the values and the indices of a max pool"),
    ],
)
def test_refusals_say_what_is_wrong(
    name: str, shapes: list[tuple[int, ...]], args: dict[str, Any], argument: str | None, words: str
) -> None:
    dtype = "int64" if name == "EmbeddingBag" else "float32"
    inputs = tuple(TensorType(shape, dtype) for shape in shapes)
    found = parts.filled(LayerValue(entry_of(Case("layer", name, args, inputs)), args), inputs)
    rule = entry_of(Case("layer", name, args, inputs)).rule
    assert rule is not None
    reject = found if isinstance(found, Reject) else rule.shape(found, inputs)
    assert isinstance(reject, Reject)
    assert reject.argument == argument
    assert words in reject.reason


def test_a_stack_blames_its_layer() -> None:
    layer = catalog.layer("TransformerDecoderLayer")
    stack = catalog.layer("TransformerDecoder")
    assert layer is not None
    assert stack is not None
    assert stack.rule is not None
    inputs = (TensorType((5, 2, 6)), TensorType((7, 2, 6)))
    args = {"decoder_layer": LayerValue(layer, {"nhead": 4}), "num_layers": 2}
    bound = parts.filled(LayerValue(stack, args), inputs)
    assert not isinstance(bound, Reject)
    reject = stack.rule.shape(bound, inputs)
    assert isinstance(reject, Reject)
    assert reject.argument == "decoder_layer"
    assert "6 features can't be split into 4" in reject.reason
