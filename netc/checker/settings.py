"""The settings of the sections `data` and `train`: which there are, each once.

In: a parsed file. Out: the sections by name, with their settings by key; unknown and repeated ones in the report.
Leaves the values of the settings to `sections`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc import syntax as s
from netc.catalog.settings import LATER, SETTINGS
from netc.checker.expressions import Evaluator
from netc.checker.habits import setting, setting_help
from netc.diagnostics import Label, suggestion
from netc.fixes import rewrite, spelling

if TYPE_CHECKING:
    from netc.diagnostics import Fix, Report

Settings = dict[str, s.Setting]
Sections = dict[str, tuple[s.Section, Settings]]


def collect(file: s.File, report: Report) -> dict[str, tuple[s.Section, Settings]]:
    """The sections of a file by name, each with its settings by key; unknown and repeated ones are reported."""
    found: dict[str, tuple[s.Section, Settings]] = {}
    for section in file.definitions:
        if not isinstance(section, s.Section):
            continue
        name = section.name.text
        if name not in SETTINGS:
            report.add(
                "E0501",
                f"there is no section `{name}`",
                section.name.span,
                help=suggestion(name, [*SETTINGS, "network", "module"]) or "the sections are `data` and `train`",
                fix=spelling(name, section.name.span, SETTINGS.keys() - _named(file)),
            )
            continue
        if name in found:
            report.add(
                "E0208",
                f"the section `{name}` stands twice",
                section.name.span,
                "again",
                secondary=[Label(found[name][0].name.span, "first here")],
                help="merge the two",
            )
            continue
        found[name] = section, _settings(section, name, report)
    return found


def _named(file: s.File) -> set[str]:
    """The names of the sections."""
    return {d.name.text for d in file.definitions if isinstance(d, s.Section)}


def _settings(section: s.Section, name: str, report: Report) -> Settings:
    out: Settings = {}
    for entry in section.entries:
        if isinstance(entry, s.Broken):
            continue
        key = entry.key
        if key.text in LATER[name]:
            Evaluator(report, {}).not_yet(key.span, f"the setting `{key.text}`")
        elif key.text not in SETTINGS[name]:
            known = (*SETTINGS[name], *LATER[name])
            other = next((n for n in SETTINGS if key.text in SETTINGS[n]), None)
            hint = f"`{key.text}` belongs in the section `{other}`" if other else setting_help(name, key.text)
            hint = hint or suggestion(key.text, known)
            hint = hint or f"the settings are {', '.join(f'`{k}`' for k in SETTINGS[name])}"
            fix = None if other else _setting_fix(section, key, known)
            report.add("E0502", f"`{name}` has no setting `{key.text}`", key.span, help=hint, fix=fix)
        elif isinstance(entry, s.Group):
            report.add(
                "E0503",
                f"`{key.text}` takes a value, not settings in braces",
                entry.span,
                help=f"write `{key.text} = …`",
            )
        elif key.text in out:
            report.add(
                "E0504",
                f"`{key.text}` is set twice",
                key.span,
                "again",
                secondary=[Label(out[key.text].key.span, "first here")],
                help="remove one of them",
            )
        else:
            out[key.text] = entry
    return out


def _setting_fix(section: s.Section, key: s.Ident, known: tuple[str, ...]) -> Fix | None:
    """The setting that is meant, unless the section has it besides."""
    free = set(known) - {e.key.text for e in section.entries if not isinstance(e, s.Broken)}
    meant = setting(section.name.text, key.text)
    if meant is not None:
        return rewrite(key.span, meant) if meant in free else None
    return spelling(key.text, key.span, free) if setting_help(section.name.text, key.text) is None else None
