"""Every fix that is offered mends its mistake, leaves no new error, and changes nothing else."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netc import explain
from netc.compiler import Checked, analyse
from netc.diagnostics import Diagnostic, Edit, Fix, Label
from netc.files import imported
from netc.fixes import certain, without, without_step
from netc.mending import apply, choose, mend
from netc.source import Source, Span
from tests.docs.blocks import ROOT, all_blocks, program
from tests.lang.test_corpus import cases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random


class Wrong(NamedTuple):
    """A program with mistakes, and the files beside it."""

    text: str
    files: tuple[tuple[str, str], ...] = ()


def wrong_programs() -> dict[str, Wrong]:
    """All that there are: those of the corpus, of the pages and of the documentation."""
    found = {f"{c.file.stem}: {c.title}": Wrong(c.program) for c in cases() if c.expect}
    found |= {str(b): Wrong(program(b)) for b in all_blocks("net") if "wrong" in b.marks}
    examples = {code: explain.example(explain.page(code).wrong) for code in explain.codes()}
    return found | {code: Wrong(e.program, e.files) for code, e in examples.items() if not e.settings}


PROGRAMS = wrong_programs()
# A second mistake that the first one hid: it was in the program, and no fix made it.
HIDDEN = {
    "habits: a name for a file": {"E0228"},  # the file is not there
    "habits: the names that a file brings": {"E0701"},  # nor is this one
    "habits: let": {"E0203"},  # the constant stands before the input
    "state: A parameter with a wrong initialiser": {"E0406"},  # its shape doesn't fit either
    "syntax: Three mistakes in one file": {"E0512"},  # `batch_size` is missing besides
    "values: A comprehension over a number": {"E0309"},  # the first of these widths is 0
}


def check(text: str) -> Checked:
    """What netc says of a text, which is the same each time where no other file has a part in it."""
    beside = any(word in text for word in ("import", "use"))
    return analyse(text, "case.net", "case", None, imported) if beside else _alone(text)


@lru_cache(maxsize=2000)
def _alone(text: str) -> Checked:
    return analyse(text, "case.net", "case")


def pieces(text: str) -> list[tuple[int, int, str]]:
    """The words, signs and comments of a text with their places; its layout left out."""
    return [(m.start(), m.end(), m[0]) for m in re.finditer(r"\w+|[^\w\s]", text)]


def untouched(text: str, edits: Iterable[Edit]) -> Counter[str]:
    """What stands in a text outside of the edits, and doesn't touch them."""
    spans = [e.span for e in edits]
    return Counter(t for a, b, t in pieces(text) if not any(s.start <= b and a <= s.end for s in spans))


def errors(found: Iterable[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((d.code, d.message) for d in found if d.is_error)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fix_mends_its_mistake_and_makes_no_other(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, text in PROGRAMS[name].files:
        (tmp_path / file).write_text(text)
    first = check(PROGRAMS[name].text)
    offered = [d for d in first.diagnostics if d.fix is not None]
    for one in offered:
        after = check(apply(first.source.text, [one]))
        said = f"{one.fix} of {one.code} gives\n{after.source.text}\n{after.diagnostics}"
        key = one.code, one.message
        before, left = (Counter((d.code, d.message) for d in c.diagnostics)[key] for c in (first, after))
        assert left < before, said
        new = errors(after.diagnostics) - errors(first.diagnostics)
        assert {code for code, _ in new} <= HIDDEN.get(name, set()), said
    if offered:
        mended = mend(first, check).checked.diagnostics
        assert not [d for d in mended if d.fix is not None]
        assert {code for code, _ in errors(mended) - errors(first.diagnostics)} <= HIDDEN.get(name, set())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fix_changes_nothing_but_what_it_says(name: str) -> None:
    checked = check(PROGRAMS[name].text)
    chosen = choose(checked.diagnostics)
    text = checked.source.text
    after = apply(text, chosen)
    edits = [e for d in chosen if d.fix is not None for e in d.fix.edits]
    here = [piece for _, _, piece in pieces(after)]
    for piece, times in untouched(text, edits).items():
        assert here.count(piece) >= times, f"{piece} is gone from\n{after}"
    grown = len(after) - len(text)
    assert grown == sum(len(e.text) - (e.span.end - e.span.start) for e in edits)


def test_fixes_are_offered() -> None:
    """Lest the tests above hold because nothing is."""
    found = {d.code for p in PROGRAMS.values() for d in check(p.text).diagnostics if d.fix is not None}
    wanted = "E0103 E0106 E0108 E0111 E0113 E0201 E0202 E0204 E0219 E0221 E0234 E0236 E0302 E0308 E0401 E0501 E0502"
    assert {*wanted.split(), "E0507", "E0511", "E0602", "E0603", "W0801"} <= found


# --- what is certain ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("Conv2D", ["Conv1d", "Conv2d", "Conv3d"], "Conv2d"),
        ("Relu", ["ReLU", "ReLU6", "SELU"], "ReLU"),
        ("strid", ["stride", "padding"], "stride"),
        ("bais", ["bias", "groups"], "bias"),
        ("dilatoin", ["dilation"], "dilation"),
        ("Conv4d", ["Conv1d", "Conv2d", "Conv3d"], None),  # no one of them more than another
        ("conv2", ["conv1"], None),  # another layer, and no misspelt one
        ("MaxPool", ["MaxPool2d"], None),
        ("depth", ["width"], None),
        ("lr", ["l1"], None),
        ("ab", ["abs"], None),  # too short to say
        ("dropout", ["Dropout", "DROPOUT"], None),
        ("Linear", ["Linear"], None),  # nothing is wrong with it
        ("x", [], None),
    ],
)
def test_what_is_certain(word: str, known: list[str], meant: str | None) -> None:
    assert certain(word, known) == meant


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Linear(120, in=4)", "Linear(120)"),
        ("Linear(in=4, 120)", "Linear(120)"),
        ("Linear(in=4)", "Linear()"),
        ("Linear(120, in=4, bias=False)", "Linear(120, bias=False)"),
        ("Linear(120 , in=4 )", "Linear(120  )"),
        ("Linear(120,\n       in=4)", "Linear(120,\n       )"),
        ("Linear(120,\n  in=4,\n  bias=False)", "Linear(120,\n  bias=False)"),
        ("Linear(120,\r\n  in=4\r\n)", "Linear(120,\r\n)"),
        ("Linear(120,  # many\n  in=4)", "Linear(120,  # many\n  )"),
        ("Linear(120,  # a,\n  in=4,  # four\n  bias=False)", "Linear(120,  # a,\n  # four\n  bias=False)"),
    ],
)
def test_an_argument_goes_with_its_comma(text: str, left: str) -> None:
    at = text.index("in=4")
    assert apply(text, [found(Edit(Span(0, 0), "")), found(without(text, Span(at, at + 4)))]) == left


# --- applying --------------------------------------------------------------------------------------------------------


def found(*edits: Edit, code: str = "E0202") -> Diagnostic:
    return Diagnostic(code, "wrong", Label(edits[0].span), fix=Fix("mend it", edits))


def test_of_fixes_that_overlap_the_first_is_taken() -> None:
    first, second = found(Edit(Span(0, 4), "a")), found(Edit(Span(3, 6), "b"))
    behind, inside = found(Edit(Span(4, 4), "c")), found(Edit(Span(1, 2), "d"))
    assert choose([first, second, behind, inside]) == [first, behind]
    assert choose([behind, found(Edit(Span(4, 4), "e"))]) == [behind], "which comes first would be a guess"
    two = found(Edit(Span(0, 1), "x"), Edit(Span(8, 9), "y"))
    assert choose([two, found(Edit(Span(8, 9), "z")), first]) == [two], "all edits of a fix, or none"
    assert apply("0123456789", [two, behind]) == "x123c4567y9"


@given(st.text(), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.text(max_size=3)), max_size=8))
def test_what_is_chosen_can_be_applied_in_any_order(text: str, drawn: list[tuple[int, int, str]]) -> None:
    edits = [Edit(Span(min(a, len(text)), min(a + n, len(text))), new) for a, n, new in drawn]
    chosen = choose([found(e) for e in edits])
    assert apply(text, chosen) == apply(text, reversed(chosen))
    kept = [e for d in chosen if d.fix is not None for e in d.fix.edits]
    outside = "".join(c for i, c in enumerate(text) if not any(e.span.start <= i < e.span.end for e in kept))
    assert len(apply(text, chosen)) == len(outside) + sum(len(e.text) for e in kept)


def test_mending_ends_where_fixes_undo_each_other() -> None:
    """As only a mistake of netc could make them."""

    def back_and_forth(text: str) -> Checked:
        other = "b" if text == "a" else "a"
        return Checked(Source(text), None, (found(Edit(Span(0, 1), other)),))

    mended = mend(back_and_forth("a"), back_and_forth)
    assert mended.checked.source.text == "b"
    assert len(mended.applied) == 1


def test_a_list_without_commas_is_mended_one_by_one() -> None:
    text = "w = [8 16 32 64]\nnetwork Net { input x: [N, 4]; fc: Linear(w[0] + w[1] + w[2] + w[3]) }\n"
    mended = mend(check(text), check)
    assert mended.checked.source.text.startswith("w = [8, 16, 32, 64]\n")
    assert not mended.checked.diagnostics
    assert len(mended.applied) == 3


def test_nothing_is_offered_for_what_set_puts_there() -> None:
    text = "network Net(width = 3) { input x: [N, 4]; fc: Linear(width, bais=False) }\n"
    assert analyse(text).diagnostics[0].fix is not None
    assert analyse(text, settings={"width": "true"}).diagnostics[0].fix is None


@pytest.mark.parametrize(
    "line",
    [
        "fc: Linear(10, kernel size=3)",  # a blank for an underscore
        'fc: Linear("a" "b")',  # one string in two parts, to Python
        "fc: Linear(1 000)",  # a long number
        "fc: Linear(3) -> Dropout(0 .5)",  # a number, cut in two
        "sizes = [k // 2 for k i x]",  # no comment within brackets
        "fc: Linear(10, bias=False, bais=False)",  # given besides
        'for i in range(3) { "fc{i}": Linear(3); _ -> "fc{raneg(3)[i]}" }',  # in a computed label
        "fc: Linear(3)\n  param scale[3] = ones(3)\n  _ * scale",
        "fc: Linear(3)\n  return fc",  # it would be applied again
        "norm: LayerNorm([4, 4])",  # not the same as without
        "fc: Linear(3\n  tail: Linear(2 3)",  # a bracket is open, and what seems wrong may not be
        "y = relu(x.flatten(1)) + 1\n  y",  # in an expression there are no chains
        "y = sum([\n    x.flatten(1)\n  ])\n  y",
    ],
)
def test_what_is_not_certain_is_not_offered(line: str) -> None:
    checked = check(f"network Net {{\n  input x: [N, 4]\n  {line}\n}}\n")
    assert checked.diagnostics
    assert [d.fix for d in checked.diagnostics if d.fix is not None] == []


NETWORK = "network Net {{\n  input image: [N, 3, 32, 32]\n  {}\n}}\n"
SECTIONS = """\
network Net {{
  input image: [N, 1, 8, 8]
  Flatten -> fc: Linear(10){}
}}
data {{
  train      = Digits()
  validation = 0.1
  transform  = ToTensor
  batch_size = 64
}}
train {{
  loss      = CrossEntropyLoss
  optimizer = Adam(lr=1e-3)
  epochs    = 30
}}
"""
WHOLE = SECTIONS.format("")
IN_A_BODY = [
    ("conv: Conv2d(3, 8, 5)", "conv: Conv2d(8, 5)"),
    ("conv: Conv2d(3, 8, 5, padding=2)", "conv: Conv2d(8, 5, padding=2)"),
    ("norm: BatchNorm2d(3)", "norm: BatchNorm2d()"),
    ("norm: GroupNorm(3, 3)", "norm: GroupNorm(3)"),
    ("conv: Conv2d(8, 3, padding='SAME')", 'conv: Conv2d(8, 3, padding="same")'),
    ("conv: Conv2d(8, 3, padding_mode = 'zeroes')", 'conv: Conv2d(8, 3, padding_mode = "zeros")'),
    ("for i in raneg(2) { \"c{i}\": Conv2d(3, 1) }", "for i in range(2) { \"c{i}\": Conv2d(3, 1) }"),
    ("Dropout(50)", "Dropout(0.5)"),
    ("Dropout(p = '0.5')", "Dropout(p = 0.5)"),
    ("conv: Conv2d(8, 3, bias=false)", "conv: Conv2d(8, 3, bias=False)"),
    ("conv: nn.Conv2d(8, 3) -> F.relu", "conv: Conv2d(8, 3) -> relu"),
    ("image.flatten(1) -> fc: Linear(10)", "image -> flatten(1) -> fc: Linear(10)"),
    ("y = image.flatten(1)\n  y -> fc: Linear(10)", "y = image -> flatten(1)\n  y -> fc: Linear(10)"),
    ("conv: Conv2d(3, 1)\n  conv(_)", "conv: Conv2d(3, 1)\n  _ -> conv"),
    ("_ = image -> conv: Conv2d(3, 1)\n  ReLU", "image -> conv: Conv2d(3, 1)\n  ReLU"),
    ("for i in 2 { \"c{i}\": Conv2d(3, 1) -> ReLU }",
     "for i in range(2) { \"c{i}\": Conv2d(3, 1) -> ReLU }"),
    ("body: seq { Conv2d(8, 3); relu }", "body: seq { Conv2d(8, 3); ReLU }"),
    ("MaxPooling2D(2)\n  Flatten -> fc: Dense(10)", "MaxPool2d(2)\n  Flatten -> fc: Linear(10)"),
    ("param scale[3, 1, 1] = 1.0\n  image * scale", "param scale[3, 1, 1] = constant_(1.0)\n  image * scale"),
    ("c: Conv2d(8, 3)\n  init { Conv2D.weight = zeros_() }", "c: Conv2d(8, 3)\n  init { Conv2d.weight ~ zeros_() }"),
    ("conv: Conv2d(8 3)", "conv: Conv2d(8, 3)"),
    ("conv: Conv2d(8, 3)\n  return relu(_)", "conv: Conv2d(8, 3)\n  relu(_)"),
]  # fmt: skip
IN_THE_SECTIONS = [
    ("Linear(10)", "Linear(12)"),
    ("Linear(10)", "Linear(10) -> Softmax(1)"),
    ("ToTensor", "Resize(8)\n", "Resize(8) -> ToTensor\n"),
    ("ToTensor\n", "ToTensor -> ToTensor\n"),
    ("CrossEntropyLoss", "nn.CrossEntropyLoss"),
    ("CrossEntropyLoss", "BCEWithLogitsLoss"),
    ("CrossEntropyLoss", "cross_entropy"),
    ("CrossEntropyLoss", '"CrossEntropyLoss"'),
    ("Adam(", "adam("),
    ("Adam(lr=1e-3)", "torch.optim.Adam(lr=1e-3)"),
    ("Adam(lr=1e-3)", "Adam(learning_rate=1e-3)"),
    ("= 30", "= 3e1"),
    ("= 30", '= "30"'),
    ("epochs    = 30", "num_epochs    = 30", "epochs    = 30"),
    ("epochs    = 30", "epochs    == 30"),
    ("epochs    = 30", "epochs    = 30,"),
    ("train {", "trian {"),
    ("ToTensor\n", "transforms.ToTensor\n"),
    ("epochs    = 30\n", "epochs    = 30\n  schedule  = CosineAnnealingLR(T_max=10)\n",
     "epochs    = 30\n  schedule  = CosineAnnealingLR()\n"),
    ("epochs    = 30\n", "epochs    = 30\n  schedule  = OneCycleLR(max_lr=0.1, total_steps=300)\n",
     "epochs    = 30\n  schedule  = OneCycleLR(max_lr=0.1)\n"),
    ("epochs    = 30\n", "epochs    = 30\n  schedule  = ReduceLROnPlateau(mode=\"max\")\n",
     "epochs    = 30\n  schedule  = ReduceLROnPlateau(mode=\"min\")\n"),
    ("epochs    = 30\n", "epochs    = 30\n  metrics   = accuracy\n", "epochs    = 30\n  metrics   = [accuracy]\n"),
    ("epochs    = 30\n", "epochs    = 30\n  metrics   = ['accuracy']\n", "epochs    = 30\n  metrics   = [accuracy]\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), IN_A_BODY, ids=[a for a, _ in IN_A_BODY])
def test_what_is_mended_in_a_body(before: str, after: str) -> None:
    mended = mend(check(NETWORK.format(before)), check)
    assert mended.checked.source.text == NETWORK.format(after)
    assert not errors(mended.checked.diagnostics)


@pytest.mark.parametrize("case", IN_THE_SECTIONS, ids=[c[1] for c in IN_THE_SECTIONS])
def test_what_is_mended_in_the_sections(case: tuple[str, ...]) -> None:
    right, wrong, after = (*case, case[0])[:3]
    assert WHOLE.count(right) == 1
    mended = mend(check(WHOLE.replace(right, wrong)), check)
    assert mended.checked.source.text == WHOLE.replace(right, after)
    assert not mended.checked.diagnostics


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a -> X -> b", "a -> b"),
        ("X -> b", "b"),
        ("a -> X", "a"),
        ("a -> X  # c", "a  # c"),
        ("a  # c\n  -> X\n  -> b", "a  # c\n  -> b"),
        ("a  # c\n  -> X -> b", "a  # c\n  -> b"),
        ("a  # c\n  -> X  # d\n  -> b", "a  # c\n  # d\n  -> b"),
        ("X  # c\n  -> b", None),  # the comment stands between
        ("X", None),
    ],
)
def test_a_step_goes_with_its_arrow(text: str, left: str | None) -> None:
    at = text.index("X")
    edit = without_step(text, Span(at, at + 1))
    assert (None if edit is None else apply(text, [found(edit)])) == left


def test_a_misspelt_definition_is_not_taken_for_the_uses() -> None:
    text = "module Blokc(n) {{ fc: Linear(n) }}\nnetwork Net {{\n  input x: [N, 4]\n  a: Block(4){}\n}}\n"
    assert [d.fix is not None for d in check(text.format("")).diagnostics if d.code == "E0202"] == [True]
    twice = check(text.format(" -> b: Block(4)")).diagnostics
    assert [d.fix for d in twice if d.code == "E0202"] == [None, None]


def test_a_fix_is_what_the_help_says() -> None:
    said = re.compile(r"(?:did you mean|write) [`\"]([^`\"]+)[`\"]\\??")
    for name, one in PROGRAMS.items():
        for d in check(one.text).diagnostics:
            if d.fix is not None and d.help is not None and d.help.startswith("did you mean"):
                meant = said.match(d.help)
                assert meant is not None, d.help
                assert [e.text.strip('"') for e in d.fix.edits] == [meant[1]], f"{name}: {d}"


MODELS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "models").glob("*.net"))}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(["lenet", "mlp", "resnet", "unet", "vae"]), st.randoms(use_true_random=False))
def test_misspelt_models(stem: str, random: Random) -> None:
    """A few wrong letters in a model: mending ends, and leaves nothing that it could mend."""
    text = MODELS[stem]
    for _ in range(3):
        at = random.randrange(len(text))
        text = text[:at] + random.choice(["", text[at].swapcase(), text[at] * 2, "（", " "]) + text[at + 1 :]
    mended = mend(check(text), check)
    assert not [d for d in mended.checked.diagnostics if d.fix is not None]
    assert (mended.checked.source.text == text) == (not mended.applied)
    assert mend(mended.checked, check).applied == ()


@pytest.mark.parametrize("name", PROGRAMS)
def test_comments_stay(name: str) -> None:
    """A comment at the end of each line that can have one, whatever is mended around it."""
    if any(d.code == "E0102" for d in check(PROGRAMS[name].text).diagnostics):
        return
    lines = PROGRAMS[name].text.splitlines()
    text = "\n".join(line if "#" in line else f"{line}  # note {i}" for i, line in enumerate(lines)) + "\n"
    first = check(text)
    chosen = choose(first.diagnostics)
    after = apply(text, chosen)
    assert re.findall(r"# note \d+", after) == re.findall(r"# note \d+", text), [d.fix for d in chosen]


# --- silences --------------------------------------------------------------------------------------------------------

BODY = "network Net {{\n  input x: [N, 4]\n{}}}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  fc: Linear(3)  # netc: ignore E0519\n", "  fc: Linear(3)\n"),
        ("  # netc: ignore E0519\n  fc: Linear(3)\n", "  fc: Linear(3)\n"),
        ("  fc: Linear(3)  # netc: ignore E0519 # three\n", "  fc: Linear(3)  # three\n"),
        ("  fc: Linear(3)  # netc: ignore E0519, E0518\n", "  fc: Linear(3)\n"),
        ("  fc: Linear(3)\r\n  # netc: ignore E0519\r\n  ReLU\r\n", "  fc: Linear(3)\r\n  ReLU\r\n"),
    ],
)
def test_a_comment_that_silences_nothing_is_removed(before: str, after: str) -> None:
    mended = mend(check(BODY.format(before)), check)
    assert mended.checked.source.text == BODY.format(after)
    assert not mended.checked.diagnostics
