"""Values as Python literals, and slices, as a formatter would leave them: strings in double quotes where possible."""

from __future__ import annotations

import re


def literal(value: object) -> str:
    """The Python text of a number, string, truth value, None, list or tuple.

    Raises:
        TypeError: for anything else; no other value may reach generated code.
    """
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float) and value - value != 0:  # inf and nan, which have no literals
        return f'float("{value}")'
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    raise TypeError(f"{type(value).__name__} has no literal")


def _string(value: str) -> str:
    text = repr(value)
    if text[0] == '"' or '"' in value:
        return text
    inner = text[1:-1].replace("\\'", "'")
    return f'"{inner}"'


def plain(name: str) -> str:
    """A file's name for a comment or docstring: what is no letter, digit, blank, `.`, `_` or `-` becomes `_`."""
    return "".join(c if c.isalnum() or c in " ._-" else "_" for c in name)


_PLAIN_END = re.compile(r"-?[\wꞏ]*\Z")


def subscript(code: str) -> str:
    """What stands between the brackets of an index; the colon of a slice has blanks beside an end that is no name."""
    ends = _ends(code)
    if len(ends) == 1 or all(_PLAIN_END.match(e) for e in ends):
        return code
    start, *others = ends
    out = start + " " if start else ""
    for i, end in enumerate(others):
        following = others[i + 1] if i + 1 < len(others) else None
        out += f": {end}{' ' if following is not None else ''}" if end else ":"
    return out


def _ends(code: str) -> list[str]:
    """The ends of a slice, without the blanks around them; the whole text where it is no slice."""
    parts, depth, quote = [""], 0, ""
    for ch in code:
        if quote or ch in "\"'":
            quote = "" if ch == quote else quote or ch
        depth += (ch in "([{") - (ch in ")]}") if not quote else 0
        if ch == ":" and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    return [code] if len(parts) > 3 else [p.strip() for p in parts]
