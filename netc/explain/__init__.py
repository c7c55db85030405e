"""What each code means: a page for each, in this folder, and the list of them.

A page is Markdown, named by its code: a heading `# E0401: what is wrong, in a few words`, then what it means, a wrong
program and the mended one.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def codes() -> tuple[str, ...]:
    """All codes that a diagnostic can have, in order."""
    return tuple(sorted(page.stem for page in FOLDER.glob("[EW]*.md")))
