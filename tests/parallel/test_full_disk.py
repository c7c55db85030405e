"""A disk that is full ends a job of several processes with one line, and leaves the last checkpoint intact."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
import torch

from tests.parallel.programs import NETWORK, program
from tests.parallel.ranks import Scripts

WIDE = NETWORK.replace("12", "96")  # whose weights are most of a checkpoint


def limited(rank: int, size: int) -> None:
    """Files of this process end at so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_full_disk(tmp_path: Path, kind: str) -> None:
    scripts = Scripts(tmp_path / "scripts", program(WIDE, epochs="2"), {"train.parallel": f'"{kind}"'})
    assert scripts.run(tmp_path, "--run-dir", "whole", ranks=2) == [0, 0]
    before = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)
    codes = scripts.run(tmp_path, "--run-dir", "run", ranks=2, prepare=(limited, (20_000,)))
    said = (tmp_path / "rank0.log").read_text() + (tmp_path / "rank1.log").read_text()
    name = "last.pt" if kind == "ddp" else "last-0000"
    assert all(codes), "the disk is full before the first epoch"
    assert f"error: run/{name} cannot be written" in said
    assert "Traceback" not in said
    scripts.run(tmp_path, "--resume", "whole", ranks=2, prepare=(limited, (20_000,)))
    after = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)
    assert after["epoch"] == before["epoch"] == 2
    assert all(torch.equal(value, after["model"][key]) for key, value in before["model"].items())
