"""The command `cache`: what programs keep of the pictures that they decoded.

In: a folder of caches, by default the one that generated scripts use. Out: a list on the terminal; with `clear`, the
files are gone. Guarantees: only files that scripts wrote there are touched; torch is not imported. Leaves what is kept,
and for how long, to the scripts.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import click

from netc.cli import cli, verbose_option
from netc.render import visible
from netc.runtime.errors import UserError


class Kept(NamedTuple):
    """A file of decoded pictures: its size in bytes, when a run used it last, and whether a run is still writing it."""

    path: Path
    size: int
    used: float
    finished: bool


@cli.command()
@click.argument("action", required=False, type=click.Choice(["clear"]), metavar="[clear]")
@click.option(
    "--folder", type=click.Path(path_type=Path), metavar="DIR",
    help="The folder that a program names as its `cache`.  [default: the one of programs that name none]",
)  # fmt: skip
@verbose_option
def cache(action: str | None, folder: Path | None) -> None:
    """List the decoded pictures that programs keep, or with `clear` remove them.

    A run that needs what was removed decodes its pictures again; one that is going on loses nothing.

    \b
    Examples:
      netc cache
      netc cache clear
    """
    place = (folder or usual_folder()) / "pictures"
    found = kept(place)
    if action == "clear":
        for path in (*(file.path for file in found), *place.with_name("known").glob("*.known*")):
            try:
                path.unlink(missing_ok=True)
            except OSError as problem:
                raise UserError(f"`{path}` can't be removed: {problem.strerror}") from None
        click.echo(f"removed {_summary(found)} from {visible(str(place))}")
        return
    click.echo(f"{visible(str(place))}: {_summary(found)}")
    for file in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.used))
        state = "last used" if file.finished else "unfinished,"
        click.echo(f"  {_size(file.size):>10}  {state} {used}  {visible(file.path.name)}")


def usual_folder() -> Path:
    """The folder of caches of programs that name none: as the generated scripts find it."""
    own = os.environ.get("NETC_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "netc"
    return Path(own or user).expanduser()


def kept(place: Path) -> list[Kept]:
    """The files in a folder, the one that was used last first."""
    found = []
    for path in place.glob("*.decoded*"):
        with contextlib.suppress(OSError):  # a run may have removed it
            status = path.stat()
            found.append(Kept(path, status.st_size, status.st_mtime, path.suffix == ".decoded"))
    return sorted(found, key=lambda file: (-file.used, file.path.name))


def _summary(found: list[Kept]) -> str:
    if not found:
        return "no files"
    return f"{len(found)} file{'s' * (len(found) > 1)}, {_size(sum(file.size for file in found))}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
