"""The table of docs/models.md: how long each family is in the language, in the Python that netc writes, in torchvision.

In: models/*.net and the installed torchvision. Out: the rows of the table, or with `--write` the page with them in it.

    python docs/library.py --write

A .net file and model.py are counted as they are printed, with comments and blank lines, and with what they import.
torchvision's files are counted without docstrings, comments, blank lines and what names weights, and so are the files
that a family takes more than a layer from.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from netc.compiler import analyse, emit
from netc.files import imported

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/models.md"
BEGIN, END = "<!-- lines: begin -->", "<!-- lines: end -->"
SEGMENTATION = ("segmentation/_utils.py", "_utils.py")
# Of each family the files of torchvision that hold what its model.py holds.
FAMILIES = {
    "alexnet": ("alexnet.py",),
    "vgg": ("vgg.py",),
    "googlenet": ("googlenet.py",),
    "inception": ("inception.py",),
    "resnet": ("resnet.py",),
    "squeezenet": ("squeezenet.py",),
    "densenet": ("densenet.py",),
    "shufflenet_v2": ("shufflenetv2.py",),
    "mobilenet_v2": ("mobilenetv2.py",),
    "mobilenet_v3": ("mobilenetv3.py",),
    "mnasnet": ("mnasnet.py",),
    "efficientnet": ("efficientnet.py",),
    "regnet": ("regnet.py",),
    "convnext": ("convnext.py",),
    "vit": ("vision_transformer.py",),
    "swin": ("swin_transformer.py",),
    "maxvit": ("maxvit.py",),
    "fcn": ("segmentation/fcn.py", *SEGMENTATION, "resnet.py"),
    "deeplab": ("segmentation/deeplabv3.py", *SEGMENTATION, "segmentation/fcn.py", "resnet.py", "mobilenetv3.py"),
    "lraspp": ("segmentation/lraspp.py", "_utils.py", "mobilenetv3.py"),
    "video_resnet": ("video/resnet.py",),
    "s3d": ("video/s3d.py",),
    "swin3d": ("video/swin_transformer.py", "swin_transformer.py"),
}


def table() -> str:
    """The rows of the table."""
    rows = [
        "| family | networks | .net | model.py | torchvision | .net / torchvision | model.py / torchvision |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, files in FAMILIES.items():
        theirs = sum(python_lines(file) for file in files)
        networks, ours = model_lines(name)
        source = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in sources(ROOT / f"models/{name}.net"))
        shares = f"{source / theirs:.2f} | {ours / theirs:.2f}"
        rows.append(f"| [`{name}`](../models/{name}.net) | {networks} | {source} | {ours} | {theirs} | {shares} |")
    return "\n".join(rows)


@cache
def model_lines(name: str) -> tuple[int, int]:
    """How many networks a file of the library has, and how many lines its model.py."""
    path = ROOT / f"models/{name}.net"
    checked = analyse(path.read_text(encoding="utf-8"), str(path), name, None, imported)
    assert checked.program is not None, checked.diagnostics
    return len(checked.program.networks), len(emit(checked.program).model.splitlines())


def sources(path: Path) -> list[Path]:
    """A .net file and those that it imports."""
    found = [path]
    for file in found:
        for name in re.findall(r'^import "(.*)"', file.read_text(encoding="utf-8"), re.M):
            found += [file.parent / name] if file.parent / name not in found else []
    return found


def python_lines(file: str) -> int:
    """The lines of a file of torchvision.models with code on them, without docstrings and what names weights."""
    spec = find_spec("torchvision")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "models" / file).read_text(encoding="utf-8")
    nothing = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in nothing]
    with_code = {line for t in tokens for line in range(t.start[0], t.end[0] + 1)}
    return len(with_code - _left_out(ast.parse(text)))


def _left_out(tree: ast.Module) -> set[int]:
    """The lines of docstrings, of weight enums, and of what these have in common."""
    out: list[ast.stmt] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            out.append(node.body[0])
        if isinstance(node, ast.ClassDef) and any(
            isinstance(b, ast.Name) and b.id == "WeightsEnum" for b in node.bases
        ):
            out.append(node)
        if isinstance(node, ast.Assign) and any("_COMMON_" in ast.unparse(t) for t in node.targets):
            out.append(node)
    return {line for node in out for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def page(text: str) -> str:
    """The page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
