"""Some of the search, in every run of the tests; all of it is `python -m tests.fuzz.campaign`, whose log lies here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netc.compiler import Checked, analyse
from netc.diagnostics import Diagnostic, Label
from netc.source import Source, Span
from tests.fuzz import check, forward
from tests.fuzz.check import checked
from tests.fuzz.forward import ran
from tests.fuzz.inputs import make

FIRST, COUNT, PARTS = 200_000, 500, 10


def part(at: int) -> range:
    return range(FIRST + at * COUNT // PARTS, FIRST + (at + 1) * COUNT // PARTS)


@pytest.mark.parametrize("at", range(PARTS))
def test_inputs(at: int) -> None:
    """Refused with diagnostics or emitted; what is emitted runs and gives the shapes that were said."""
    outcomes = [checked(seed) for seed in part(at)]
    assert [(o.seed, o.problem) for o in outcomes if o.problem and not o.problem.startswith("took")] == []
    runs = [ran(o.seed) for o in outcomes if o.clean]
    assert [(r.seed, r.problem) for r in runs if r.problem] == []
    assert sum(bool(r.refused) for r in runs) <= 2
    assert sum(o.parses for o in outcomes) >= len(outcomes) / 2
    assert len(runs) >= len(outcomes) / 5


def test_an_input_is_the_same_every_time() -> None:
    assert [make(seed) for seed in range(40)] == [make(seed) for seed in range(40)]


# --- the search can find something ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clean() -> int:
    """The seed of a program that checks clean."""
    return next(seed for seed in range(FIRST, FIRST + COUNT) if make(seed).kind == "program" and checked(seed).clean)


def test_it_finds_an_exception(monkeypatch: pytest.MonkeyPatch, clean: int) -> None:
    def broken(*given: object) -> None:
        raise RecursionError("deep")

    monkeypatch.setattr(check, "analyse", broken)
    assert "RecursionError: deep" in checked(clean).problem


def test_it_finds_a_place_outside_of_the_text(monkeypatch: pytest.MonkeyPatch, clean: int) -> None:
    def outside(text: str, *given: object) -> Checked:
        diagnostic = Diagnostic("E0401", "far", Label(Span(len(text) + 5, len(text) + 6)))
        return Checked(Source(text), None, (diagnostic,))

    monkeypatch.setattr(check, "analyse", outside)
    assert checked(clean).problem == "E0401 stands outside of the text"


def test_it_finds_a_refusal_without_a_word(monkeypatch: pytest.MonkeyPatch, clean: int) -> None:
    monkeypatch.setattr(check, "analyse", lambda text, *given: Checked(Source(text), None, ()))
    assert checked(clean).problem == "refused without an error"


def test_it_finds_another_shape(monkeypatch: pytest.MonkeyPatch, clean: int) -> None:
    def other(text: str, name: str, stem: str) -> Checked:
        found = analyse(text, name, stem)
        assert found.program is not None
        network = found.program.networks[0]
        output = network.outputs[0]
        shape = (*output.type.shape[:-1], 977)
        wrong = network._replace(
            outputs=(output._replace(type=output.type._replace(shape=shape)), *network.outputs[1:])
        )
        return found._replace(program=found.program._replace(networks=(wrong, *found.program.networks[1:])))

    monkeypatch.setattr(forward, "analyse", other)
    monkeypatch.setattr(forward, "emit", _unrehearsed)
    assert "977" in ran(clean).problem


def _unrehearsed(program: object) -> object:
    """The files of a program, without the comparison that would notice the change."""
    from types import SimpleNamespace

    from netc.backends import model

    return SimpleNamespace(model=model.emit(program, None))  # type: ignore[arg-type]


# --- the log of the search --------------------------------------------------------------------------------------------


def test_the_log_is_of_a_search_as_large_as_promised() -> None:
    """Each finding stands in it with its text, and with what became of it when it had been looked into."""
    log = json.loads((Path(__file__).parent / "campaign.json").read_text(encoding="utf-8"))
    first, last = log["seeds"]
    total = last - first
    assert total >= 100_000
    assert sum(log["inputs"].values()) == total
    assert log["parse"] >= total / 2
    assert log["check clean"] >= total / 5
    assert max(s["seconds"] for s in log["slowest"]) <= log["limits"]["seconds"]
    assert sum(log["findings now"].values()) == len(log["findings"])
