"""The table of the epochs fits a terminal of 80 columns, whatever is measured."""

from __future__ import annotations

import re

import pytest

from netc.compiler import analyse, emit
from tests.cli.test_mistakes import PROGRAM


@pytest.mark.parametrize(
    "metrics",
    ["accuracy", "accuracy, f1", "accuracy, topk(3), f1", "accuracy, topk(2), topk(3), precision, recall, f1, auroc"],
)
def test_rows_fit(metrics: str) -> None:
    checked = analyse(PROGRAM.replace("[accuracy]", f"[{metrics}]"), "net.net", "net")
    assert checked.program is not None, checked.diagnostics
    train = emit(checked.program).train
    assert train is not None
    heads = re.findall(r'print\(\s*"(epoch .*?)"\n?,?\s*\)', train, re.S)
    (head,) = [re.sub(r'"\s*"', "", h) for h in heads]
    assert len(head) + len("  best") <= 80
    assert head.startswith("epoch  train loss  validation loss  accuracy")
    assert ("seconds" in head) == (metrics in ("accuracy", "accuracy, f1"))
