"""Processes that are killed with SIGKILL and started again by torchrun's launcher, as netc sets it up, and compared to
the bit with a run that was not disturbed; and checkpoints that go on with another number of processes."""

from __future__ import annotations

import os
import random
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.launcher.api import elastic_launch

from netc.runtime.launch import Job, configured
from tests.forked import server
from tests.parallel.programs import NETWORK, program
from tests.parallel.ranks import Scripts
from tests.parallel.test_equal import rows
from tests.training.test_run import assert_same

RANKS = 4
SETTINGS: dict[str, Any] = {
    "accumulate": "2", "ema": "0.9", "clip_grad_norm": "1.0", "epochs": "3",
    "checkpoint": "Checkpoint(every_steps=2)", "log_every": "1",
}  # fmt: skip
DROPOUT = NETWORK.replace("Tanh -> head", "Dropout(0.2) -> head")
STEPS = 4  # of the optimizer in an epoch
_CHANCE = random.Random(6)
# Where a process is killed: which rank, in which call of what; of a save, half of the file is written then.
MOMENTS = [
    ("ddp", 0, "save", 3), ("ddp", 0, "save", 1), ("ddp", 3, "step", 5), ("ddp", 1, "step", 9), ("ddp", 0, "step", 2),
    ("fsdp", 0, "save", 4), ("fsdp", 2, "save", 6), ("fsdp", 3, "step", 6), ("fsdp", 0, "step", 11),
    ("fsdp", 1, "step", 1 + _CHANCE.randrange(3 * STEPS)),
]  # fmt: skip


def prepare(rank: int, victim: int, where: str, count: int) -> None:
    """Let one process die in the call of this number."""
    if rank != victim:
        return
    home, name = (os, "fsync") if where == "save" else (torch.optim.SGD, "step")
    known, calls = getattr(home, name), [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            if where == "save":
                os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return known(*args, **kwargs)

    setattr(home, name, counted)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Scripts, Path]]:
    found = {}
    for kind in ("ddp", "fsdp"):
        folder = tmp_path_factory.mktemp(kind)
        scripts = Scripts(folder / "scripts", program(DROPOUT, **SETTINGS), {"train.parallel": f'"{kind}"'})
        assert scripts.run(folder, "--run-dir", "run", ranks=RANKS) == [0] * RANKS
        found[kind] = scripts, folder / "run"
    return found


def state(run: Path, name: str) -> dict[str, Any]:
    """A checkpoint, with the shards that it names put together."""
    found: dict[str, Any] = torch.load(run / name, weights_only=True)
    for row in found["history"]:
        del row["seconds"]
    if "shards" in found:
        from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

        dcp_to_torch_save(run / found["shards"], run / "whole.pt")
        found["shards"] = torch.load(run / "whole.pt", weights_only=True)
    return found


def launched(folder: str, cwd: str, moment: tuple[int, str, int]) -> None:
    """What a launcher does, in a process of its own; its processes are forked, so that each has torch at once."""
    os.chdir(cwd)
    config = configured(Job(RANKS, restarts=1))
    config.start_method = "fork"
    elastic_launch(config, trained)(folder, moment)


def trained(folder: str, moment: tuple[int, str, int]) -> None:
    """One process of the job; the first time, one of them dies at this moment."""
    torch.set_num_threads(1)
    rank, restarts = int(os.environ["RANK"]), os.environ["TORCHELASTIC_RESTART_COUNT"]
    log = Path(f"rank{rank}-{restarts}.log").open("w")  # noqa: SIM115
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    if restarts == "0":
        prepare(rank, *moment)
    sys.argv = ["train.py", "--device", "cpu", "--run-dir", "run"]
    sys.path.insert(0, folder)
    runpy.run_path(f"{folder}/train.py", run_name="__main__")


@pytest.mark.parametrize("moment", MOMENTS, ids=[f"{kind}-{where}-{rank}" for kind, rank, where, _ in MOMENTS])
def test_killed(
    undisturbed: dict[str, tuple[Scripts, Path]], tmp_path: Path, moment: tuple[str, int, str, int]
) -> None:
    kind, *rest = moment
    scripts, whole = undisturbed[kind]
    process = server().Process(target=launched, args=(str(scripts.folder), str(tmp_path), tuple(rest)))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    starts = sorted(path.name for path in tmp_path.glob("rank*.log"))
    assert starts == [f"rank{rank}-{time}.log" for rank in range(RANKS) for time in (0, 1)], "one restart"
    run = tmp_path / "run"
    assert rows(run) == rows(whole)
    for name in ("last.pt", "best.pt"):
        assert_same(state(whole, name), state(run, name))
    assert len(list(run.glob("last-*"))) == (kind == "fsdp"), "the shards of before are gone"
    assert not list(run.glob("*.unfinished"))


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def interrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scripts, Path, Path]:
    """A run in float64 and without dropout that a kill ended, and the run of the plain script."""
    folder, text = tmp_path_factory.mktemp("interrupted"), program(**SETTINGS)
    plain = Scripts(folder / "plain" / "scripts", text, {}, double=True)
    assert plain.run(folder / "plain", "--run-dir", "run") == [0]
    scripts = Scripts(folder / "scripts", text, {"train.parallel": f'"{request.param}"'}, double=True)
    codes = scripts.run(folder, "--run-dir", "run", ranks=RANKS, prepare=(prepare, (2, "step", 7)))
    assert codes[2] == -signal.SIGKILL
    return scripts, folder / "run", folder / "plain" / "run"


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_another_number_of_processes_goes_on(
    interrupted: tuple[Scripts, Path, Path], tmp_path: Path, ranks: int
) -> None:
    """The run ends as the one that was not interrupted."""
    scripts, begun, plain = interrupted
    run = shutil.copytree(begun, tmp_path / "run")
    assert set(scripts.run(tmp_path, "--resume", "run", ranks=ranks)) == {0}, (tmp_path / "rank0.log").read_text()
    assert f"now there are {ranks}" in (tmp_path / "rank0.log").read_text()
    for ours, theirs in zip(rows(plain), rows(run), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-9)
    a, b = (torch.load(folder / "last.pt", weights_only=True)["model"] for folder in (plain, run))
    assert all((a[key] - b[key]).abs().max() <= 1e-9 * a[key].abs().max() for key in a)
