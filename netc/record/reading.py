"""A run as its folder tells it.

In: a folder such as `runs/lenet/003`, made by `netc train` or by a generated script alone. Out: a `Run`.
Guarantees: torch is not imported, nothing found in the folder is executed, and files that are missing, damaged or
foreign make a run with less in it, never an error. Leaves printing to `text`, pictures to `netc.report`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FINISHED, STOPPED, FAILED, RUNNING, UNKNOWN = "finished", "stopped", "failed", "running", "unknown"
METRICS, ENVIRONMENT, EVALUATION = "metrics.csv", "environment.json", "evaluation.json"
_LARGEST = 64 * 2**20  # bytes of a file that is read
_LOWER = {"loss", "mae", "mse", "rmse", "error", "perplexity", "mape"}
_SHARES = {"accuracy", "precision", "recall", "f1", "specificity"}
_BESIDE = {"epoch", "step", "steps", "lr", "seconds", "images", "examples", "samples", "memory"}


class Run(NamedTuple):
    """A run.

    rows: the table of the epochs, a value for each column; NaN where there is none.
    planned: how many epochs it is for, where that is known.
    state: one of "finished", "stopped", "failed", "running", and "unknown" where nothing tells.
    best_epoch: that of best.pt.
    environment: the content of environment.json, empty where there is none.
    settings: what `--set` gave.
    problems: what is wrong with its files, in sentences.
    """

    folder: Path
    stem: str
    number: int | None
    began: float | None
    state: str
    planned: int | None
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, float], ...]
    best_epoch: int | None
    environment: Mapping[str, Any]
    settings: Mapping[str, str]
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """`lenet/3`."""
        return f"{self.stem}/{self.folder.name if self.number is None else self.number}"

    @property
    def done(self) -> int:
        """The newest finished epoch."""
        last = self.rows[-1].get("epoch", math.nan) if self.rows else 0
        return int(last) if math.isfinite(last) else len(self.rows)

    @property
    def seconds(self) -> float | None:
        """The time that all epochs took, where the table has it."""
        times = [row["seconds"] for row in self.rows if math.isfinite(row.get("seconds", math.nan))]
        return sum(times) if times else None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns that measure something: those of validation first, losses behind the others."""
        found = [c for c in self.columns if c.split("_")[0] not in _BESIDE]
        return tuple(sorted(found, key=lambda c: (not c.startswith("validation"), lower_is_better(c))))

    @property
    def device(self) -> str | None:
        """The device it ran on."""
        found = self.environment.get("device")
        return found if isinstance(found, str) else None

    def best(self, column: str) -> float | None:
        """The best finite value of a column."""
        values = [row[column] for row in self.rows if math.isfinite(row.get(column, math.nan))]
        return None if not values else min(values) if lower_is_better(column) else max(values)

    def epoch_of_best(self, column: str) -> int | None:
        """The epoch of a column's best value; that of best.pt where several are equal, else the first of them."""
        best = self.best(column)
        found = [int(row.get("epoch", i)) for i, row in enumerate(self.rows, 1) if row.get(column) == best]
        return self.best_epoch if self.best_epoch in found else found[0] if found else None

    def last(self, column: str) -> float | None:
        """The value of a column in the newest epoch."""
        value = self.rows[-1].get(column, math.nan) if self.rows else math.nan
        return value if math.isfinite(value) else None


def lower_is_better(column: str) -> bool:
    """Whether a metric of this name is an error, as losses are."""
    return any(word in _LOWER for word in column.lower().split("_"))


def is_share(column: str) -> bool:
    """Whether a metric of this name is a share of all, which is written in percent."""
    return any(word in _SHARES or re.fullmatch(r"top\d*", word) for word in column.lower().split("_"))


def read(folder: Path, *, whole: bool = True) -> Run:
    """Read the folder of a run; where not `whole`, without the checkpoints, unless it has too little else."""
    from netc.record.checkpoint import facts  # here, as it needs modules that take a while to load

    problems: list[str] = []
    environment = _json(folder / ENVIRONMENT, problems)
    columns, rows = _table(folder / METRICS, problems)
    planned = _planned(folder, environment)
    last = facts(folder / "last.pt") if whole or not rows or planned is None else {}
    if not rows:
        columns, rows = _history(last)
    best = facts(folder / "best.pt").get("epoch") if whole else None
    if planned is None:
        planned = _epochs_of(last)
    settings = environment.get("settings")
    run = Run(
        folder,
        folder.resolve().parent.name,
        int(folder.name) if folder.name.isdecimal() else None,
        _began(folder, environment),
        UNKNOWN,
        planned,
        columns,
        rows,
        best if isinstance(best, int) else None,
        environment,
        {str(k): str(v) for k, v in settings.items()} if isinstance(settings, dict) else {},
        tuple(problems),
    )
    return run._replace(state=_state(run))


def is_run(folder: Path) -> bool:
    """Whether a folder has anything of a run."""
    return any((folder / name).is_file() for name in (METRICS, ENVIRONMENT, "last.pt", "best.pt", "train.py"))


def all_runs(root: Path, stem: str | None = None) -> list[Run]:
    """The runs below `runs/`, or those of one program, in their order, without what only their checkpoints say.

    Foreign folders are passed over.
    """
    try:
        programs = sorted(p for p in root.iterdir() if p.is_dir() and stem in (None, p.name))
    except OSError:
        return []
    found = []
    for program in programs:
        try:
            numbered = [p for p in program.iterdir() if p.name.isdecimal() and p.is_dir() and is_run(p)]
        except OSError:
            continue
        found += [read(p, whole=False) for p in sorted(numbered, key=lambda p: (int(p.name), p.name))]
    return found


# --- the parts --------------------------------------------------------------------------------------------------------


def text_of(path: Path) -> str | None:
    """The text of a file of moderate size, or None."""
    try:
        if path.stat().st_size > _LARGEST or not path.is_file():
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _json(path: Path, problems: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(text_of(path) or "")
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        problems.append(f"{path.name} is damaged")
        return {}
    return content


def _table(path: Path, problems: list[str]) -> tuple[tuple[str, ...], tuple[dict[str, float], ...]]:
    """The columns and rows of a table of numbers."""
    text = text_of(path)
    if text is None:
        if path.exists():
            problems.append(f"{path.name} can't be read")
        return (), ()
    try:
        lines = list(csv.reader(io.StringIO(text)))
    except csv.Error:
        lines = []
    columns = tuple(lines[0]) if lines and len(set(lines[0])) == len(lines[0]) else ()
    rows = [dict(zip(columns, map(_number, line), strict=True)) for line in lines[1:] if len(line) == len(columns)]
    whole = [row for row in rows if math.isfinite(row.get("epoch", 0))]
    if not {"epoch", "step"} & set(columns) or len(whole) < len(lines) - 1:
        problems.append(f"{path.name} is damaged")
    return columns, tuple(whole)


def _history(checkpoint: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[dict[str, float], ...]]:
    """The table as the checkpoint has it, where metrics.csv is gone."""
    rows = checkpoint.get("history")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return (), ()
    columns = tuple(str(c) for c in rows[0])
    return columns, tuple({c: _number(row.get(c)) for c in columns} for row in rows)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _planned(folder: Path, environment: Mapping[str, Any]) -> int | None:
    """How many epochs the run is for: by netc's record, or the script in its folder."""
    found = environment.get("epochs")
    if isinstance(found, int):
        return found
    said = re.search(r"^EPOCHS = (\d{1,9})\b", text_of(folder / "train.py") or "", re.M)
    return int(said[1]) if said else None


def _epochs_of(checkpoint: Mapping[str, Any]) -> int | None:
    """How many epochs the run is for, where its checkpoint says it."""
    settings = checkpoint.get("settings")
    found = settings.get("epochs") if isinstance(settings, dict) else None
    return found if isinstance(found, int) else None


def sessions(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The times that `netc train` worked on a run: one, and one more for each --resume."""
    found = environment.get("sessions")
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []


def _began(folder: Path, environment: Mapping[str, Any]) -> float | None:
    """When a run began, in seconds since 1970: as recorded, else by the oldest of its files."""
    for session in sessions(environment):
        try:
            return datetime.fromisoformat(str(session.get("began"))).timestamp()
        except (ValueError, OverflowError):
            continue
    times = []
    for name in ("train.py", METRICS, "best.pt", "last.pt"):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return min(times) if times else None


def _state(run: Run) -> str:
    known = sessions(run.environment)
    if known:
        outcome = known[-1].get("outcome")
        if outcome in (FINISHED, STOPPED, FAILED):
            return str(outcome)
        return RUNNING if _alive(known[-1]) else STOPPED
    if run.planned is None:
        return UNKNOWN
    return FINISHED if run.done >= run.planned else UNKNOWN if _fresh(run) else STOPPED


def _fresh(run: Run) -> bool:
    """Whether a script that keeps no record of itself may well be at work still."""
    longest = max((row.get("seconds", 0) for row in run.rows), default=0)
    try:
        age = time.time() - (run.folder / METRICS).stat().st_mtime
    except OSError:
        return False
    return age < 3 * longest + 60


def _alive(session: Mapping[str, Any]) -> bool:
    """Whether the process of a session is there: its number, and where the system tells, when it was started."""
    pid = session.get("pid")
    if not isinstance(pid, int) or pid <= 0 or session.get("host") != platform.node() or os.name != "posix":
        return False
    if session.get("ticks") is not None:
        return bool(session["ticks"] == ticks(pid))
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def ticks(pid: int) -> int | None:
    """When a process was started, in the system's own count, where /proc tells it: process numbers come again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
