"""Runs as text for a terminal: a list, one in full, several side by side.

In: runs as read, how many columns the terminal has. Out: text that keeps to them, names that are longer aside.
Guarantees: what can't be said (no time, no device) is left out or a `-`. Leaves colours and printing to the command.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from netc.record.reading import FINISHED, RUNNING, STOPPED, UNKNOWN, is_share, lower_is_better, sessions, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.record.reading import Run

_NAMES = {"f1": "F1", "mae": "MAE", "mse": "MSE", "rmse": "RMSE", "auroc": "AUROC", "r2": "R²"}
_OLD = 180 * 86400  # seconds after which the year says more than the hour


def value(number: float | None, column: str) -> str:
    """A metric as it is written: shares in percent, all else with four digits."""
    if number is None or not math.isfinite(number):
        return "-"
    if is_share(column):
        return f"{number:.2%}"
    return f"{number:.4f}" if 0.01 <= abs(number) < 1000 or number == 0 else f"{number:.4g}"


def duration(seconds: float | None) -> str:
    """`7 ms`, `0.8 s`, `1:02 min`, `3:20 h`."""
    if seconds is None:
        return "-"
    if 0 < seconds < 0.05:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60) if seconds >= 3600 else int(round(seconds) // 60)
    return (
        f"{minutes // 60}:{minutes % 60:02} h" if seconds >= 3600 else f"{minutes}:{round(seconds) % 60:02} min"
    )  # fmt: skip


def moment(when: float | None, *, now: float | None = None, whole: bool = False) -> str:
    """A time of this machine's clock; for a list without the year, or without the hour where it is long ago."""
    if when is None:
        return "-"
    local = time.localtime(when)
    if whole:
        return time.strftime("%Y-%m-%d %H:%M:%S", local)
    recent = abs((time.time() if now is None else now) - when) < _OLD
    return time.strftime("%b %d %H:%M" if recent else "%Y-%m-%d", local)


def state(run: Run) -> str:
    """Where a run stands, in words."""
    of = f" of {run.planned}" if run.planned is not None else ""
    if run.state == FINISHED:
        early = run.planned is not None and run.done < run.planned
        return f"finished after {run.done}{of}" if early else "finished"
    if run.state == UNKNOWN:
        return f"{run.done}{of} epochs"
    if run.planned is not None and run.done >= run.planned:
        return f"{run.state} after epoch {run.done}" if run.state != RUNNING else "running, at its end"
    word = {RUNNING: "running,", STOPPED: "stopped in"}.get(run.state, f"{run.state} in")
    return f"{word} epoch {run.done + 1}{of}"


def head(column: str) -> str:
    """`validation accuracy`, `validation F1`."""
    return " ".join(_NAMES.get(word, word) for word in column.split("_"))


def short(column: str) -> str:
    """A metric's name for the head of a narrow column: that of validation without the word."""
    return head(column.removeprefix("validation_"))


# --- a list -----------------------------------------------------------------------------------------------------------


def listed(runs: Sequence[Run], width: int = 80) -> str:
    """A table for each program."""
    parts = []
    for stem in dict.fromkeys(run.stem for run in runs):
        own = [run for run in runs if run.stem == stem]
        parts.append("\n".join([stem, *(f"  {line}" for line in _list(own, width - 2))]))
    return "\n\n".join(parts)


def _list(runs: Sequence[Run], width: int) -> list[str]:
    metrics = list(dict.fromkeys(column for run in runs for column in run.metrics))
    fixed = [
        ["run", *(run.folder.name if run.number is None else str(run.number) for run in runs)],
        ["began", *(moment(run.began) for run in runs)],
        ["", *map(state, runs)],
        ["epochs", *(str(run.done) for run in runs)],
    ]
    behind = [["device", *(run.device or "-" for run in runs)], ["time", *(duration(run.seconds) for run in runs)]]
    behind = [column for column in behind if any(cell != "-" for cell in column[1:])]
    chosen: list[list[str]] = []
    for column in metrics:
        made = [short(column), *(value(run.best(column), column) for run in runs)]
        if made[0] in [c[0] for c in chosen] or _width([*fixed, *chosen, made, *behind]) > width:
            continue
        chosen.append(made)
    return columns([*fixed, *chosen, *behind], left=(1, 2, 4 + len(chosen)))


def _width(table: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in table) + 2 * (len(table) - 1)


def columns(table: Sequence[Sequence[str]], left: Sequence[int] = ()) -> list[str]:
    """Columns of cells as lines, those of `left` flush left, the others flush right."""
    widths = [max(map(len, column)) for column in table]
    lines = []
    for row in zip(*table, strict=True):
        cells = [
            c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return lines


# --- one --------------------------------------------------------------------------------------------------------------


def detailed(run: Run, files: Sequence[tuple[str, int]], width: int = 80) -> str:
    """A run in full: where it stands, its metrics and epochs, how it was made, and its files with their bytes."""
    lines = [f"{run.name}: {state(run)}", ""]
    facts = [("folder", str(run.folder)), ("began", moment(run.began, whole=True)), *_facts(run)]
    facts.append(("time", duration(run.seconds) + (f" for {run.done} epochs" if run.seconds is not None else "")))
    lines += [f"{name:12} {text}" for name, text in facts if text != "-"]
    lines += [f"problem      {problem}" for problem in run.problems]
    lines += _metrics(run)
    lines += _epochs(run, width)
    if files:
        lines += ["", *columns([[n for n, _ in files], [f"{size:,}" for _, size in files], ["bytes"] * len(files)],
                               left=(0, 2))]  # fmt: skip
    return "\n".join(lines)


def _facts(run: Run) -> list[tuple[str, str]]:
    environment: Any = run.environment
    known = sessions(environment)
    out = [("command", str(s["command"])) for s in known[-3:] if s.get("command")]
    device = environment.get("device_name") or run.device
    if device:
        out.append(("device", f"{run.device}, {device}" if device != run.device else str(device)))
    out += [(word, str(environment[word])) for word in ("threads", "seed", "netc", "python", "torch", "torchvision",
                                                        "platform") if environment.get(word) is not None]  # fmt: skip
    return out + [("--set", f"{key}={text}") for key, text in run.settings.items()]


def _metrics(run: Run) -> list[str]:
    if not run.metrics:
        return []
    table = [["", *map(head, run.metrics)], ["best", *(value(run.best(c), c) for c in run.metrics)]]
    table.append(["in epoch", *(_where(run, c) for c in run.metrics)])
    table.append(["last", *(value(run.last(c), c) for c in run.metrics)])
    return ["", *columns(table, left=(0,)), *([f"best.pt is of epoch {run.best_epoch}"] if run.best_epoch else [])]


def _where(run: Run, column: str) -> str:
    epoch = run.epoch_of_best(column)
    return "-" if epoch is None else str(epoch)


def _epochs(run: Run, width: int, most: int = 20) -> list[str]:
    """The table of the epochs; of a long run evenly chosen ones, the first and the last among them."""
    if not run.rows:
        return []
    count = len(run.rows)
    chosen = range(count) if count <= most else sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})
    table: list[list[str]] = []
    for column in run.columns:
        cells = [_cell(run.rows[i].get(column, math.nan), column) for i in chosen]
        made = [head(column), *cells]
        if _width([*table, made]) <= width:
            table.append(made)
    note = [f"{len(chosen)} of {count} epochs:"] if len(chosen) < count else []
    return ["", *note, *columns(table)]


def _cell(number: float, column: str) -> str:
    if column in ("epoch", "step", "steps") and math.isfinite(number):
        return str(int(number))
    if column == "seconds":
        return f"{number:.1f}" if math.isfinite(number) else "-"
    return f"{number:.3g}" if column.startswith("lr") and math.isfinite(number) else value(number, column)


# --- several ----------------------------------------------------------------------------------------------------------


def compared(runs: Sequence[Run], width: int = 80) -> str:
    """Runs side by side: how they went, what of their programs differs, their metrics."""
    one = len({run.stem for run in runs}) == 1
    names = [str(run.number) if one and run.number is not None else run.name for run in runs]
    lines = ["what became of them", *_rows([("run", names), ("state", [state(run) for run in runs]), *_course(runs)],
                                           width)]  # fmt: skip
    lines += ["", *_programs(runs, names, width)]
    metrics = list(dict.fromkeys(column for run in runs for column in run.metrics))
    if metrics:
        rows = [("run", names)]
        for column in metrics:
            rows.append((f"{head(column)}, best", _marked([run.best(column) for run in runs], column)))
            rows.append((f"{head(column)}, last", [value(run.last(column), column) for run in runs]))
        lines += ["", "metrics (* the best of them)", *_rows(rows, width)]
    return "\n".join(lines)


def _course(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    rows = [("began", [moment(run.began) for run in runs]), ("epochs", [str(run.done) for run in runs])]
    each = [run.seconds / len(run.rows) if run.seconds is not None and run.rows else None for run in runs]
    rows += [("time", [duration(run.seconds) for run in runs]), ("an epoch", [duration(s) for s in each])]
    for word in ("device", "threads", "torch", "netc"):
        found = [str(run.environment.get(word) or "-") for run in runs]
        if any(text != "-" for text in found):
            rows.append((word, found))
    return rows


def _marked(values: Sequence[float | None], column: str) -> list[str]:
    there = [v for v in values if v is not None]
    best = (min if lower_is_better(column) else max)(there) if there else None
    several = len(there) > 1 and len(set(there)) > 1
    return [value(v, column) + ("*" if several and v == best else "") for v in values]


def _programs(runs: Sequence[Run], names: Sequence[str], width: int) -> list[str]:
    from netc.record import changes

    texts = [program_text(run) for run in runs]
    flats = [None if text is None else changes.flatten(text, run.settings)
             for text, run in zip(texts, runs, strict=True)]  # fmt: skip
    missing = [name for name, flat in zip(names, flats, strict=True) if flat is None]
    if missing:
        return [f"the program of run {', '.join(missing)} is not in its folder, so programs aren't compared"]
    there = [flat for flat in flats if flat is not None]
    differing = changes.differing(there)
    rows = [(key, [cell if cell is not None else "-" for cell in cells]) for key, cells in differing.items()]
    out = ["settings that differ", *_rows([("run", list(names)), *rows], width)] if rows else []
    for name, flat in zip(names[1:], there[1:], strict=True):
        for module, delta in changes.lines_changed(there[0], flat).items():
            out += ["", f"{module}, from run {names[0]} (-) to run {name} (+)", *(f"  {line}" for line in delta)]
    return out or ["their programs are the same"]


def program_text(run: Run) -> str | None:
    """The text of the program that a run was made from, where its folder has it."""
    named = run.environment.get("program")
    name = named.get("file") if isinstance(named, dict) else None
    if isinstance(name, str) and "/" not in name and "\\" not in name:
        return text_of(run.folder / name)
    found = sorted(run.folder.glob("*.net"))
    return text_of(found[0]) if len(found) == 1 else None


def _rows(rows: Sequence[tuple[str, Sequence[str]]], width: int) -> list[str]:
    """Rows of a table whose first column is what they are; where it is too wide, each run has a line of its own."""
    first = ["  " + name for name, _ in rows]
    table = [first, *([cells[i] for _, cells in rows] for i in range(len(rows[0][1])))]
    if _width(table) <= width:
        return columns(table, left=(0,))
    names = rows[0][1]
    out = []
    for name, cells in rows[1:]:
        label = max(map(len, names))
        out += [f"  {name}", *(f"    {n:>{label}}  {cell}" for n, cell in zip(names, cells, strict=True))]
    return out
