"""`netc train --overfit`: one batch, again and again, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netc.cli import run

PROGRAM = """network Net(classes = 10) {{
  input image: [N, 1, 8, 8]
  Flatten
  fc1: Linear(32) -> ReLU
  fc2: Linear(classes)
}}
data {{
  train = Digits()
  validation = 0.1
  test = Digits()
  transform = ToTensor
  augment = RandomCrop(8, padding=1)
  batch_size = 32
  balance = True
}}
train {{
  loss = CrossEntropyLoss
  optimizer = Adam(lr={rate})
  schedule = CosineAnnealingLR
  epochs = 3
  ema = 0.9
  checkpoint = Checkpoint(every_epochs=1, every_steps=5)
}}
"""


@pytest.mark.parametrize(("rate", "code", "said"), [("0.01", 0, "a hundredth of it after"), ("1e-9", 1, "not away")])
def test_what_it_says(
    rate: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.net").write_text(PROGRAM.format(rate=rate))
    assert run(["train", "net.net", "--device", "cpu", "--overfit", "1"]) == code
    out, err = capfd.readouterr()
    assert said in (err if code else out)
    assert [path.name for path in tmp_path.iterdir()] == ["net.net"], "nothing is kept"
