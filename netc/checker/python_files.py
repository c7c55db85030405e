"""`use "layers.py"`: what a Python file brings into a program.

In: the statement, and the function that gives the text of a file. Out: entries for the file's classes and functions,
by name, in the unit. Guarantees: the file is read and not run; one that can't lie beside model.py under its own name,
or that doesn't parse, is reported here. Leaves to others: what a layer of the file gives (`python_layers`).
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from netc.files import Refused
from netc.foreign import entries
from netc.foreign.source import PythonFile, name_problem, read

if TYPE_CHECKING:
    from netc import syntax as s
    from netc.checker.units import Loader, Unit
    from netc.diagnostics import Report


def use(report: Report, loader: Loader | None, known: dict[str, PythonFile], unit: Unit, node: s.Use) -> None:
    """Bring the classes and functions of a file into a unit. `known` are the files that were read already, by path."""
    file = _file(report, loader, known, unit, node)
    if file is None or file in unit.files:
        return
    unit.files.append(file)
    for name in file.names:
        first = next((f for f in unit.files[:-1] if name in f.names), None)
        if first is not None:
            report.add(
                "E0208", f"`{name}` is defined in both {first.path} and {file.path}", node.path.span,
                help="rename one of them",
            )  # fmt: skip
        elif name.isascii() and name in (file.classes if name[0].isupper() else file.functions):
            unit.python[name] = entries.of_name(file, name)


def _file(
    report: Report, loader: Loader | None, known: dict[str, PythonFile], unit: Unit, node: s.Use
) -> PythonFile | None:
    path, place = node.path.value, node.path.span
    problem = name_problem(path)
    if path.endswith(".net"):
        report.add("E0703", f'"{path}" can\'t be used: it is no Python file (.py)', place,
                   help=f'a .net file is brought in with `import "{path}"`')  # fmt: skip
        return None
    if problem is not None:
        report.add("E0703", f'"{path}" can\'t be used: {problem}', place,
                   help="the file is copied beside model.py and imported there; give it a name of its own")  # fmt: skip
        return None
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts or "\\" in path:
        report.add("E0701", f'"{path}" can\'t be used: it leads out of the folder of this program', place,
                   help="put the file beside the program, or into a folder below it")  # fmt: skip
        return None
    if loader is None:
        report.add("E0701", f'"{path}" can\'t be used: this text has no place on the disk', node.span)
        return None
    found = loader(path, unit.source)
    if isinstance(found, Refused):
        report.add("E0713", f'`use "{path}"` is not allowed: {found}', node.span,
                   help="read the file; leave out `--no-use` where you trust it")  # fmt: skip
        return None
    if isinstance(found, str):
        report.add("E0701", f'"{path}" can\'t be used: {found}', place)
        return None
    if found.name not in known:
        file = read(found.name, found.text)
        if not isinstance(file, PythonFile):
            line, reason = file
            where = [f"in {found.name}, line {line}"] if line else []
            report.add("E0702", f'"{path}" is no valid Python: {reason}', place, notes=where)
            return None
        clash = next((f for f in known.values() if f.module == file.module), None)
        if clash is not None:
            message = f'"{path}" can\'t be used beside {clash.path}: both are `{file.module}` to Python'
            report.add("E0703", message, place, help="rename one of them")
            return None
        known[found.name] = file
    return known[found.name]
