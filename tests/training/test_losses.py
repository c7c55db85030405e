"""Losses in the script: what they compute, in training and over a whole set."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn import functional as F

from tests.training.made import DATA, NETWORK, files, program, script

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

VAE = """network VAE(latent = 3) {
  input image: [N, 1, 8, 8]
  image -> flatten(1) -> encode: Linear(16) -> ReLU
  mu = _ -> mean_head: Linear(latent)
  logvar = _ -> var_head: Linear(latent)
  mu -> decode1: Linear(16) -> ReLU -> decode2: Linear(64) -> sigmoid -> unflatten(1, [1, 8, 8])
  output recon = _
  output mu = mu
  output logvar = logvar
}
"""
AUX = """network Net {
  input image: [N, 1, 8, 8]
  Flatten -> hidden: Linear(12) -> ReLU
  if training { output aux = _ -> early: Linear(10) }
  output logits = _ -> fc: Linear(10)
}
"""
AUX_CODE = AUX.replace("  if training", "  output code = _\n  if training")
AE = """network AE {
  input image: [N, 1, 8, 8]
  flatten(1) -> a: Linear(12) -> ReLU -> b: Linear(64) -> unflatten(1, [1, 8, 8])
}
"""
WEIGHTS = [float(i + 1) for i in range(10)]


def _vae(o: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    told = F.binary_cross_entropy(o.recon, x, reduction="sum")
    return told - 0.5 * (1 + o.logvar - o.mu**2 - o.logvar.exp()).sum()


def _two(o: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = F.cross_entropy(getattr(o, "logits", o), y)
    return loss if isinstance(o, torch.Tensor) or o.aux is None else loss + 0.3 * F.cross_entropy(o.aux, y)


def _weighted(o: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(o, y, weight=torch.tensor(WEIGHTS)) + 0.5 * F.nll_loss(o.log_softmax(1), y)


# The loss, its network, what it is in torch, and how the loss of a set follows from those of batches.
CASES: dict[str, tuple[str, str, Any, str]] = {
    "vae": ('BCELoss(recon, image, reduction="sum") - 0.5 * sum(1 + logvar - mu**2 - exp(logvar))', VAE, _vae, "sum"),
    "aux": ("CrossEntropyLoss(logits, label) + 0.3 * CrossEntropyLoss(aux, label)", AUX, _two, "mean"),
    "code": ("0.3 * CrossEntropyLoss(aux, label) + CrossEntropyLoss(logits, label)", AUX_CODE, _two, "mean"),
    "root": ("sqrt(MSELoss(output, image))", AE, lambda o, x, y: F.mse_loss(o, x).sqrt(), "whole"),
    "functional": ("mse_loss(output, image) + 0.1 * mean(abs(output))", AE,
                   lambda o, x, y: F.mse_loss(o, x) + 0.1 * o.abs().mean(), "any"),
    "count": ("sum((output - image) ** 2) / image.shape[0]", AE,
              lambda o, x, y: ((o - x) ** 2).sum() / len(x), "mean"),
    "weights": (f"CrossEntropyLoss(output, label, weight={WEIGHTS}) + 0.5 * NLLLoss(log_softmax(output, 1), label)",
                "", _weighted, "whole"),
    "sum": ('CrossEntropyLoss(reduction="sum")', "", lambda o, x, y: F.cross_entropy(o, y, reduction="sum"), "sum"),
    "weighted": (f"CrossEntropyLoss(weight={WEIGHTS}, label_smoothing=0.1)", "",
                 lambda o, x, y: F.cross_entropy(o, y, weight=torch.tensor(WEIGHTS), label_smoothing=0.1), "whole"),
}  # fmt: skip


def _made(name: str) -> tuple[ModuleType, Any, str]:
    loss, network, expected, scale = CASES[name]
    text = program(f"loss = {loss}", network) if network else program(f"loss = {loss}")
    module = script(text)
    module.__dict__["EVALUATION_BATCH"] = 7
    return module, expected, scale


def _computed(module: ModuleType, outputs: Any, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What the script computes for a batch."""
    if not hasattr(module, "compute_loss"):
        return module.loss_function(outputs, labels)
    names = module.compute_loss.__code__.co_varnames[: module.compute_loss.__code__.co_argcount]
    given = {"image": images, "label": labels}
    return module.compute_loss(*(given.get(name, outputs) for name in names))


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_that_of_torch(name: str) -> None:
    module, expected, _ = _made(name)
    torch.manual_seed(0)
    model = module.build_model(torch.device("cpu"))
    images, labels = module.load_data()["train"]
    batch = module.preprocess(images)
    for training in (True, False):
        model.train(training)
        outputs = model(batch)
        torch.testing.assert_close(_computed(module, outputs, batch, labels), expected(outputs, batch, labels))


@pytest.mark.parametrize("name", CASES)
def test_the_loss_of_a_set_is_exact(name: str) -> None:
    module, expected, scale = _made(name)
    torch.manual_seed(0)
    model = module.build_model(torch.device("cpu"))
    images, labels = module.load_data()["validation"]
    found = module.evaluate(model, images, labels)
    with torch.no_grad():
        whole = expected(model(module.preprocess(images)), module.preprocess(images), labels).item()
    assert found == pytest.approx(whole / len(labels) if scale == "sum" else whole, rel=1e-5)


def test_terms_of_mean_and_sum_are_evaluated_as_in_training() -> None:
    """Such a loss hangs on the size of the batch, so that only batches of that size tell the same."""
    module = script(program("loss = MSELoss(output, image) + 0.01 * sum(abs(output))", AE))
    model = module.build_model(torch.device("cpu"))
    images, labels = module.load_data()["validation"]
    with torch.no_grad():
        parts = [module.preprocess(part) for part in images.split(8)]
        losses = [(F.mse_loss(model(x), x) + 0.01 * model(x).abs().sum()).item() * len(x) for x in parts]
    assert module.evaluate(model, images, labels) == pytest.approx(sum(losses) / len(images), rel=1e-5)


def test_large_outputs_are_not_kept() -> None:
    """Outputs that would fill the memory are put together batch by batch."""
    data = DATA.replace("size=40, image_size=[1, 8, 8]", "size=40, image_size=[1, 8, 8], num_classes=1000")
    data = data.replace("random_offset=100", "random_offset=100, num_classes=1000")
    few = files(program("", NETWORK.replace("10", "1000"), data)).train or ""
    many = files(program("", NETWORK.replace("10", "1000"), data.replace("size=23", "size=10**6"))).train or ""
    assert "logits = predict(model, images)" in few
    assert "logits = predict(model, images)" not in many


def test_scripts_are_clean(tmp_path: Path) -> None:
    for name, (loss, network, _, _) in CASES.items():
        folder = tmp_path / name
        folder.mkdir()
        made = files(program(f"loss = {loss}\nmetrics = []", network) if network else program(f"loss = {loss}"))
        (folder / "train.py").write_text(made.train or "")
        (folder / "model.py").write_text(made.model)
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", "--line-length=88", "--target-version=py311", str(tmp_path)]
    check = subprocess.run([*ruff, "check", "--select=E,F,I,UP,B", *common], capture_output=True, text=True)
    layout = subprocess.run([*ruff, "format", "--diff", *common], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert layout.returncode == 0, layout.stdout


def test_pictures_are_predicted_by_the_output_of_classes() -> None:
    from netc.runtime.errors import UserError
    from netc.runtime.prediction import _scores

    module = script(
        program("loss = CrossEntropyLoss(logits, label) + 0.1 * mean(abs(code))", AUX_CODE.replace("if", "#"))
    )
    outputs = module.build_model(torch.device("cpu"))(torch.zeros(1, 1, 8, 8))
    assert _scores(outputs, {"classes": [str(i) for i in range(10)]}) is outputs.logits
    with pytest.raises(UserError, match=r"it gives \[1, 64, 2\]"):
        _scores(torch.zeros(1, 64, 2), {})
