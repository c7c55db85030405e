"""Ctrl-C while data is read: one line, the exit code 130, and nothing half written is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netc.cli import run
from tests.data.tables import program
from tests.forked import Started

SLOW = """
import time
from pathlib import Path

import torch


class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, i):
        Path("reading").touch()
        time.sleep(0.1)
        return torch.zeros(4), i % 2
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def interrupted(command: list[str], sign: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that gets Ctrl-C once a file of this kind is there."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NETC_CACHE": "cache"}
    process = Started(command, env=environment)
    for _ in range(6000):
        if list(Path().glob(sign)) or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def stops(command: list[str], sign: str) -> None:
    code, out, err = interrupted(command, sign)
    assert (code, out, err.strip().splitlines()) == (130, "", ["Stopped."])
    assert not list(Path().glob("runs/*/*/*"))


def commands() -> list[list[str]]:
    assert run(["build", "net.net"]) == 0
    return [["-m", "netc", "train", "--device", "cpu"], ["build/net/train.py", "--device", "cpu"]]


@pytest.mark.parametrize("which", [0, 1], ids=["netc train", "the script alone"])
def test_while_pictures_are_decoded(which: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)
    for name in ("ants", "bees"):
        Path("p", name).mkdir(parents=True)
        Image.fromarray(pixels).save(f"p/{name}/0.jpg")
        for i in range(1, 400):
            Path(f"p/{name}/{i}.jpg").symlink_to("0.jpg")
    sets = 'train = ImageFolder("p")\n  transform = Resize([8, 8]) -> ToTensor'
    Path("net.net").write_text(program(sets, "input image: [N, 3, 8, 8]\n  Flatten", 2), encoding="utf-8")
    stops(commands()[which], "cache/pictures/*.decoded.*")
    assert not list(Path("cache/pictures").iterdir())


@pytest.mark.parametrize("which", [0, 1], ids=["netc train", "the script alone"])
def test_while_samples_are_read(which: int) -> None:
    Path("slow.py").write_text(SLOW, encoding="utf-8")
    text = 'use "slow.py"\n' + program("train = Slow()", 4, 2)
    Path("net.net").write_text(text, encoding="utf-8")
    stops(commands()[which], "reading")
