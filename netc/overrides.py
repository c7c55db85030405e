"""Settings from the command line: `--set train.epochs=3 --set classes=100`.

In: a parsed file and the settings as text. Out: the file with the values in their places, as if they had been written
there. A key is a section and its setting, or a constant or parameter; one that could mean two things is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from netc import syntax as s
from netc.catalog.settings import SETTINGS
from netc.diagnostics import Report, nearest
from netc.node import replace
from netc.parser import parse_expression
from netc.source import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.source import Source

T = TypeVar("T")


def apply(file: s.File, settings: Mapping[str, str], source: Source, report: Report) -> s.File:
    """The file with the settings in place; what is wrong with one is reported at the start of the file."""
    for key, text in settings.items():
        chain = parse_expression(text, Report())
        if chain is None:
            _problem(
                report,
                f"`--set {key}={text}`: the value does not parse",
                "write it as in the file, as in `--set train.epochs=3`",
            )
            continue
        places = _places(file, key)
        if len(places) == 1:
            file = _put(file, places[0], chain)
        elif places:
            names = ", ".join(f"`{_key(p)}`" for p in places)
            _problem(report, f"`--set {key}` could mean {names}", "give the whole key")
        else:
            near = nearest(key, [*map(_key, _all_places(file)), *_bare(file)])
            _problem(
                report,
                f"`--set {key}`: the file has no such setting, parameter or constant",
                f"did you mean `{near}`?" if near else "a key is `section.setting`, a parameter or a constant",
            )
    return file


def _problem(report: Report, message: str, help_text: str) -> None:
    report.add("E0112", message, Span(0, 1), help=help_text)


Place = tuple[int, str]  # the definition's index, and the setting's key or the parameter's name ("" for a constant)


def _all_places(file: s.File) -> list[tuple[int, str, str]]:
    """Every place that a setting can go to: the definition, the whole key, the last part."""
    out: list[tuple[int, str, str]] = []
    for i, d in enumerate(file.definitions):
        if isinstance(d, s.Section):
            keys = {e.key.text for e in d.entries if not isinstance(e, s.Broken)} | set(SETTINGS.get(d.name.text, ()))
            out += [(i, f"{d.name.text}.{key}", key) for key in sorted(keys)]
        elif isinstance(d, (s.Network, s.Module)):
            out += [(i, f"{d.name.text}.{p.name.text}", p.name.text) for p in d.params]
        elif isinstance(d, s.Variant):
            out += [(i, f"{d.name.text}.{name}", name) for name in _given(file, d)]
        elif isinstance(d, s.Constant) and d.params is None:
            out.append((i, d.name.text, d.name.text))
    return out


def _given(file: s.File, variant: s.Variant, above: tuple[str, ...] = ()) -> dict[str, s.Argument]:
    """What a variant gives the network that it stands on, by the names of the parameters."""
    free = _open(file, variant, above)
    given: dict[str, s.Argument] = {}
    for argument in variant.value.arguments if isinstance(variant.value, s.Call) else ():
        name = argument.name.text if argument.name is not None else next((n for n in free if n not in given), "")
        given[name] = argument
    return {n: a for n, a in given.items() if n in free}


def _open(file: s.File, variant: s.Variant, above: tuple[str, ...]) -> list[str]:
    """The parameters that a variant's call may give."""
    callee = variant.value.callee if isinstance(variant.value, s.Call) else variant.value
    name = callee.text if isinstance(callee, s.Name) else ""
    base = next((d for d in file.definitions if isinstance(d, (s.Network, s.Variant)) and d.name.text == name), None)
    if isinstance(base, s.Network):
        return [p.name.text for p in base.params]
    if base is None or name in above:
        return []
    given = _given(file, base, (*above, name))
    return [n for n in _open(file, base, (*above, name)) if n not in given]


def _key(place: tuple[int, str, str]) -> str:
    return place[1]


def _bare(file: s.File) -> list[str]:
    """Keys that need no section or network in front: parameters and constants."""
    return [p[2] for p in _all_places(file) if not isinstance(file.definitions[p[0]], s.Section)]


def _places(file: s.File, key: str) -> list[tuple[int, str, str]]:
    places = _all_places(file)
    whole = [p for p in places if p[1] == key]
    return whole or [p for p in places if p[2] == key and not isinstance(file.definitions[p[0]], s.Section)]


def _put(file: s.File, place: tuple[int, str, str], chain: s.Chain) -> s.File:
    index, _, last = place
    definition = file.definitions[index]
    new: Any
    if isinstance(definition, s.Section):
        old = next((e for e in definition.entries if not isinstance(e, s.Broken) and e.key.text == last), None)
        span = old.span if old else definition.name.span
        setting = s.Setting(s.Ident(last, old.key.span if old else span), _at(chain, span), span)
        entries = tuple(setting if e is old else e for e in definition.entries)
        new = replace(definition, entries=entries if old else (*entries, setting))
    elif isinstance(definition, (s.Network, s.Module)):
        params = tuple(
            replace(p, default=_expr(chain, p.span)) if p.name.text == last else p for p in definition.params
        )
        new = replace(definition, params=params)
    elif isinstance(definition, s.Variant):
        assert isinstance(definition.value, s.Call)
        old_ = _given(file, definition)[last]
        changed = replace(old_, value=_expr(chain, old_.value.span))
        arguments = tuple(changed if a is old_ else a for a in definition.value.arguments)
        new = replace(definition, value=replace(definition.value, arguments=arguments))
    else:
        assert isinstance(definition, s.Constant)
        new = replace(definition, value=_expr(chain, definition.value.span))
    return replace(file, definitions=(*file.definitions[:index], new, *file.definitions[index + 1 :]))


def _expr(chain: s.Chain, span: Span) -> s.Expr:
    step = chain.links[0].step
    if isinstance(step, (s.Seq, s.Inline, s.Edited)):
        return s.Literal(None, span)
    return _at(step, span)


def _at(node: T, span: Span) -> T:
    """The node with every span in it at the place of what it replaces."""
    if isinstance(node, Span):
        return span  # type: ignore[return-value]
    if isinstance(node, tuple):
        items = [_at(item, span) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)  # type: ignore[return-value]
    return node
