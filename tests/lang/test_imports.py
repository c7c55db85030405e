"""`import`: what another file brings, and what is said when it can't."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netc.api import execute
from netc.compiler import analyse, emit
from netc.files import imported
from netc.render import render

BLOCKS = """width = 8
half(n) = n // 2

module Block(out, stride = 1) {
  input x: [N, C, H, W]
  conv: Conv2d(out, 3, stride=stride, padding=1, groups=C) -> bn: BatchNorm2d -> ReLU
}
"""
NET = """import "blocks.net"

network Net {
  input image: [N, 3, 32, 32]
  block: Block(BODY)
}
"""


def said(folder: Path, program: str, **files: str) -> str:
    """What netc says of a program beside which these files lie."""
    for name, text in files.items():
        (folder / f"{name}.net").write_text(text)
    main = folder / "main.net"
    main.write_text(program)
    checked = analyse(program, str(main), "main", None, imported)
    text = "\n\n".join(render(d, checked.source) for d in checked.diagnostics)
    return text.replace(f"{folder}/", "")


def test_constants_formulas_and_modules_come_with_a_file(tmp_path: Path) -> None:
    program = NET.replace("BODY", "3 * half(2 * width), stride=half(4)")
    assert said(tmp_path, program, blocks=BLOCKS) == ""
    checked = analyse(program, str(tmp_path / "main.net"), "main", None, imported)
    assert checked.program is not None
    text = emit(checked.program).model
    assert text.count("class Block(") == 1
    assert execute(text, "main").Net()(torch.zeros(2, 3, 32, 32)).shape == (2, 24, 16, 16)


def test_a_module_of_the_library_comes_by_name(tmp_path: Path) -> None:
    program = (
        'import "resnet.net"\nnetwork Net { input x: [N, 3, 32, 32]; a: BasicBlock(8, stride=2); b: Bottleneck(4) }'
    )
    assert said(tmp_path, program) == ""


def test_a_variant_of_another_files_network(tmp_path: Path) -> None:
    program = 'import "base.net"\nnetwork Small = Base(4)\n'
    base = "network Base(width) { input x: [N, 3, 8, 8]; conv: Conv2d(width, 3) }\n"
    assert said(tmp_path, program, base=base) == ""


@pytest.mark.parametrize("target", ["blocs.net", "../blocs.net", "blocks.py"])
def test_a_file_that_is_not_there(tmp_path: Path, target: str) -> None:
    text = said(tmp_path, NET.replace("blocks.net", target), blocks=BLOCKS)
    assert text.startswith(f'error[E0228]: "{target}" can\'t be imported: ')
    assert " --> main.net:1:8\n" in text
    assert "E0202" not in text, "that Block is not there follows from it"


CIRCLE = """error[E0230]: "a.net" has mistakes
  --> main.net:1:8
   |
 1 | import "a.net"
   |        ^^^^^^^
   = note: these files import each other in a circle: a.net -> b.net -> a.net
   = help: run `netc check a.net`"""


def test_files_that_import_each_other(tmp_path: Path) -> None:
    network = "network Net { input x: [N, 4]; fc: Linear(2) }\n"
    a = 'import "b.net"\n' + network
    assert said(tmp_path, 'import "a.net"\n' + network.replace("Net", "Other"), a=a, b='import "a.net"\n') == CIRCLE
    direct = said(tmp_path, 'import "c.net"\n' + network, c='import "main.net"\n')
    assert "these files import each other in a circle" in direct
    own = said(tmp_path, 'import "main.net"\n' + network)
    assert own.startswith("error[E0229]: these files import each other in a circle\n  --> main.net:1:8")
    assert "= note: main.net -> main.net" in own


SYNTAX = """error[E0230]: "blocks.net" has mistakes
  --> main.net:1:8
   |
 1 | import "blocks.net"
   |        ^^^^^^^^^^^^
   = note: line 1: `->` leads nowhere
   = help: run `netc check blocks.net`"""


def test_an_imported_file_that_does_not_parse(tmp_path: Path) -> None:
    text = said(tmp_path, NET.replace("BODY", "6"), blocks="module Block(out) { conv: Conv2d(out, 3) -> }\n")
    assert text == SYNTAX


BUILT = """error[E0409]: `Block` can't be built like this: \
`conv` (Conv2d): 8 output channels can't be split into 3 equal groups
  --> main.net:5:10
   |
 5 |   block: Block(8)
   |          ^^^^^^^^
   = note: in blocks.net, line 6"""


def test_a_module_of_another_file_that_rejects_its_arguments(tmp_path: Path) -> None:
    assert said(tmp_path, NET.replace("BODY", "8"), blocks=BLOCKS) == BUILT


def test_a_module_that_both_files_define(tmp_path: Path) -> None:
    program = NET.replace("BODY", "6") + "module Block(out) { fc: Conv2d(out, 1) }\n"
    checked = analyse(program, str(tmp_path / "main.net"), "main", None, imported)
    (tmp_path / "blocks.net").write_text(BLOCKS)
    checked = analyse(program, str(tmp_path / "main.net"), "main", None, imported)
    assert checked.program is not None
    assert "groups" not in emit(checked.program).model, "the nearer one is meant"


def test_a_file_of_which_nothing_is_used(tmp_path: Path) -> None:
    used = NET.replace("BODY", "3")
    assert said(tmp_path, used, blocks=BLOCKS) == ""
    unused = 'import "blocks.net"\nnetwork Net { input image: [N, 4]; fc: Linear(2) }\n'
    text = said(tmp_path, unused, blocks=BLOCKS)
    assert 'warning[W0803]: nothing of "blocks.net" is used' in text
    assert text.count("W0803") == 1


def test_what_only_others_use_is_no_warning(tmp_path: Path) -> None:
    assert said(tmp_path, BLOCKS) == ""
    again = 'import "blocks.net"\nmodule Two(out) { a: Block(out) }\n'
    assert said(tmp_path, again, blocks=BLOCKS) == ""


SIZED = """layers = [4, 5]

network Wide(sizes, classes = 3, width = 1) {
  input image: [N, 1, 8, 8]
  Flatten
  for i, n in enumerate(sizes) { "fc{i}": Linear(n * width) -> ReLU }
  fc: Linear(classes)
}
network Narrow = Wide(layers)
network Narrower = Narrow(width=2)
"""
SECTIONS = """
data { train = Digits(); transform = ToTensor; batch_size = 8 }
train { loss = CrossEntropyLoss; optimizer = SGD(lr=0.1); epochs = 1 }
"""


@pytest.mark.parametrize("base", ["Narrow", "Narrower"])
def test_a_variant_of_another_files_variant(tmp_path: Path, base: str) -> None:
    program = f'import "sized.net"\nnetwork Net = {base}(classes=10)\n{SECTIONS}'
    assert said(tmp_path, program, sized=SIZED) == ""
    checked = analyse(program, str(tmp_path / "main.net"), "main", None, imported)
    assert checked.program is not None
    made = execute(emit(checked.program).model, "main")
    width = 1 if base == "Narrow" else 2
    shapes = [list(p.shape) for p in made.Net().parameters()]
    assert shapes == [[4 * width, 64], [4 * width], [5 * width, 4 * width], [5 * width], [10, 5 * width], [10]]
    assert type(made.Net()).__mro__[1].__name__ == base


def test_a_variant_of_a_variant_that_is_wrong_itself(tmp_path: Path) -> None:
    text = said(tmp_path, f'import "sized.net"\nnetwork Net = Narrow\n{SECTIONS}', sized="network Narrow = Wild(1)\n")
    assert text.startswith("error[E0202]: `Narrow` of an imported file is a variant of no network\n")
    assert text.count("error[") == 1


def test_a_variant_whose_network_rejects_its_arguments(tmp_path: Path) -> None:
    base = "network Base(groups) {\n  input x: [N, 3, 8, 8]\n  conv: Conv2d(6, 3, groups=groups)\n}\n"
    text = said(tmp_path, 'import "base.net"\nnetwork Small = Base(2)\n', base=base)
    assert text.startswith("error[E0409]: `Base` can't be built like this: `conv` (Conv2d): 3 input channels")
    assert "--> main.net:2:9\n" in text
    assert "= note: in base.net, line 3" in text
