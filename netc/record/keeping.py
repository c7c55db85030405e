"""Keeps the record of a run while it is made: environment.json, and what is to be refreshed now and then.

In: the folder of a run, what is known of it before it begins, what to do when its table has grown. Out: the files.
Guarantees: the script is not disturbed: nothing here raises into it, waits for it, or draws random numbers; how the
run ended is recorded, whichever way it ended, short of the process being killed. Leaves pages to `netc.report`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from netc.files import write_text
from netc.record import environment, reading
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_INTERVAL = 3.0  # seconds between looks at the table
_SHARE = 50  # times as long as a refresh takes is waited for the next one, so that it costs the run nothing


class Keeper:
    """Keeps the record of one run, from `with` on.

    Args:
        folder: of the run.
        facts: what goes into environment.json as it is, unless the run has it from its beginning.
        command: the command line.
        device: the device that is asked for.
        digests: finds the digests of the data; it may take its time.
        refresh: is called from a thread of its own when metrics.csv has changed.
    """

    def __init__(
        self,
        folder: Path,
        facts: dict[str, Any],
        command: str,
        device: str,
        digests: Callable[[], list[dict[str, Any]]],
        refresh: Callable[[], object],
    ) -> None:
        self.folder = folder
        self.device = device
        self._digests = digests
        self._refresh = refresh
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="record of the run", daemon=True)
        before = reading.read(folder).environment
        now = {"command": command, "began": _now(), "pid": os.getpid(), "ticks": reading.ticks(os.getpid()),
               "host": platform.node()}  # fmt: skip
        self.session: dict[str, Any] = now
        self.content: dict[str, Any] = {**facts, **before, "sessions": [*reading.sessions(before), now]}

    def __enter__(self) -> Keeper:
        found = environment.device(self.device)
        self.session |= found
        self.content |= {**environment.versions(), **environment.machine(), **found}
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        code = problem.code if isinstance(problem, SystemExit) else None
        stopped = isinstance(problem, KeyboardInterrupt) or code in (130, 143)  # by Ctrl-C, SIGTERM
        good = problem is None or (isinstance(problem, SystemExit) and code in (None, 0))
        outcome = reading.FINISHED if good else reading.STOPPED if stopped else reading.FAILED
        self.session |= {"ended": _now(), "outcome": outcome}
        if outcome == reading.FAILED and problem is not None:
            self.session["problem"] = str(code if code is not None else problem)[:500]
        peak = environment.peak_memory(self.session.get("device", "cpu"))
        self.session |= {} if peak is None else {"peak_memory": peak}
        self._name_device()
        self._write()

    def _watch(self) -> None:
        with contextlib.suppress(Exception):
            found = self._digests()
            self.content["data"] = found
            self._write()
        seen = self._stamp()
        pause = _INTERVAL
        while not self._end.wait(pause):
            now = self._stamp()
            if now == seen:
                continue
            seen, began = now, time.perf_counter()
            with contextlib.suppress(Exception):  # the page is made once more at the end, where this would show
                self._name_device()
                self._refresh()
            pause = max(_INTERVAL, _SHARE * (time.perf_counter() - began))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = (self.folder / reading.METRICS).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def _name_device(self) -> None:
        if "device_name" in self.session:
            return
        found = environment.device_name(self.session.get("device", "cpu"))
        if found:
            self.session |= found
            self.content |= found
            self._write()

    def _write(self) -> None:
        with self._lock, contextlib.suppress(UserError):  # a full disk is the script's to report
            if self.folder.is_dir():
                write_text(self.folder / reading.ENVIRONMENT, json.dumps(self.content, indent=2) + "\n")


def _now() -> str:
    """The time of this machine's clock, with its distance from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
