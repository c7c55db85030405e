"""Files that travel with netc: the grammar and the model library.

In: the name of a resource, as it stands in the repository ("grammar/net.lark"). Out: its path on disk.
Guarantees: the same file in a wheel (inside the package), an unpacked sdist and an editable install (beside the
package). Leaves reading it to the caller. `importlib.resources` would miss the folders beside the package.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """The path of a file or folder that ships with netc.

    Args:
        name: its place in the repository, with "/" between the parts: "grammar/net.lark", "models".

    Raises:
        FileNotFoundError: neither the package nor the folder beside it has it; the installation is damaged.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is missing from the installation of netc in {_PACKAGE}")
