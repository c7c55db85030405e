"""How long `netc check` takes as a whole process: the files of the model library, networks of many layers, wrong files.

In: nothing, or files to check instead of the library's. Out: a table of medians on the terminal; with `--check`, exit
code 1 where a limit is passed.
Guarantees: the files are checked in turn, so that a slow minute of the machine falls on all of them; Python keeps its
bytecode and netc gets an empty cache folder, as at the first check after an installation.
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

ROOT = Path(__file__).parents[1]
RUNS = 5
FILE_LIMIT = 0.5  # seconds, for a file of the library
LOOP_LIMIT = 3.0  # for 10,000 layers that a loop makes
LINES_LIMIT = 15.0  # for 10,000 layers on lines of their own
GROWTH_LIMIT = 1.3  # the time for a layer among 10,000, beside that of one among 1,000
FEW, MANY = 1_000, 10_000
LENGTHS = {2_000: 2.5, 5_000: 6.0}  # lines of a file, and seconds
WRONG_LIMIT = 2.0  # the time of a wrong file, beside that of the right one
# What is wrong in a file of lines: each of these, once in its middle, and on every line.
MISTAKES = {
    "a comma": ("3, padding", "3 padding"),
    "an argument": ("padding=1", "paddin=1"),
    "a layer": ("ReLU", "RelU"),
    "a sign": ("Conv2d(", "Conv2d\uff08"),
    "a bracket": ("padding=1)", "padding=1"),
    "a bracket of a function": ("-> ReLU", "-> relu("),
    "a size": ("padding=1)", "padding=1, in_channels=7)"),
}


def loop(layers: int) -> str:
    """A network whose layers a loop makes."""
    return (
        f"network Deep(depth = {layers}) {{\n"
        "  input x: [N, 3, 32, 32]\n"
        "  stem: Conv2d(16, 3, padding=1)\n"
        "  body: seq { for i in range(depth) { Conv2d(16, 3, padding=1) } }\n"
        "  flatten(1) -> fc: Linear(10)\n"
        "}\n"
    )


def lines(layers: int) -> str:
    """A network with a line for each layer, of alternating widths."""
    body = "\n".join(f"  conv{i}: Conv2d({16 + 8 * (i % 2)}, 3, padding=1) -> ReLU" for i in range(layers))
    return f"network Long {{\n  input x: [N, 3, 32, 32]\n{body}\n  flatten(1) -> fc: Linear(10)\n}}\n"


def command() -> list[str]:
    """The installed command, as people call it, or the module where there is none beside this Python."""
    script = Path(sys.executable).with_name("netc")
    return [str(script)] if script.exists() else [sys.executable, "-m", "netc"]


def seconds(arguments: list[str], cache: Path) -> float:
    """The time of a whole process, in seconds; one that fails, mistakes aside, ends the benchmark with what it said."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["XDG_CACHE_HOME"] = str(cache)
    start = perf_counter()
    done = subprocess.run([*command(), *arguments], env=environment, capture_output=True, text=True)
    taken = perf_counter() - start
    if done.returncode not in (0, 1):
        sys.exit(f"netc {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return taken


def measure(files: list[Path], runs: int) -> dict[Path, list[float]]:
    """The times of the files, one after the other in every round, the warm-up left out."""
    with tempfile.TemporaryDirectory() as cache:
        times: dict[Path, list[float]] = {file: [] for file in files}
        for turn in range(runs + 1):
            for file in files:
                taken = seconds(["check", str(file)], Path(cache))
                if turn:
                    times[file].append(taken)
    return times


def nothing(runs: int) -> float:
    """The median of `netc check --help`: what the process costs without a file."""
    with tempfile.TemporaryDirectory() as cache:
        return median(seconds(["check", "--help"], Path(cache)) for _ in range(runs))


def library(files: list[Path], runs: int) -> bool:
    """Check the files of the library; whether each of them is within the limit."""
    print(f"{'file':<24}{'median':>10}{'least':>10}{'most':>10}")
    worst = 0.0
    for file, values in measure(files, runs).items():
        print(f"{file.name:<24}{median(values):>8.3f} s{min(values):>8.3f} s{max(values):>8.3f} s")
        worst = max(worst, median(values))
    print(f"\nthe slowest takes {worst:.3f} s (limit {FILE_LIMIT} s)\n")
    return worst <= FILE_LIMIT


def long_networks(runs: int) -> bool:
    """Check networks of 1,000 and of 10,000 layers; whether they are within their limits."""
    right = True
    empty = nothing(runs)
    with tempfile.TemporaryDirectory() as name:
        for what, text, limit in (("a loop", loop, LOOP_LIMIT), ("written lines", lines, LINES_LIMIT)):
            files = [Path(name) / f"{what.replace(' ', '_')}_{count}.net" for count in (FEW, MANY)]
            for file, count in zip(files, (FEW, MANY), strict=True):
                file.write_text(text(count), encoding="utf-8")
            few, many = (median(values) for values in measure(files, runs).values())
            growth = (many - empty) / MANY / ((few - empty) / FEW)
            print(f"{what:<16}{FEW:>7,} layers {few:>7.3f} s{MANY:>9,} layers {many:>7.3f} s (limit {limit:g} s)")
            print(f"{'':<16}for a layer {growth:.2f} times as long (limit {GROWTH_LIMIT}), {empty:.3f} s taken off")
            right = right and many <= limit and growth <= GROWTH_LIMIT
    return right


def wrong(text: str, old: str, new: str) -> tuple[str, str]:
    """The text with a mistake in the middle, and with the same on every line."""
    middle = text.index(old, len(text) // 2)
    return text[:middle] + new + text[middle + len(old) :], text.replace(old, new)


def wrong_files(runs: int) -> bool:
    """Check files of 2,000 and 5,000 lines, right and wrong; whether they are within their limits."""
    right = True
    with tempfile.TemporaryDirectory() as name:
        for count, limit in LENGTHS.items():
            text = lines(count - 4)
            texts = {"right": text}
            for what, (old, new) in MISTAKES.items():
                texts[f"{what}, once"], texts[f"{what}, everywhere"] = wrong(text, old, new)
            files = {Path(name) / f"{count}_{i}.net": what for i, what in enumerate(texts)}
            for file, what in files.items():
                file.write_text(texts[what], encoding="utf-8")
            times = {files[file]: median(values) for file, values in measure(list(files), runs).items()}
            print(f"\n{count:,} lines, right: {times['right']:.3f} s (limit {limit:g} s)")
            for what, taken in times.items():
                if what != "right":
                    print(f"  {what:<24}{taken:>7.3f} s {taken / times['right']:>6.2f} times (limit {WRONG_LIMIT:g})")
                right = right and taken <= min(limit, WRONG_LIMIT * times["right"])
    return right


def main() -> int:
    """Measure, print, and say by the exit code whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path, default=sorted((ROOT / "models").glob("*.net")))
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each file that count (default 5)")
    parser.add_argument("--check", action="store_true", help="fail where a limit is passed")
    options = parser.parse_args()
    right = [library(options.files, options.runs), long_networks(options.runs), wrong_files(options.runs)]
    return 1 if options.check and not all(right) else 0


if __name__ == "__main__":
    sys.exit(main())
