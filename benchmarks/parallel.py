"""Training in 1 and 2 processes beside a script written by hand, and the memory of 4 processes beside that of one.

In: nothing, or `--rounds N` and `--epochs N`. Out: a table of medians on the terminal; with `--check`, exit code 1 if
a limit is missed. Guarantees: the jobs take turns epoch by epoch, in several rounds of new processes, the script by
hand twice, so that its ratio to itself shows the noise; both sides have the same network, data, order and batches, on
the CPU with gloo.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from netc.compiler import analyse, emit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.turns import take_turns, turned  # noqa: E402

PROGRAM = """module Block(width) {
  input x: [N, width, H, W]
  conv1: Conv2d(width, 3, padding=1) -> ReLU -> conv2: Conv2d(width, 3, padding=1)
  relu(x + _)
}
network Net {
  input image: [N, 3, 32, 32]
  stem: Conv2d(32, 3, padding=1) -> ReLU -> MaxPool2d(2)
  one: Block(32) -> two: Block(32) -> MaxPool2d(2) -> Flatten -> head: Linear(10)
}
data {
  train      = Arrays("DATA", image_size=[3, 32, 32])
  transform  = ToTensor
  batch_size = 128
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.01, momentum=0.9)
  epochs    = 1
}
"""
# A network that costs nearly nothing, so that all of the data is soon used.
LIGHT = re.sub(r"  stem: .*Linear\(10\)\n", "  MaxPool2d(8) -> Flatten -> head: Linear(10)\n", PROGRAM, flags=re.S)
LIMIT, MEMORY = 1.05, 1.1


def main() -> int:
    """Measure, print the tables, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=["ddp", "fsdp", "memory"])
    options = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if options.only != "memory":
            kinds = ("ddp", "fsdp") if options.only is None else (options.only,)
            well &= _speed(folder, kinds, options.rounds, options.epochs)
        if options.only in (None, "memory"):
            well &= _memory(folder)
    return 0 if well or not options.check else 1


def _speed(folder: Path, kinds: tuple[str, ...], rounds: int, epochs: int) -> bool:
    data = _data(folder / "speed.npz", 1280)
    worst = 0.0
    print("kind  processes  by hand  compiled  ratio  control  plain script")
    for kind in kinds:
        script = _script(folder / kind, data, kind, epochs=epochs)
        plain = _script(folder / f"{kind}-plain", data, None, epochs=epochs)
        hand = [str(ROOT / "benchmarks/tutorials/parallel.py"), kind, str(data), str(epochs)]
        for ranks in (1, 2):
            jobs = {"hand": hand, "ours": [str(script)], "again": hand}
            if ranks == 1:
                jobs["plain"] = [str(plain)]
            found: dict[str, list[float]] = {name: [] for name in jobs}
            for turn in range(rounds):  # a process is as fast as its memory happens to lie: that varies by a tenth
                place = folder / f"{kind}-{ranks}-{turn}"
                place.mkdir()
                for name, seconds in _in_turns(place, jobs, ranks, epochs).items():
                    found[name] += seconds
            ratio = median(
                2 * b / (a + c) for a, b, c in zip(found["hand"], found["ours"], found["again"], strict=True)
            )
            control = median(c / a for a, c in zip(found["hand"], found["again"], strict=True))
            worst = max(worst, ratio)
            times = f"{kind:4}  {ranks:9}  {median(found['hand']):6.3f}s  {median(found['ours']):7.3f}s"
            beside = f"{median(found['plain']):11.3f}s" if "plain" in found else ""
            print(f"{times}  {ratio:5.3f}  {control:7.3f}  {beside}", flush=True)
    return worst <= LIMIT


def _in_turns(folder: Path, jobs: dict[str, list[str]], ranks: int, epochs: int) -> dict[str, list[float]]:
    commands = {}
    for name, (script, *arguments) in jobs.items():
        command = turned(folder, name, script, *(arguments or ["--device", "cpu", "--run-dir", str(folder / name)]))
        commands[name] = [sys.executable, *command] if name == "plain" else _command(ranks, *command)
    return take_turns(folder, commands, epochs, _environment(ranks))


def _memory(folder: Path) -> bool:
    """What the data takes in 4 processes and in one: what they hold with it, less what they hold without."""
    large, small = _data(folder / "large.npz", 60_000), _data(folder / "small.npz", 256)
    taken = {}
    for ranks in (1, 4):
        held = []
        for data in (large, small):
            held.append(_held(_script(folder / f"{ranks}-{data.stem}", data, "ddp", LIGHT, epochs=10**6), ranks))
        taken[ranks] = held[0] - held[1]
    ratio = taken[4] / taken[1]
    print(
        f"\ndata in memory: {taken[1] / 2**20:.0f} MiB in one process, {taken[4] / 2**20:.0f} MiB in four: {ratio:.3f}"
    )
    return ratio <= MEMORY


def _data(path: Path, count: int) -> Path:
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    np.savez(path, image=images, label=chance.integers(0, 10, count))
    return path


def _script(folder: Path, data: Path, kind: str | None, text: str = PROGRAM, epochs: int = 1) -> Path:
    settings = {"train.epochs": str(epochs)} | ({} if kind is None else {"train.parallel": f'"{kind}"'})
    program = analyse(text.replace("DATA", str(data)), "parallel.net", "parallel", settings).program
    assert program is not None
    files = emit(program)
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(files.train or "")
    (folder / "model.py").write_text(files.model)
    return folder / "train.py"


def _command(ranks: int, *rest: str) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return [*torchrun, *rest]


def _held(script: Path, ranks: int) -> int:
    """The bytes that the processes hold together behind the first epoch; shared pages count once."""
    with tempfile.TemporaryDirectory() as run:
        rest = [str(script), "--device", "cpu", "--run-dir", run]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(_command(ranks, *rest), env=_environment(ranks), stdout=quiet, stderr=quiet)
        metrics = Path(run) / "metrics.csv"
        while not metrics.exists() or metrics.read_text().count("\n") < 2:
            if process.poll() is not None:
                sys.exit(f"{script} ended with {process.returncode}")
            time.sleep(0.1)
        children = _children(process.pid)
        found = sum(_pss(child) for child in children)
        process.kill()
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, 9)
        process.wait()
        return found


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _environment(ranks: int) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0))
    return os.environ | {"OMP_NUM_THREADS": str(max(1, cores // ranks)), "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    sys.exit(main())
