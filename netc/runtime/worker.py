"""One process of several that train together: runs the script, and keeps apart what it says.

In: the folder for logs, the script, and its arguments, on the command line; torchrun's variables. Out: what the first
process says goes where netc's own output goes, that of each other to a log of its own; what ended the script badly, to
a file beside. Guarantees: nothing of netc is imported, and the script finds no module that it would not find alone.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Run the script that the command line names."""
    logs, script, *arguments = sys.argv[1:]
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
            sys.exit(1)
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as problem:
        with log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        _failed(log, f"{type(problem).__name__}: {problem}")
        sys.exit(1)


def _to(log: Path, number: int, stream: object) -> None:
    """Let what is written to a stream, by C++ too, go to the log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), number)


def _failed(log: Path, message: str) -> None:
    log.with_suffix(".error").write_text(message, encoding="utf-8")


if __name__ == "__main__":
    main()
