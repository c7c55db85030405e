"""The rehearsal: it agrees with every network that is right, and notices each change that makes one wrong."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from netc import ir
from netc.backends import model
from netc.checker.modules import parameter_name
from netc.cli import run
from netc.compiler import analyse
from netc.files import imported
from netc.literals import literal
from netc.rehearsal import Disagreement, rehearse
from tests.lang.test_corpus import cases
from tests.rehearsal.drawn import Program
from tests.rehearsal.mutations import mutants

ROOT = Path(__file__).parents[2]
PROGRAMS = [*sorted((ROOT / "models").glob("*.net")), *sorted((ROOT / "examples").glob("*.net"))]


@cache
def generated(path: Path) -> tuple[str, tuple[ir.Network, ...]]:
    """The text of model.py and the networks of a file."""
    checked = analyse(path.read_text(), str(path), path.stem, None, imported)
    assert checked.program is not None, [d.message for d in checked.diagnostics]
    return model.emit(checked.program), checked.program.networks


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_the_library_passes(path: Path) -> None:
    rehearse(*generated(path))


@pytest.mark.parametrize("case", [c for c in cases() if not c.expect], ids=lambda c: f"{c.file.stem}: {c.title}")
def test_the_corpus_passes(case: object) -> None:
    checked = analyse(case.program, "case.net", "case")  # type: ignore[attr-defined]
    assert checked.program is not None
    rehearse(model.emit(checked.program), checked.program.networks)


MIXED = Path(__file__).parent / "programs.md"
PROGRAM = re.compile(r"^## (.*?)\n\n(?:Expect: (E\d+)\n\n)?```net\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize(
    ("code", "program"), [pytest.param(m[2], m[3], id=m[1]) for m in PROGRAM.finditer(MIXED.read_text())]
)
def test_what_the_language_mixes(code: str | None, program: str) -> None:
    """Loops, conditions, growing sizes, layers as arguments, inline modules, tuples, variants, in one another."""
    checked = analyse(program, "mixed.net", "mixed")
    assert [d.code for d in checked.diagnostics if d.is_error] == ([] if code is None else [code])
    if checked.program is not None:
        rehearse(model.emit(checked.program), checked.program.networks)


def others(value: object) -> list[object]:
    """Other values for a parameter, one at least of which its network may take."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value + 1, value - 1]
    if isinstance(value, float):
        return [value / 2 + 0.25]
    if isinstance(value, (list, tuple)) and value:
        first = [[new, *value[1:]] for new in others(value[0])[:1]]
        return [[*value, value[-1]], list(value[:-1]), *first]
    return []


def built_with(text: str, path: str, most: int) -> int:
    """Build the classes of a file with arguments that it doesn't give, beside a network that does; how often."""
    checked = analyse(text, path, "probe", None, imported)
    if checked.program is None:
        return 0
    written, tried = model.emit(checked.program), 0
    network = checked.program.networks[0]
    for parameter in network.parameters:
        for value in others(parameter.default)[:most]:
            try:
                variant = f"\nnetwork Probe = {network.name}({parameter.name}={literal(value)})\n"
            except TypeError:  # a list of layers
                continue
            probed = analyse(text + variant, path, "probe", None, imported)
            if probed.program is not None:
                probe = next(n for n in probed.program.networks if n.name == "Probe")._replace(name=network.name)
                rehearse(written, [probe], checked.program.python, {parameter_name(parameter.name): value})
                tried += 1
    return tried


def test_classes_take_other_arguments() -> None:
    """What a class computes from its parameters is right for values that no network of the file gives them."""
    assert sum(built_with(m[3], "mixed.net", 3) for m in PROGRAM.finditer(MIXED.read_text())) > 150


@pytest.mark.parametrize("stem", ["resnet", "densenet", "vit", "gpt", "unet", "googlenet", "shufflenet_v2"])
def test_the_library_takes_other_arguments(stem: str) -> None:
    path = ROOT / "models" / f"{stem}.net"
    assert built_with(path.read_text(), str(path), 1) > 0


@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 10**9))
def test_random_programs(seed: int) -> None:
    """A program that the checker accepts gives the networks that were checked."""
    text = Program(Random(seed).choice).text()
    checked = analyse(text, "drawn.net", "drawn")
    if checked.program is not None:
        rehearse(model.emit(checked.program), checked.program.networks)
    else:
        assert {d.code for d in checked.diagnostics} <= {"E0410", "E0238"}, text


# What is changed in the text of a model, and what the rehearsal says of it.
MUTATIONS = {
    "a stride is dropped": ("resnet", ", stride=stride, bias=False)", ", bias=False)", r"`stride` is 1 .* 2 for"),
    "a size": ("resnet", "nn.BatchNorm2d(4 * planes)", "nn.BatchNorm2d(2 * planes)", r"`num_features` is 128 .* 256"),
    "an operator in a size": ("densenet", "channels //= 2", "channels -= 2", r"conv0|in_channels|num_features"),
    "a condition": ("resnet", "if stride != 1 or in", "if stride != 1 and in", r"bn2|downsample|don't go together"),
    "a condition in forward": ("resnet", "downsample is not None:", "downsample is None:", "'NoneType' object"),
    "the order of children": (
        "resnet",
        "self.bn1 = nn.BatchNorm2d(width)\n        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)\n",
        "self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)\n        self.bn1 = nn.BatchNorm2d(width)\n",
        "the child conv2 stands in the generated code where the checker has bn1",
    ),
    "the order of steps": ("resnet", "self.bn1(self.conv1(image))", "self.conv1(self.bn1(image))", "bn1|conv1"),
    "a label": ("resnet", 'f"layer{i + 1}", layer', 'f"layer{i}", layer', "layer0 stands .* has layer1"),
    "an axis": ("densenet", "x = torch.cat([x, new], 1)", "x = torch.cat([x, new], 0)", "cat"),
    "an axis that keeps the shape": ("seq2seq", "F.softmax(query @ key.transpose(1, 2), -1)",
                                     "F.softmax(query @ key.transpose(1, 2), 1)", "`dim` is 1 .* -1"),
    "an activation": ("lenet", "F.relu(self.conv1(image))", "F.elu(self.conv1(image))", "elu.*ReLU"),
    "a default": ("resnet", "classes: int = 1000", "classes: int = 1001", r"`out_features` is 1001 .* 1000"),
    "the value of a variant": ("resnet", "[3, 8, 36, 3]", "[3, 8, 35, 3]", "layer3: the child nothing"),
    "a module in place of another": ("resnet", "super().__init__(Bottleneck, [3, 4, 6, 3]",
                                     "super().__init__(BasicBlock, [3, 4, 6, 3]", "ResNet50.layer1.0"),
    "a parameter's shape": ("vit", "torch.zeros(1, 1, dim)", "torch.zeros(1, 2, dim)", "what it holds"),
    "a buffer that is saved": ("gpt", ", persistent=False", "", "what it holds"),
    "a probability": ("gpt", "dropout_p=self.p if", "dropout_p=self.heads if", "`dropout_p`"),
    "dropout that never ends": ("vit", "F.dropout(h, self.p, training=self.training)", "F.dropout(h, self.p)",
                                r"`training` is True .* False"),
    "a tensor in place of another": ("vae", "torch.exp(0.5 * logvar)", "torch.exp(0.5 * mu)", "what it takes is"),
    "a result in place of another": ("vae", "VAEOutput(x, mu, logvar)", "VAEOutput(x, logvar, mu)", "its result comes"),
    "an attribute that is missing": ("gpt", "        self.heads = heads\n", "", "has no attribute `heads`"),
    "a name that is missing": ("densenet", "import torch\n", "", "name 'torch' is not defined"),
    "a result": ("vae", "VAEOutput(x, mu, ", "VAEOutput(x, x, ", "its result"),
    "a layer that is applied twice": ("siamese", "self.embed(right)", "self.embed(self.embed(right))", "axis|input"),
    "an initialiser of nothing": ("densenet", "nn.init.zeros_(m.bias)", "nn.init.zeros_(m.norm)", "attribute `norm`"),
    "a comparison": ("densenet", "if i > 0:", "if i >= 0:", "transition0"),
    "a step that is left out": ("mlp", "F.relu(", "(", "relu|ReLU"),
    "a shift of a turn": ("densenet", "growth * i + in_channels", "growth * (i + 1) + in_channels", "num_features"),
    "what it imports": ("densenet", "import torch\n", "import os\nimport torch\n", "imports `os`"),
    "what it opens": ("lenet", "super().__init__()", "open('x', 'w')", "name 'open' is not defined"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_is_noticed(name: str) -> None:
    stem, old, new, said = MUTATIONS[name]
    text, networks = generated(ROOT / "models" / f"{stem}.net")
    assert old in text
    with pytest.raises(Disagreement, match=said):
        rehearse(text.replace(old, new), networks)


@pytest.mark.parametrize("stem", ["resnet", "vae", "densenet", "shufflenet_v2", "seq2seq", "unet"])
def test_small_changes_are_noticed(stem: str) -> None:
    """Nearly every change of a number, name, operator or statement; what is missed changes nothing, or drawn weights.

    An initialiser is run, but not held to the file; a statement may have no effect, such as a comparison of channels
    that decides nothing for the networks of the file, or an attribute that nothing reads.
    """
    text, networks = generated(ROOT / "models" / f"{stem}.net")
    changes = list(mutants(text))
    Random(stem).shuffle(changes)
    missed = [m for m in changes[:50] if not noticed(m.text, networks)]
    assert len(missed) <= 8, [m[:4] for m in missed]


def noticed(text: str, networks: tuple[ir.Network, ...]) -> bool:
    try:
        rehearse(text, networks)
    except Disagreement:
        return True
    return False


def test_rehearsals_at_once() -> None:
    """Several threads may compile at the same time."""
    stems = ["lenet", "resnet", "vae", "gpt", "unet", "densenet"] * 2
    work = [generated(ROOT / "models" / f"{stem}.net") for stem in stems]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda given: rehearse(*given), work)) == [None] * len(work)


def test_the_command_line_says_that_it_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = model.emit
    monkeypatch.setattr(model, "emit", lambda *given: right(*given).replace("nn.Linear(400", "nn.Linear(401"))
    assert run(["build", str(ROOT / "models" / "lenet.net"), "--out", str(tmp_path / "out")]) == 70
    said = capsys.readouterr().err
    assert "netc has a bug" in said
    assert "LeNet5.fc1: `in_features` is 401 in the generated code, and 400 for the checker" in said
    assert not (tmp_path / "out").exists()
