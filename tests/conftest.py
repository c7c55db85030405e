"""Options that every test may ask for."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write the golden files anew instead of comparing.")
    parser.addoption("--update-corpus", action="store_true", help="Write what netc says of the corpus anew.")
