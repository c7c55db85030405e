"""Options that every test may ask for."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest

# What the tests decode is kept apart from what the user's programs did
os.environ["NETC_CACHE"] = tempfile.mkdtemp(prefix="netc-cache-")

# Long ones, each half about as long as the other. Each of two test processes begins with one of them, so that neither
# comes to its last long test when the other has nothing left; tests of several processes each are all in the first.
LONG = (
    ("parallel/", "fuzz/", "hostile/", "costs/"),
    ("examples/", "training/test_killed", "training/test_run", "cli/", "data/test_workers", "catalog/test_rules"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write the golden files anew instead of comparing.")
    parser.addoption("--update-corpus", action="store_true", help="Write what netc says of the corpus anew.")


@pytest.fixture(scope="session", autouse=True)
def _heed_interrupts() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and processes started here would inherit it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["NETC_CACHE"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first half of the tests goes to the first test process, the second one to the second."""
    first, second = ([item for item in items if item.nodeid.startswith(tuple(f"tests/{n}" for n in h))] for h in LONG)
    others = [item for item in items if item not in {*first, *second}]
    at = max(0, len(items) // 2 - len(first))
    items[:] = first + others[:at] + second + others[at:]
