"""The tables of docs/comparison.md: what netc and other tools say of 25 wrong programs, from the log of a run.

In: benchmarks/mistakes/log.json, which benchmarks/mistakes.py writes. Out: the tables, or with `--write` the page with
them in it.

    python docs/comparison.py --write
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/comparison.md"
FOLDER = ROOT / "benchmarks/mistakes"
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
NAMES = {"netc": "netc", "neural": "Neural DSL", "n-orca": "n-orca", "pytorch": "PyTorch"}
COUNTED = (
    ("named before anything runs, with a place", lambda r: r["when"] in ("check", "warning") and bool(place(r))),
    ("named before anything runs, without a place", lambda r: r["when"] in ("check", "warning") and not place(r)),
    ("when the script runs, before its first batch", lambda r: r["when"] == "start"),
    ("at the first step of the training", lambda r: r["when"] == "step" and r["step"] == 1),
    ("at a later step", lambda r: r["when"] == "step" and r["step"] > 1),
    ("never: it trains to the end", lambda r: r["when"] == "end"),
    ("accepted, and what is written can't be run", lambda r: r["when"] == "accepted"),
    ("can't be written", lambda r: r["when"] == "none"),
)


def place(result: dict[str, Any]) -> str:
    """Where a tool says the mistake is: lines of the program, and where none of them was changed, the line that was."""
    if not result["lines"]:
        at = result["at"] or ""
        named = at.removeprefix("layer ").strip("`")
        elsewhere = at.startswith("layer ") and named not in result["layers"]
        return f"{at} (it is in `{result['layers'][0]}`)" if elsewhere else at
    said = " and ".join(str(line) for line in result["lines"])
    lines = f"line{'s' * (len(result['lines']) > 1)} {said}"
    if set(result["lines"]) & set(result["changed"]):
        return lines
    return f"{lines} (it is on {result['changed'][0]})"


def verdict(result: dict[str, Any]) -> str:
    """What a tool made of a mistake, in a few words: when it is named, and where."""
    when = {
        "check": "before",
        "warning": "before, as a warning",
        "start": "when run",
        "step": f"step {result['step']}",
        "end": f"never ({result['accuracy']})",
        "accepted": "accepted",
        "none": "–",
    }[result["when"]]
    named = result["when"] in ("check", "warning", "start", "step")
    return f"{when}: {place(result) or 'no place'}" if named else when


def log() -> dict[str, Any]:
    """The log of the last run of each tool."""
    read: dict[str, Any] = json.loads((FOLDER / "log.json").read_text(encoding="utf-8"))
    return read


def mistakes() -> list[dict[str, Any]]:
    """The mistakes, in order."""
    listed: list[dict[str, Any]] = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
    return listed


def row(*cells: object) -> str:
    """A row of a table; a cell's own bars are kept as text."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def counts(tools: dict[str, Any]) -> str:
    """The table of how often each thing happened."""
    lines = [row("", *(f"{NAMES[t]} {tools[t]['version']}" for t in tools)), row("---", *("---:" for _ in tools))]
    lines.append(row("recorded", *(tools[t]["date"] for t in tools)))
    for what, holds in COUNTED:
        lines.append(row(what, *(sum(map(holds, tools[t]["wrong"].values())) for t in tools)))
    return "\n".join(lines)


def verdicts(tools: dict[str, Any]) -> str:
    """The table of a row for each mistake."""
    lines = [row("mistake", *(NAMES[t] for t in tools)), row("---", *("---" for _ in tools))]
    reached = (next(r["accuracy"] for r in tools[t]["right"].values() if r["when"] == "end") for t in tools)
    lines.append(row("none: the right program", *(f"({accuracy})" for accuracy in reached)))
    for m in mistakes():
        link = f"[{m['what']}](#{m['name']})"
        lines.append(row(link, *(verdict(tools[t]["wrong"][m["name"]]) for t in tools)))
    return "\n".join(lines)


def said(result: dict[str, Any]) -> str:
    """The message of a tool, or why there is none."""
    if result["when"] == "none":
        return f"can't be written: {result['said']}"
    if result["when"] == "end":
        return f"trains to the end without a word, and reaches an accuracy of {result['accuracy']}"
    if result["when"] == "accepted":
        return "compiles it without a word"
    return f"{verdict(result)}: `{result['said'].replace('`', chr(39))}`"


def details(tools: dict[str, Any]) -> str:
    """A section for each mistake: what was changed in the .net file, and what each tool said."""
    parts = []
    for m in mistakes():
        change = "; ".join(f"`{old.strip()}` became `{new.strip()}`" for old, new in m["netc"]).replace("\n", "⏎")
        lines = [f"- **{NAMES[t]}** {said(tools[t]['wrong'][m['name']])}" for t in tools]
        parts.append(
            "\n".join([f"### {m['name']}", "", f"{m['what'][:1].upper()}{m['what'][1:]}: {change}.", "", *lines])
        )
    return "\n\n".join(parts)


def page(text: str) -> str:
    """The page with the tables of the log in it."""
    tools = log()
    for name, table in (("counts", counts(tools)), ("verdicts", verdicts(tools)), ("details", details(tools))):
        head, _, rest = text.partition(BEGIN.format(name))
        _, _, tail = rest.partition(END.format(name))
        text = f"{head}{BEGIN.format(name)}\n{table}\n{END.format(name)}{tail}"
    return text


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(counts(log()), verdicts(log()), sep="\n\n")
