"""Files of the user: finding the program, reading it, and writing what comes of it.

Every way in which that can fail is a `UserError` with the way out. Writing goes to a temporary file beside the target,
which then takes its place, so that what was there is never half overwritten.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
import sys
from pathlib import Path

from netc.diagnostics import nearest
from netc.limits import FILE_BYTES
from netc.resources import resource
from netc.runtime.errors import UserError
from netc.source import Source

WRITTEN = ("runs", "build")  # folders in which copies of programs lie as they were
_LONGEST_PATH = 200
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def find_program(given: str | None) -> Path:
    """The program to work on: the one given, or the only .net file of this folder."""
    if given is not None:
        return Path(given)
    found = sorted(Path().glob("*.net"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError("this folder has no .net file", help="name one, or go to the folder that holds it")
    names = ", ".join(str(p) for p in found)
    raise UserError(f"this folder has {len(found)} .net files: {names}", help=f"name one, as in `{found[0]}`")


def find_programs(folder: Path, below: bool = False) -> list[Path]:
    """The .net files of a folder; with those `below`, but for hidden folders and those that netc writes itself."""
    found = sorted(folder.rglob("*.net") if below else folder.glob("*.net"))
    own = len(folder.parts)
    found = [p for p in found if not any(n.startswith(".") or n in WRITTEN for n in p.parts[own:-1])]
    if not found:
        place = "this folder" if folder == Path() else f"the folder `{folder}`"
        raise UserError(f"{place} has no .net file", help="name one, or a folder that holds some")
    return found


def read_input() -> str:
    """The text of a program on the standard input."""
    if sys.stdin is None:
        raise UserError("there is no standard input", help="give one, as in `netc fmt - < lenet.net`")
    data = sys.stdin.buffer.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise UserError(f"the standard input has more than {FILE_BYTES:,} bytes, and a program has at most these")
    return _decoded(data, Path("<stdin>"))


def read_program(path: Path) -> str:
    """The text of a program."""
    if not str(path).isprintable():  # it is printed with every message
        raise UserError(f"the name of a file holds characters that can't be printed: {str(path)!a}",
                        help="rename it")  # fmt: skip
    try:
        data = _content(path)
    except FileNotFoundError:
        raise UserError(f"there is no file `{path}`", help=_similar(path)) from None
    except OSError as problem:
        raise UserError(f"`{_short(path)}` can't be read: {problem.strerror}") from None
    return _decoded(data, path)


def _content(path: Path) -> bytes:
    """The bytes of a file; it is never waited for one that another program has to write, nor read without an end."""
    if path.is_dir():
        raise UserError(f"`{path}` is a folder", help="name a .net file in it")
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        raise UserError(f"`{path}` is a device or a pipe", help="write the program to a file, or use `-`")
    with open(handle, "rb") as file:
        data = file.read(FILE_BYTES + 1)  # the size that a file says it has may be wrong
    if len(data) > FILE_BYTES:
        raise UserError(
            f"`{path}` has {max(info.st_size, len(data)):,} bytes, and a program has at most {FILE_BYTES:,} bytes",
            help="is it the right file?",
        )
    return data


def _short(path: Path) -> str:
    """A path for a message."""
    text = str(path)
    return text if len(text) <= _LONGEST_PATH else f"{text[:_LONGEST_PATH]}…"


def imported(path: str, source: Source) -> Source | str:
    """The file of an `import`: beside the one that imports it, else of the model library; or why there is none."""
    folder = Path(source.name).parent
    beside = folder / path
    if Path(path).is_absolute() or ".." in Path(path).parts or "\\" in path:
        return "it leads out of the folder of this file; put what it imports beside it, or into a folder below"
    try:
        if beside.is_file():
            found = beside
            if not beside.resolve().is_relative_to(folder.resolve()):
                return "it is a link that leads out of the folder of this file"
        elif Path(path).name == path and (resource("models") / path).is_file():
            found = resource("models") / path
        else:
            return f"there is no file {_short(beside)}, and the model library has none of that name"
        return Source(read_program(found), str(found))
    except UserError as problem:
        return str(problem)
    except (OSError, ValueError, RuntimeError) as problem:  # a name that is too long, a link that leads to itself
        return f"{_short(beside)} can't be read: {getattr(problem, 'strerror', None) or problem}"


class Refused(str):
    """Why a Python file may not be used, though it may be there."""


def imported_without_python(path: str, source: Source) -> Source | str:
    """The file of an `import`; no file of a `use`, which may do what it likes when it is run."""
    if path.endswith(".py"):
        return Refused("it is Python, which may do anything, and `--no-use` keeps it out")
    return imported(path, source)


def _similar(path: Path) -> str | None:
    folder = path.parent
    names = [p.name for p in folder.glob("*.net")] if folder.is_dir() else []
    near = nearest(path.name, names)
    if near:
        return f"did you mean `{folder / near}`?"
    return f"in that folder are {', '.join(sorted(names)[:8])}" if names else None


def _decoded(data: bytes, path: Path) -> str:
    encoding = _BOMS.get(data[:2]) or ("UTF-16" if data[:200].count(0) > len(data[:200]) // 4 else None)
    if encoding and _is_text(data):
        raise UserError(f"`{path}` is {encoding} text", help="save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        column = problem.start - (data.rfind(b"\n", 0, problem.start) + 1) + 1
        byte = data[problem.start]
        message = f"{path}:{line}:{column}: the byte 0x{byte:02x} is not UTF-8 text"
        raise UserError(message, help="is this a .net file? If it is, save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        column = text.index("\0") - (text.rfind("\n", 0, text.index("\0")) + 1) + 1
        raise UserError(f"{path}:{line}:{column}: a NUL character; this is a binary file", help="name a .net file")
    return text


def _is_text(data: bytes) -> bool:
    """Whether the bytes read as UTF-16 text, and not as a picture or a program."""
    try:
        big = data[:200:2].count(0) > data[1:200:2].count(0)
        text = data.decode("utf-16" if data[:2] in _BOMS else "utf-16-be" if big else "utf-16-le")
    except UnicodeDecodeError:
        return False
    return sum(c.isprintable() or c in "\r\n\t" for c in text) > 0.9 * len(text)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link that lies there
            file.write(data)
        os.replace(temporary, path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise UserError(f"`{path}` can't be written: {problem.strerror}", help=_way_out(problem)) from None


def rewrite(path: Path, text: str) -> None:
    """Write a file of the user's anew, whole or not at all: where a link leads, and with the mode that it has."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.open("r+b").close()  # that its folder can be written to is not enough
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:
            file.write(text.encode())
        with contextlib.suppress(OSError):  # a file system without modes
            temporary.chmod(target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        help_text = "make the file and its folder writable; nothing was changed"
        raise UserError(f"`{path}` can't be written: {problem.strerror}", help=help_text) from None


def byte_order_mark(path: Path) -> str:
    """The mark that a file begins with, which `read_program` leaves out."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return "\ufeff" if file.read(3) == codecs.BOM_UTF8 else ""
    return ""


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(
            f"`{path}` is a file, and a folder is needed there", help="remove it, or choose another folder"
        ) from None
    except OSError as problem:
        raise UserError(f"the folder `{path}` can't be made: {problem.strerror}", help=_way_out(problem)) from None


def _way_out(problem: OSError) -> str:
    import errno

    if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room on the disk, or use another folder"
    return "use a folder that you may write to; `netc build --out DIR` names one"
