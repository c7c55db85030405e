"""Worker processes of several processes that train together: each has some for its share, and none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_workers import SETS
from tests.parallel.programs import TRAIN, program
from tests.parallel.ranks import Scripts
from tests.parallel.test_equal import assert_equal, rows, weights
from tests.parallel.test_killed import prepare

NETWORK = 'use "sets.py"\nnetwork Net {\n  input x: [N, 4]\n  stem: Linear(12) -> Tanh -> head: Linear(2)\n}\n'
DATA = {"train": "Noisy(79)", "validation": "20", "cache": "False", "workers": "2", "batch_size": "8"}
OPTIONS = {"accumulate": "2", "checkpoint": "Checkpoint(every_steps=2)", "ema": "0.9", "log_every": "1"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sets.py").write_text(SETS.replace("time.sleep(0.02)", "time.sleep(0.2)"), encoding="utf-8")


def scripts(folder: str, kind: str, double: bool = True, **settings: Any) -> Scripts:
    text = program(NETWORK, **({"data": DATA} | settings))
    return Scripts(Path(folder).absolute() / "scripts", text, {"train.parallel": f'"{kind}"'} if kind else {}, double)


def left(cwd: Path) -> list[int]:
    """The processes that were started in a folder, but for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == cwd.resolve() and int(process.name) != os.getpid():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def assert_all_ended(cwd: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while found := left(cwd):
        assert time.monotonic() < end, found
        time.sleep(0.1)


@pytest.mark.parametrize(("kind", "ranks", "options"), [("ddp", 3, OPTIONS), ("fsdp", 2, {})], ids=["ddp", "fsdp"])
def test_processes_see_the_samples_that_one_sees(kind: str, ranks: int, options: dict[str, Any]) -> None:
    """Up to what each draws by chance; the last batch has fewer samples than there are processes."""
    plain, several = scripts("plain", "", **options), scripts("several", kind, **options)
    assert plain.run(Path("plain"), "--run-dir", "run") == [0]
    codes = several.run(Path("several"), "--run-dir", "run", ranks=ranks)
    assert set(codes) == {0}, Path("several/rank0.log").read_text()
    assert_equal(Path("plain/run"), Path("several/run"), 1e-9)
    assert_all_ended(Path("several"))


@pytest.mark.parametrize("changes", [{"cache": ""}, {"workers": ""}], ids=["kept", "no workers"])
def test_other_ways_to_make_samples(changes: dict[str, str]) -> None:
    data = DATA | {"train": "Signs(79)"} | changes
    plain, several = scripts("plain", "", data=data), scripts("several", "ddp", data=data)
    assert plain.run(Path("plain"), "--run-dir", "run") == [0]
    assert several.run(Path("several"), "--run-dir", "run", ranks=2) == [0, 0]
    assert_equal(Path("plain/run"), Path("several/run"), 1e-9)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_run_goes_on_in_mid_epoch_to_the_bit(kind: str) -> None:
    job = scripts("job", kind, False, **OPTIONS)
    assert job.run(Path("whole"), "--run-dir", "run", ranks=2) == [0, 0], Path("whole/rank0.log").read_text()
    codes = job.run(Path("cut"), "--run-dir", "run", ranks=2, prepare=(prepare, (1, "step", 7)))
    assert codes[1] == -signal.SIGKILL
    assert_all_ended(Path("cut"))
    assert job.run(Path("cut"), "--resume", "run", ranks=2) == [0, 0], Path("cut/rank0.log").read_text()
    assert rows(Path("cut/run")) == rows(Path("whole/run"))
    kept, others = weights(Path("cut/run")), weights(Path("whole/run"))
    assert all((others[key] == value).all() for key, value in kept.items())


def test_a_loss_of_the_whole_set() -> None:
    network = NETWORK.replace("head: Linear(2)", "head: Linear(4)")
    job = {"network": network, "loss": "sqrt(MSELoss(output, x))", "metrics": "", "optimizer": "SGD(lr=0.01)"}
    plain = Scripts(Path("plain/scripts").absolute(), program(data=DATA, **job), {}, True)
    several = Scripts(Path("several/scripts").absolute(), program(data=DATA, **job), {"train.parallel": '"ddp"'}, True)
    assert plain.run(Path("plain"), "--run-dir", "run") == [0]
    assert several.run(Path("several"), "--run-dir", "run", ranks=2) == [0, 0], Path("several/rank0.log").read_text()
    first, other = (rows(Path(name) / "run")[0] for name in ("plain", "several"))
    assert other["train_loss"] == pytest.approx(first["train_loss"], rel=0.05), "of each share, as W0850 says"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path: Path, stop: signal.Signals) -> None:
    data = DATA | {"train": "Slow(79)"}
    Path("case.net").write_text(program(NETWORK, data=data, **(TRAIN | {"epochs": "500", "schedule": ""})))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "netc", "train", "case.net", "--nproc", "2", "--device", "cpu"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:  # fmt: skip
        assert process.stdout is not None
        while "epoch" not in process.stdout.readline():
            assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(1)
        assert len(left(tmp_path)) == 3 + 2 * 2
        process.send_signal(stop)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -9)
    assert "Traceback" not in said
    assert_all_ended(tmp_path)
