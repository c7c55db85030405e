"""Python programs in processes of their own that find torch imported: forked from a server that has it.

In: what would stand behind `python` on a command line. Out: what `subprocess` gives of a process: its output, exit code
and pid. Guarantees: a process costs what it computes, and not the seconds that importing torch takes. Leaves to real
processes (`subprocess`) all tests of what is imported, of a bare machine, and of the terminal.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import multiprocessing
import multiprocessing.connection
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def server() -> Any:
    """What forks processes that have torch; one for all tests of a worker."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["tests.preloaded"])
    return found


class Started:
    """A program that runs, as `subprocess.Popen` with both outputs as text in pipes shows it.

    Args:
        command: a script, `-m` and a module, or `-c` and a text, with the arguments that follow.
        prepare: what the process calls before; a function that can be sent to it.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path | str = ".",
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        pipes = [multiprocessing.Pipe(duplex=False) for _ in range(2)]
        ends = [end for _, end in pipes]
        given = (list(command), str(Path(cwd).absolute()), dict(os.environ if env is None else env), *ends, prepare)
        self._process = server().Process(target=_run, args=given)
        self._process.start()
        for end in ends:
            end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(pipe.fileno()), encoding="utf-8") for pipe, _ in pipes)
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int:
        """The exit code of a process that has ended, negative where a signal ended it."""
        code: int = self._process.exitcode
        return code

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self, timeout: float = 120) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            os.kill(self.pid, signal.SIGUSR1)  # it writes where it stands
            self._process.join(2)
            self.kill()
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """What it writes until it ends, output and errors."""
        said = ["", ""]

        def read(index: int, stream: io.TextIOBase) -> None:
            said[index] = stream.read()
            stream.close()

        readers = [threading.Thread(target=read, args=pair) for pair in enumerate((self.stdout, self.stderr))]
        for reader in readers:
            reader.start()
        try:
            self.wait(timeout)
        finally:
            for reader in readers:
                reader.join(timeout if self.poll() is not None else 2)
            if self.poll() != 0:
                print(*said, sep="\n", file=sys.stderr)  # which pytest shows where the test fails
        return said[0], said[1]


def run(command: Sequence[str], *, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `options` are those of `Started`."""
    process = Started(command, **options)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def _run(
    command: list[str], cwd: str, env: dict[str, str], out: Any, err: Any, prepare: Callable[[], object] | None
) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for stream, pipe in ((sys.stdout, out), (sys.stderr, err)):
        stream.flush()
        os.dup2(pipe.fileno(), stream.fileno())
        pipe.close()
    faulthandler.register(signal.SIGUSR1, file=2)
    if prepare is not None:
        prepare()
    try:
        _execute(*command)
    finally:
        atexit._run_exitfuncs()  # a forked process would end without them


def _execute(first: str, *others: str) -> None:
    if first == "-m":
        sys.argv = list(others)
        sys.path.insert(0, os.getcwd())
        with contextlib.suppress(ValueError):
            sys.path.remove("")
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *others[1:]]
        sys.path.insert(0, "")
        exec(compile(others[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [first, *others]
        sys.path.insert(0, str(Path(first).absolute().parent))
        runpy.run_path(first, run_name="__main__")
