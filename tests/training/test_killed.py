"""Runs that are killed with SIGKILL, taken up again, and compared to the bit with the run that was never killed.

The processes are forked from one that has imported torch, so that each costs a fraction of a second.
"""

from __future__ import annotations

import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from netc import ir
from tests.forked import server
from tests.training.programs import NOWHERE
from tests.training.scripts import Project, lenet_project
from tests.training.test_run import assert_same_run, rows

EPOCHS, STEPS = 4, 7  # of the optimizer in an epoch: 637 images, 96 in a step
FEW = {"validation": 800, "batch_size": 32}
OPTIONS = ir.Options(accumulate=3, ema=0.9, checkpoint=ir.Checkpoints(None, None, None, 3, NOWHERE), clip_grad_norm=5.0)
WHERE = ("before the first checkpoint", "during a save", "in the middle of an epoch", "in evaluation", "at any time")
_CHANCE = random.Random(20)
MOMENTS = [(where, _CHANCE.random(), _CHANCE.random()) for where in WHERE for _ in range(4)]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _child(folder: str, cwd: str, arguments: list[str], where: str, a: float, b: float) -> None:
    """Run the script, and end without a word at the moment that is meant."""
    import torch

    torch.set_num_threads(1)
    os.chdir(cwd)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    sys.argv = ["train.py", "--device", "cpu", *arguments]
    sys.path.insert(0, folder)
    _prepare(where, a, b)
    runpy.run_path(f"{folder}/train.py", run_name="__main__")


def _prepare(where: str, a: float, b: float) -> None:
    """Put the end into a function that the script calls: a chooses when, b how."""
    from torch import optim
    from torch.nn import functional

    if where == "before the first checkpoint":
        _nth(os, "fsync" if b < 0.5 else "replace", 1, half=b < 0.5)
    elif where == "during a save":
        saves = EPOCHS * 3  # at least: twice within each epoch, and once at its end
        _nth(os, "fsync" if b < 0.5 else "replace", 2 + int(a * saves), half=b < 0.5)
    elif where == "in the middle of an epoch":
        _nth(optim.SGD, "step", 1 + int(a * EPOCHS * STEPS))
    elif where == "in evaluation":
        _nth(functional, "cross_entropy", 1 + int(a * EPOCHS), when=lambda logits, *_, **__: logits.is_inference())


def _nth(home: Any, name: str, count: int, half: bool = False, when: Any = None) -> None:
    """Die in the call of this number; `half` of the file is written then."""
    known, calls = getattr(home, name), [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += when is None or when(*args, **kwargs)
        if calls[0] == count:
            if half:
                os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
            _die()
        return known(*args, **kwargs)

    setattr(home, name, counted)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return lenet_project(tmp_path_factory.mktemp("project") / "build" / "lenet", EPOCHS, options=OPTIONS, **FEW)


def run(
    project: Project, cwd: Path, *arguments: str, moment: Any = ("", 0.0, 0.0), seconds: float = 0.0
) -> int:  # fmt: skip
    """The exit code of a run, negative where a signal ended it; `seconds` are those of an undisturbed one."""
    process = server().Process(target=_child, args=(str(project.folder), str(cwd), list(arguments), *moment))
    process.start()
    if moment[0] == "at any time":
        time.sleep(moment[1] * seconds)
        process.kill()
    process.join(120)
    code: int = process.exitcode
    return code


@pytest.fixture(scope="module")
def measured(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An undisturbed run, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for name in ("first", "run"):  # the server of the processes begins with the first
        begin = time.monotonic()
        assert run(project, folder, "--run-dir", name) == 0
    return folder / "run", time.monotonic() - begin


@pytest.fixture(scope="module")
def undisturbed(measured: tuple[Path, float]) -> Path:
    return measured[0]


def test_the_run_has_what_could_go_wrong(project: Project, undisturbed: Path) -> None:
    for text in ("ema.update", "momentum=0.9", "augment(", "ACCUMULATE = 3", "SAVE_EVERY = 3"):
        assert text in project.text
    assert "Dropout" in project.model
    assert [row["epoch"] for row in rows(undisturbed)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("moment", MOMENTS, ids=[f"{where} {i % 4 + 1}" for i, (where, *_) in enumerate(MOMENTS)])
def test_killed(project: Project, measured: tuple[Path, float], tmp_path: Path, moment: Any) -> None:
    undisturbed, seconds = measured
    code = run(project, tmp_path, "--run-dir", "run", moment=moment, seconds=seconds)
    assert code == -signal.SIGKILL or (moment[0] == "at any time" and code == 0)
    begun = (tmp_path / "run" / "last.pt").exists()
    assert begun or moment[0] in ("before the first checkpoint", "at any time")
    again = ("--resume", "run") if begun else ("--run-dir", "run")
    assert run(project, tmp_path, *again) == 0
    assert_same_run(undisturbed, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.unfinished")), "what a kill left over is written over"
