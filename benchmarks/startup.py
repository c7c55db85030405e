"""How long `netc build` takes as a whole process, beside `python -c "import torch"`.

In: nothing, or another file to build. Out: a table of medians on the terminal; with `--check`, exit code 1 where the
build takes more than a fifteenth of the import.
Guarantees: the runs are interleaved, each command after a warm-up of its own; every build sees a text that was never
built before and an empty cache folder, so that no stored result can serve; the import is measured twice, against
itself, which shows what the machine's noise is worth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
RUNS = 9
LIMIT = 15.0
IMPORT = [sys.executable, "-c", "import torch"]


def netc_command() -> list[str]:
    """The installed command, as people call it, or the module where there is none beside this Python."""
    script = Path(sys.executable).with_name("netc")
    return [str(script)] if script.exists() else [sys.executable, "-m", "netc"]


def seconds(command: list[str], cache: Path) -> float:
    """The time of a whole process, in seconds; one that fails ends the benchmark with what it said.

    Python keeps its bytecode, as it does for everybody: an installed package is compiled once, not at every start.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["XDG_CACHE_HOME"] = str(cache)
    start = perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    taken = perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return taken


def build_once(program: Path, folder: Path, number: int) -> float:
    """One build of a text that differs from all others, by a comment, into a new folder."""
    place = folder / str(number)
    place.mkdir()
    text = place / program.name
    text.write_text(
        f"{program.read_text(encoding='utf-8')}\n# build {number} of process {os.getpid()}\n", encoding="utf-8"
    )
    taken = seconds([*netc_command(), "build", str(text), "--out", str(place / "out")], place / "cache")
    if not (place / "out" / "model.py").exists():
        sys.exit(f"netc build {program} wrote no model.py")
    return taken


def measure(program: Path, runs: int) -> dict[str, list[float]]:
    """The times of each command, in seconds, the warm-up left out."""
    with tempfile.TemporaryDirectory() as name:
        numbers = iter(range(10**6))
        commands: dict[str, Callable[[], float]] = {
            f"netc build {program.name}": lambda: build_once(program, Path(name), next(numbers)),
            'python -c "import torch"': lambda: seconds(IMPORT, Path(name)),
            "the import again (control)": lambda: seconds(IMPORT, Path(name)),
        }
        times: dict[str, list[float]] = {label: [] for label in commands}
        for turn in range(runs + 1):
            for label, command in commands.items():
                taken = command()
                if turn:
                    times[label].append(taken)
    return times


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("program", nargs="?", type=Path, default=ROOT / "examples" / "lenet.net")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each command that count (default 9)")
    parser.add_argument("--check", action="store_true", help=f"fail where the build takes more than 1/{LIMIT:g}")
    options = parser.parse_args()
    times = measure(options.program, options.runs)
    build, reference, control = (median(values) for values in times.values())
    print(f"{'command':<30}{'median':>10}{'least':>10}{'most':>10}")
    for label, values in times.items():
        print(f"{label:<30}{median(values):>8.3f} s{min(values):>8.3f} s{max(values):>8.3f} s")
    ratio = reference / build
    print(f"\nbuild to import: 1/{ratio:.1f} (limit 1/{LIMIT:g}); control to import: {control / reference:.3f}")
    return 1 if options.check and ratio < LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
