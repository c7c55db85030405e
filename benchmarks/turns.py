"""A script that takes turns with others, epoch by epoch, so that a machine whose speed varies treats all alike.

    python turns.py FOLDER NAME SCRIPT ARGUMENT...

`take_turns` starts several jobs so. In: a folder in which the file `turn` has the names, one a line; a script that
reads `time.perf_counter` where an epoch begins and where it ends. Out: what the script does. Guarantees: an epoch
begins when those of the others have ended; the processes of torchrun wait together. Leaves the seconds to the script,
which tells them.
"""

from __future__ import annotations

import atexit
import csv
import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SKIPPED = 2  # epochs of each job, in which others start
PAUSE = 0.002  # seconds between looks at whose turn it is


def take_turns(
    folder: Path, jobs: dict[str, list[str]], epochs: int, environment: dict[str, str]
) -> dict[str, list[float]]:
    """The seconds of the epochs of each job, without the first ones, during which others start, and the last.

    Args:
        folder: where the jobs run, and leave what they say in NAME.log.
        jobs: for each name the command, in which `turned` has put this script.
        epochs: how many each has.
        environment: of the processes.
    """
    (folder / "turn").write_text("\n".join(jobs))
    running = {}
    for name, command in jobs.items():
        with (folder / f"{name}.log").open("w") as log:
            running[name] = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    while any(process.poll() is None for process in running.values()):
        if any(process.poll() and len(told(folder, name)) < epochs for name, process in running.items()):
            for process in running.values():  # which would wait for the one that failed
                process.kill()
        time.sleep(0.1)
    found = {name: told(folder, name)[SKIPPED:-1] for name in jobs}
    for name, values in found.items():
        if len(told(folder, name)) < epochs or not values:
            sys.exit(f"{name} failed: {(folder / f'{name}.log').read_text()[-2000:]}")
    return found


def turned(folder: Path, name: str, script: Path | str, *arguments: str) -> list[str]:
    """What Python is to run, so that the script takes its turn."""
    return [__file__, str(folder), name, str(script), *arguments]


def told(folder: Path, name: str) -> list[float]:
    """What a job said that its epochs took: in its run's metrics.csv, or in lines `epoch 1: 2.5 s`."""
    metrics = folder / name / "metrics.csv"
    if metrics.exists():
        with metrics.open() as file:
            return [float(row["seconds"]) for row in csv.DictReader(file)]
    return [float(x) for x in re.findall(r"^epoch \d+: ([\d.]+) s", (folder / f"{name}.log").read_text(), re.M)]


class Turns:
    """Whose turn it is, in a file: how many epochs all have had together."""

    def __init__(self, folder: Path, name: str) -> None:
        names = (folder / "turn").read_text().split()
        self.count, self.place = len(names), names.index(name)
        self.had = folder / "had"
        self.epoch = 0
        self.clock = time.perf_counter
        self.line = 0

    def perf_counter(self) -> float:
        """The time; where an epoch of the script begins, the time when its turn came."""
        frame: FrameType = sys._getframe(1)
        if frame.f_globals.get("__name__") == "__main__":
            self.line = self.line or frame.f_lineno
            if frame.f_lineno == self.line:
                self.pass_on()
                self.epoch += 1
                while self.turn() < self.number():
                    time.sleep(PAUSE)
        return self.clock()

    def number(self) -> int:
        """How many epochs are over when this script's next one begins."""
        return (self.epoch - 1) * self.count + self.place

    def turn(self) -> int:
        """How many epochs are over."""
        return len(self.had.read_bytes()) if self.had.exists() else 0

    def pass_on(self) -> None:
        """Say that the epoch is over, with all that comes behind it."""
        if self.epoch > 0 and os.environ.get("RANK", "0") == "0":
            with self.had.open("ab") as file:
                file.write(b".")


def main() -> None:
    """Run the script of the command line."""
    folder, name, script, *arguments = sys.argv[1:]
    turns = Turns(Path(folder), name)
    time.perf_counter = turns.perf_counter
    atexit.register(turns.pass_on)
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
