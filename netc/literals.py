"""Values as Python literals, as a formatter would leave them: strings in double quotes where they can be."""

from __future__ import annotations


def literal(value: object) -> str:
    """The Python text of a number, string, truth value, None, list or tuple.

    Raises:
        TypeError: for anything else; no other value may reach generated code.
    """
    if isinstance(value, str):
        return _string(value)
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
