"""One random input through the whole compiler, and what came of it. Nothing here imports torch.

An input that is wrong has to be refused with diagnostics that can be rendered; one that checks clean has to be emitted;
one that parses has a form that formatting leaves as it is.
The limits are the project's: 2 seconds and 1 GB for each.
"""

from __future__ import annotations

import ast
import resource
import signal
import time
import traceback
from typing import TYPE_CHECKING, NamedTuple

from netc.compiler import Checked, analyse, emit
from netc.diagnostics import Report
from netc.formatter import format_text
from netc.render import as_data, render
from netc.source import Source
from tests.fuzz.inputs import make

if TYPE_CHECKING:
    from types import FrameType

SECONDS, BYTES = 2.0, 1_000_000_000
HANGS = 20  # seconds after which an input is given up


class Outcome(NamedTuple):
    """What came of the input of a seed. `problem` is a traceback, or which limit it broke."""

    seed: int
    kind: str
    parses: bool
    clean: bool
    seconds: float
    problem: str = ""


def checked(seed: int) -> Outcome:
    """Run the input of a seed through the compiler."""
    given = make(seed)
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS)
    start = time.process_time()
    try:
        result = analyse(given.text, "fuzz.net", "fuzz")
        problem = _examined(given.text, result)
    except BaseException as error:  # whatever it is, it is what the search is for
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(seed, given.kind, False, False, time.process_time() - start, _traceback())
    finally:
        signal.alarm(0)
    seconds = time.process_time() - start
    if seconds > SECONDS:
        problem = problem or f"took {seconds:.1f} s"
    parses = not any(d.code.startswith("E01") for d in result.diagnostics)
    return Outcome(seed, given.kind, parses, result.program is not None, seconds, problem)


def limit_memory() -> None:
    """Give this process no more memory than an input may take."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def _examined(text: str, result: Checked) -> str:
    """What is wrong with the outcome, or nothing."""
    for diagnostic in result.diagnostics:
        if not 0 <= diagnostic.primary.span.start <= diagnostic.primary.span.end <= len(text) + 1:
            return f"{diagnostic.code} stands outside of the text"
        render(diagnostic, result.source, colour=True)
        as_data(diagnostic, result.source)
    if not any(d.code.startswith("E01") for d in result.diagnostics):
        once = format_text(Source(text), Report())
        if once is None or format_text(Source(once), Report()) != once:
            return "formatted twice it differs"
    if result.program is None:
        return "" if any(d.is_error for d in result.diagnostics) else "refused without an error"
    files = emit(result.program)
    ast.parse(files.model)
    ast.parse(files.train or "")
    return ""


def _hangs(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"not finished after {HANGS} s")


def _traceback() -> str:
    lines = traceback.format_exc().rstrip().split("\n")
    return "\n".join(lines[-7:])
