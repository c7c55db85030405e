"""Options that every test may ask for."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest

# What the tests decode is kept apart from what the user's programs did
os.environ["NETC_CACHE"] = tempfile.mkdtemp(prefix="netc-cache-")


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
