"""From grammar/net.lark to the tables that the parser runs on.

Lark compiles the grammar to LALR(1) tables; importing Lark and building them takes longer than compiling a program, so
the tables are kept as data in `grammar_tables.json` and written anew by `python -m netc.grammar`. A source tree whose
grammar has been edited since is served all the same: the tables carry the grammar's checksum, and where it differs Lark
compiles it again in memory.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from netc.resources import resource

TABLES = Path(__file__).with_name("grammar_tables.json")


class Rule(NamedTuple):
    """A production: what it reduces to, the builder's method for it, and how many symbols it takes.

    `build` is "" for the helpers that Lark makes for `*`, `+` and `[]`, whose children go to the rule around them, and
    "?" for a rule that passes a single child on.
    """

    origin: str
    build: str
    length: int


class Tables(NamedTuple):
    """LALR(1) tables. An action is a state to shift to, or `-1 - rule` to reduce; an int is the only action."""

    terminals: tuple[tuple[str, str], ...]
    ignored: frozenset[str]
    rules: tuple[Rule, ...]
    states: list[int | dict[str, int]]
    start: int
    end: int


def load() -> Tables:
    """The tables of the grammar as it stands."""
    data: dict[str, Any] = json.loads(TABLES.read_bytes()) if TABLES.is_file() else {"checksum": None}
    text = resource("grammar/net.lark").read_bytes()
    if data["checksum"] != zlib.crc32(text):
        data = compile_grammar(text)
    return Tables(
        tuple((name, pattern) for name, pattern in data["terminals"]),
        frozenset(data["ignored"]),
        tuple(Rule(*rule) for rule in data["rules"]),
        data["states"],
        data["start"],
        data["end"],
    )


def compile_grammar(text: bytes) -> dict[str, Any]:
    """Compile the grammar with Lark, and bring its tables into our form."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import TerminalDef

    lark = Lark(text.decode(), parser="lalr", lexer="basic", maybe_placeholders=False, keep_all_tokens=True)
    saved, memo = lark.memo_serialize([TerminalDef, LarkRule])
    table = saved["parser"]["parser"]
    numbers = [ref["@"] for ref in saved["parser"]["parser_conf"]["rules"]]
    names = {int(i): name for i, name in table["tokens"].items()}
    terminals = sorted(lark.terminals, key=lambda t: (-t.priority, -len(t.pattern.value), t.name))
    return {
        "checksum": zlib.crc32(text),
        "terminals": [[t.name, t.pattern.to_regexp()] for t in terminals],
        "ignored": sorted(lark.ignore_tokens),
        "rules": [_rule(memo[n]) for n in numbers],
        **_states({i: _actions(s, names, numbers) for i, s in table["states"].items()}, table),
    }


def _states(states: dict[int, dict[str, int]], table: dict[str, Any]) -> dict[str, Any]:
    """Number the states in the order in which they are reached, for Lark's own numbers change from run to run.

    A state whose only action is one reduction needs no look at the next token, and becomes that action.
    """
    order = [table["start_states"]["start"]]
    for state in order:
        order += [t for t in states[state].values() if t >= 0 and t not in order]
    number = {state: i for i, state in enumerate(order)}
    renamed: list[int | dict[str, int]] = []
    for state in order:
        actions = {name: number[t] if t >= 0 else t for name, t in states[state].items()}
        only = set(actions.values())
        renamed.append(only.pop() if len(only) == 1 and min(only) < 0 else actions)
    return {"states": renamed, "start": 0, "end": number[table["end_states"]["start"]]}


def _rule(rule: dict[str, Any]) -> list[str | int]:
    origin = rule["origin"]["name"]
    helper = origin.startswith("_")
    alias = rule["alias"]
    build = "" if helper else alias or ("?" if rule["options"]["expand1"] and len(rule["expansion"]) == 1 else origin)
    return [origin, build, len(rule["expansion"])]


def _actions(actions: dict[int, tuple[int, Any]], names: dict[int, str], numbers: list[int]) -> dict[str, int]:
    shift = 0
    return {
        names[token]: target if kind == shift else -1 - numbers.index(target["@"])
        for token, (kind, target) in sorted(actions.items(), key=lambda item: names[item[0]])
    }


def main() -> None:
    """Write the tables of the grammar."""
    tables = compile_grammar(resource("grammar/net.lark").read_bytes())
    TABLES.write_text(json.dumps(tables, separators=(",", ":")) + "\n")
    print(f"{TABLES.name}: {len(tables['states'])} states, {len(tables['rules'])} rules")


if __name__ == "__main__":
    main()
