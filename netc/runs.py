"""The folders of runs: `runs/STEM/001` and so on.

Making one is safe against another run that starts at the same moment.
"""

from __future__ import annotations

from pathlib import Path

from netc.files import make_folder
from netc.runtime.errors import UserError

RUNS = Path("runs")


def new(stem: str) -> Path:
    """Make the next free folder."""
    folder = RUNS / stem
    make_folder(folder)
    number = max((int(p.name) for p in _all(stem)), default=0) + 1
    while True:
        run = folder / f"{number:03}"
        try:
            run.mkdir()
        except FileExistsError:
            number += 1
        except OSError as problem:
            raise UserError(f"the folder `{run}` can't be made: {problem.strerror}") from None
        else:
            return run


def _all(stem: str) -> list[Path]:
    folder = RUNS / stem
    found = [p for p in folder.glob("*") if p.name.isdecimal() and p.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda p: int(p.name))


def find(stem: str, name: str) -> Path:
    """A run by its path or number, or with "newest" the newest one."""
    there = _all(stem)
    if name == "newest":
        if not there:
            raise UserError(f"there is no run of {stem} in {RUNS / stem}", help=f"train first: `netc train {stem}.net`")
        return there[-1]
    for run in (Path(name), RUNS / stem / name, *(p for p in there if name.isdecimal() and int(p.name) == int(name))):
        if run.is_dir():
            return run
    listed = ", ".join(p.name for p in there[-8:])
    raise UserError(f"there is no run `{name}` of {stem}", help=f"there are {listed}" if listed else "train first")


def newest_weights(stem: str) -> Path:
    """The best checkpoint of the newest run that has one."""
    for run in reversed(_all(stem)):
        for name in ("best.pt", "last.pt"):
            if (run / name).is_file():
                return run / name
    raise UserError(
        f"there are no trained weights of {stem} in {RUNS / stem}",
        help=f"train first (`netc train {stem}.net`), or name a checkpoint with --weights",
    )
