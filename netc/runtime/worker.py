"""One process of several that train together: runs the script, and keeps apart what it says.

In: the launcher's process, the folder for logs, the script, and its arguments, on the command line; torchrun's
variables. Out: what the first process says goes where netc's own output goes, that of each other to a log of its own;
what ended the script badly, to a file beside. Guarantees: nothing of netc is imported before the script failed, the
script finds no module that it would not find alone, and it does not outlive the launcher.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

_PAUSE = 1.0  # seconds between looks at whether the launcher is there


def main() -> int:
    """Run the script that the command line names; its exit code."""
    launcher, logs, script, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(launcher),), daemon=True).start()
    rank = os.environ["RANK"]
    log = Path(logs) / f"rank{rank}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    quiet = "--quiet" in arguments
    if rank != "0" or quiet:
        _to(log, 1, sys.stdout)
    if rank != "0":
        _to(log, 2, sys.stderr)
    sys.argv = [script, *(argument for argument in arguments if argument != "--quiet")]
    sys.path.insert(0, str(Path(script).parent.resolve()))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            _failed(log, end.code)
            return 1
        return end.code or 0
    except KeyboardInterrupt:
        return 130
    except Exception as problem:
        with log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        with contextlib.suppress(Exception):  # it only says more
            log.with_suffix(".raised").write_text(_told(problem), encoding="utf-8")
        _failed(log, f"{type(problem).__name__}: {problem}")
        return 1
    return 0


def _leave(codes: list[int]) -> None:
    """End the process at once: as Python ends, threads of gloo that free a tensor abort it, or wait for each other."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(codes[0] if codes else 1)


def _told(problem: Exception) -> str:
    """An exception as data for the launcher."""
    sys.path.insert(0, str(Path(__file__).parents[2]))  # the script is over, and what it finds no matter
    from netc.runtime.raised import of

    return of(problem).to_json()


def _end_with(launcher: int) -> None:
    """End this process when its launcher is gone, which can't end it any more: killed, as by a lack of memory."""
    while os.getppid() == launcher:
        time.sleep(_PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)


def _to(log: Path, number: int, stream: object) -> None:
    """Let what is written to a stream, by C++ too, go to the log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), number)


def _failed(log: Path, message: str) -> None:
    log.with_suffix(".error").write_text(message, encoding="utf-8")


if __name__ == "__main__":
    found: list[int] = []
    atexit.register(_leave, found)  # the first, and therefore the last to be called
    found.append(main())
