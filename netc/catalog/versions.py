"""Which torch and torchvision are served, told without importing them.

In: version texts, or what is installed. Out: a sentence for the user, or None where all is well.
Guarantees: nothing is imported but the metadata of packages, and that only when asked for.
Leaves to others: where a sentence is printed, and whether it stops the command (`usable` says whether it should).
"""

from __future__ import annotations

import os
import sys

CATALOG_TORCH = "2.15"
CATALOG_TORCHVISION = "0.29"
OLDEST_TORCH = "2.9"


def installed(package: str) -> str | None:
    """The version of an installed package, such as "2.15.0+cpu", or None.

    Read from the names of metadata folders: `importlib.metadata` takes longer than the rest of a build.
    """
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith(f"{package}-") and name.endswith(".dist-info"):
                return name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return None


def usable(torch_version: str | None) -> bool:
    """Whether generated code is expected to run on this torch."""
    return torch_version is not None and _numbers(torch_version) >= _numbers(OLDEST_TORCH)


def served(torch_version: str | None, torchvision_version: str | None) -> str | None:
    """What to tell the user about these versions; None when they are those that the catalog was read from.

    An older torch than `OLDEST_TORCH` is a mistake to report, see `usable`; any other difference is a note.
    """
    if torch_version is None:
        return f"torch is not installed; install it with `pip install torch>={OLDEST_TORCH}`"
    if not usable(torch_version):
        return (
            f"torch {torch_version} is older than {OLDEST_TORCH}, the oldest that netc serves; "
            f"update it with `pip install --upgrade torch torchvision`"
        )
    if (mismatch := pair(torch_version, torchvision_version)) is not None:
        return mismatch
    if _numbers(torch_version) != _numbers(CATALOG_TORCH):
        return (
            f"torch {torch_version} is installed, and netc's catalog was read from torch {CATALOG_TORCH}; "
            f"a layer or an argument that differs between the two may be checked wrongly"
        )
    return None


def pair(torch_version: str, torchvision_version: str | None) -> str | None:
    """What is wrong with this torchvision beside this torch: its release, or the kind of build.

    torchvision's compiled operators load only beside the build of torch that they were compiled for; otherwise
    `import torchvision` fails with "operator torchvision::nms does not exist".
    """
    if torchvision_version is None:
        return None
    if not _fits(_numbers(torch_version), _numbers(torchvision_version)):
        return (
            f"torchvision {torchvision_version} was not made for torch {torch_version}; "
            f"install the two together with `pip install --upgrade torch torchvision`"
        )
    builds = _build(torch_version), _build(torchvision_version)
    if "cpu" in builds and builds[0] != builds[1]:
        return operators_missing(torch_version, torchvision_version)
    return None


def operators_missing(torch_version: str, torchvision_version: str) -> str:
    """What to do when `import torchvision` fails with "operator torchvision::nms does not exist"."""
    return (
        f"torch {torch_version} and torchvision {torchvision_version} are different builds, so that torchvision's "
        f"operators can't be loaded; install the two from one place with "
        "`pip install --force-reinstall torch torchvision`"
    )


def explain_import_error(error: BaseException) -> str | None:
    """The sentence for an error raised by `import torch` or `import torchvision`, or None where it isn't known."""
    text = str(error)
    if "torchvision::" in text and "does not exist" in text:
        return operators_missing(installed("torch") or "(unknown)", installed("torchvision") or "(unknown)")
    if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "torchvision", "tensorboard"):
        return f"{error.name} is not installed; install it with `pip install {error.name}`"
    return None


def _numbers(version: str) -> tuple[int, int]:
    """The major and the minor number; a text without them counts as 0.0."""
    parts = [*version.split("+")[0].split("."), "", ""][:2]
    major, minor = (int(digits) if (digits := _leading_digits(p)) else 0 for p in parts)
    return major, minor


def _leading_digits(text: str) -> str:
    rest = text.lstrip("0123456789")
    return text[: len(text) - len(rest)]


def _build(version: str) -> str:
    """The kind of build that a version names: "cpu", "cu132", or "" for the package index's own."""
    return version.partition("+")[2]


def _fits(torch: tuple[int, int], torchvision: tuple[int, int]) -> bool:
    """torchvision 0.N was made for torch 2.(N - 15) alone until 0.29, which takes torch 2.14 and later ones."""
    if torch < (2, 14):
        return torchvision == (0, torch[1] + 15)
    return torchvision >= (0, 29)
