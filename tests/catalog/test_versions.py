"""Which versions of torch and torchvision are served, and what is said about the others."""

from __future__ import annotations

import pytest

from netc.catalog import versions


@pytest.mark.parametrize(
    ("torch", "torchvision", "says"),
    [
        ("2.15.0", "0.29.2", None),
        ("2.15.0+cu132", "0.29.2+cu132", None),
        ("2.15.1+cpu", "0.29.2+cpu", None),
        ("2.15.0", None, None),
        ("2.15.0+cpu", "0.29.2", "pip install --force-reinstall torch torchvision"),
        ("2.15.0", "0.29.2+cpu", "different builds"),
        ("2.14.0", "0.29.0", "catalog was read from torch 2.15"),
        ("2.9.1", "0.24.1", "catalog was read from torch 2.15"),
        ("2.16.0", "0.30.0", "catalog was read from torch 2.15"),
        ("2.16.0a0+git1234", None, "catalog was read from torch 2.15"),
        ("2.9.1", "0.29.2", "was not made for torch 2.9.1"),
        ("2.15.0", "0.24.0", "was not made for torch 2.15.0"),
        ("2.8.0", "0.23.0", "older than 2.9"),
        ("1.13.1", "0.14.1", "older than 2.9"),
        ("not a version", None, "older than 2.9"),
        (None, None, "pip install"),
    ],
)
def test_served(torch: str | None, torchvision: str | None, says: str | None) -> None:
    sentence = versions.served(torch, torchvision)
    assert (sentence is None) == (says is None), sentence
    assert says is None or says in str(sentence)


def test_usable() -> None:
    assert versions.usable("2.9.0")
    assert versions.usable("3.0.0")
    assert versions.usable("2.10.0")
    assert not versions.usable("2.8.9")
    assert not versions.usable(None)


def test_missing_operators_become_an_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed", {"torch": "2.15.0+cpu", "torchvision": "0.29.2"}.get)
    sentence = versions.explain_import_error(RuntimeError("operator torchvision::nms does not exist"))
    assert sentence is not None
    assert "pip install --force-reinstall torch torchvision" in sentence
    absent = versions.explain_import_error(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert absent == "torch is not installed; install it with `pip install torch`"
    assert versions.explain_import_error(ValueError("something else")) is None


def test_the_sentence_speaks_of_what_is_installed() -> None:
    assert versions.installed("torch") is not None
    assert versions.installed("no-such-package-here") is None
