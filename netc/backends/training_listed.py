"""How `train.py` reads a table that lists pictures: a column of files, and one of classes or several of numbers.

In: the plan of `training`. Out: constants and functions of the script. Guarantees: a picture that is not there, a class
that is unknown and a label that is no number are said with the line of the table, before training. Leaves decoding and
keeping to `training_pictures`, cells to `training_table`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import ir
from netc.backends.layout import Text, call
from netc.backends.training_main import select
from netc.backends.training_samples import LARGEST, MISSING
from netc.backends.training_table import CELLS, NUMBERS, POSITIONS
from netc.catalog.data_fields import targets
from netc.catalog.metrics import task
from netc.literals import literal

if TYPE_CHECKING:
    from netc.backends.training import Plan
    from netc.backends.training_data import Part

_FIND = '''
classes|@cache
classes|def class_names() -> list[str]:
classes|    """The classes: the different cells of a column, sorted."""
classes|    names = sorted(set(cells_of(read_table(@TRAIN@), TARGET)) - {""})
classes|    with suppress(ValueError):
classes|        names = sorted(names, key=float)  # 2 before 10
classes|    if len(names) < 2:
classes|        fail(f"{@TRAIN@}: {TARGET} has one value only, {names}")
count|    if len(names) != CLASSES:
count|        found = f"{len(names)} classes ({', '.join(names[:9])})"
count|        fail(f"{@TRAIN@}: {TARGET} has {found}, the network {CLASSES}")
classes|    return names
classes|
classes|
def find_pictures(path: Path, folder: Path) -> tuple[list[Path], Tensor]:
classes|    """The picture files that a table lists, and their labels, int64 [N]."""
!classes|    """The picture files that a table lists, and their labels, float32 @LABELS@."""
    table = read_table(path)
    files = [folder / name for name in cells_of(table, IMAGE)]
    for line, file in zip(table.lines, files, strict=True):
        if not file.is_file():
            fail(f"{path}, line {line}: there is no picture {file}")
classes|    return files, positions(table, TARGET, class_names())
!classes|    columns = [numbers(table, name) for name in TARGETS]
yes_no|    for name, column in zip(TARGETS, columns, strict=True):
yes_no|        wrong = (column < 0) | (column > 1)
yes_no|        if wrong.any():
yes_no|            first = int(wrong.nonzero()[0])
yes_no|            where = f"{path}, line {table.lines[first]}"
yes_no|            fail(f"{where}: {name} is {column[first]:g}, and the loss compares 0 and 1")
!classes|    return files, torch.stack(columns, 1)@FLAT@.float()
'''


def _targets(plan: Plan) -> tuple[str, ...]:
    return targets({n: a.value for n, a in plan.data.train.args.items()}, "CSV")


def _folder_name(part: Part) -> str:
    return "FOLDER" if part.role == "train" else f"{part.role.upper()}_FOLDER"


def constants(plan: Plan) -> list[str]:
    """Where the pictures lie, and which columns there are."""
    lines = []
    for part in plan.parts:
        folder = part.call.get("folder")
        where = f"Path({literal(folder)})" if folder is not None else f"{plan.folders[part.role]}.parent"
        lines.append(f"{_folder_name(part)} = {where}  # where its pictures lie")
    lines.append(f"IMAGE = {literal(plan.data.train.get('image'))}  # the column of their names")
    if plan.numeric:
        names = [Text(literal(name)) for name in _targets(plan)]
        lines += ["# What to predict", *call("[", names, "]").lines(0, "TARGETS = ")]
        return [*lines, MISSING, LARGEST]
    lines.append(f"TARGET = {literal(_targets(plan)[0])}  # the column to predict")
    if plan.outputs is not None:
        lines.append(f"CLASSES = {plan.outputs}  # the network's outputs")
    return lines


def functions(plan: Plan) -> str:
    """The functions that read the table."""
    yes_no = isinstance(plan.train.loss, ir.Call) and task(plan.train.loss.name) == "binary"
    there = {"classes": not plan.numeric, "numbers": plan.numeric, "count": plan.outputs is not None,
             "yes_no": plan.numeric and yes_no, "positions": not plan.numeric}  # fmt: skip
    there["count"] = there["count"] and there["classes"]
    words = frozenset(word for word, holds in there.items() if holds)
    flat = bool(plan.results) and len(plan.results[0].type.shape) == 1
    delimiter = plan.data.train.get("delimiter")
    pieces = [CELLS, NUMBERS if plan.numeric else POSITIONS, _FIND]
    text = "\n\n\n".join(select(piece, words).strip("\n") for piece in pieces)
    marks = {
        "DELIMITER": "" if delimiter == "," else f", delimiter={literal(delimiter)}",
        "TRAIN": plan.folders["train"],
        "LABELS": "[N]" if flat else f"[N, {len(_targets(plan))}]", "FLAT": ".squeeze(1)" if flat else "",
    }  # fmt: skip
    for mark, word in marks.items():
        text = text.replace(f"@{mark}@", word)
    return text


def found_by(plan: Plan, part: Part) -> str:
    """The arguments that find the pictures of a part."""
    return f"{plan.folders[part.role]}, {_folder_name(part)}"
