"""Parameters that are frozen, and groups of them with settings of the optimizer of their own.

In: the lists and braces as parsed; then the training as read, and the network. Out: `ir.Train.freeze` and
`ir.Train.groups`; patterns that match nothing, leave nothing to train, contradict each other or have no effect, in the
report. The same rules as in the generated script: a pattern is a path of the state dict, in which `*` stands for
anything, and of groups that set the same for a parameter the last one counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog import training as facts
from netc.checker.arguments import bind
from netc.checker.expressions import ERROR
from netc.diagnostics import Edit, Fix, Label, nearest
from netc.limits import PATTERN_LENGTH
from netc.literals import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netc.catalog.entry import Entry
    from netc.checker.expressions import Evaluator
    from netc.diagnostics import Report
    from netc.source import Span

    Code = Callable[[s.Expr, Any], str]  # the Python of an argument
    Places = Mapping[Span, Mapping[str, Span]]

# How the whole optimizer computes; torch keeps these in its groups, and no group can differ.
_WHOLE = ("foreach", "fused", "capturable", "differentiable")


def read_freeze(chain: s.Chain, evaluator: Evaluator, places: Any) -> Any:
    """The patterns of `freeze`, each with its place; ERROR where it is no list of texts.

    `places` notes which of them are written there, and not computed.
    """
    step = chain.links[0].step
    whole = len(chain.links) > 1 or isinstance(step, (s.Seq, s.Inline, s.Edited))
    value = ERROR if whole else evaluator.evaluate(step)  # type: ignore[arg-type]
    if value is ERROR and not whole:
        return ERROR
    if whole or not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value) or not value:
        written = isinstance(value, str)
        evaluator.report.add(
            "E0508", "`freeze` is a list of patterns for paths of parameters", chain.span,
            help=f"write `freeze = [{literal(value)}]`" if written else 'write it as in `freeze = ["features.*"]`',
        )  # fmt: skip
        return ERROR
    items = step.items if isinstance(step, (s.List, s.Tuple)) and len(step.items) == len(value) else ()
    spans = [item.span for item in items] or [chain.span] * len(value)
    places.update({item.span: {} for item in items if isinstance(item, s.String)})
    return tuple(zip(value, spans, strict=True))


def read_groups(
    edits: tuple[s.Edit | s.Broken, ...], entry: Entry, evaluator: Evaluator, code: Code, places: Any
) -> Any:
    """The groups in the braces behind an optimizer; ERROR where one is wrong."""
    groups: list[Any] = []
    ok = True
    for edit in edits:
        if isinstance(edit, s.Broken):  # which is reported
            ok = False
            continue
        if edit.kind != "group":
            evaluator.report.add(
                "E0711", f"`{edit.kind}` is for layers, and this is an optimizer", edit.span,
                help='a group of parameters is written as in `"features.*" { lr = 0.01 }`',
            )  # fmt: skip
            ok = False
            continue
        group = _read_group(edit, entry, evaluator, code, places)
        same = next((g for g in groups if g is not ERROR and g.pattern == edit.path.value), None)
        if same is not None:
            evaluator.report.add(
                "E0504", f'the group "{same.pattern}" stands twice', edit.path.span, "again",
                secondary=[Label(same.span, "first here")], help="merge the two",
            )  # fmt: skip
        ok = ok and group is not ERROR and same is None
        groups.append(group)
    return tuple(groups) if ok else ERROR


def _read_group(edit: s.Edit, entry: Entry, evaluator: Evaluator, code: Code, places: Any) -> Any:
    assert isinstance(edit.value, tuple)
    arguments: list[s.Argument] = []
    ok = True
    for setting in edit.value:
        step = setting.value.links[0].step if isinstance(setting, s.Setting) else None
        if isinstance(setting, s.Broken):
            ok = False
        elif step is None or len(setting.value.links) > 1 or isinstance(step, (s.Seq, s.Inline, s.Edited)):  # type: ignore[union-attr]
            evaluator.report.add("E0503", "a setting of a group is a value", setting.span, help="write `lr = 0.01`")
            ok = False
        elif setting.key.text in _WHOLE:
            evaluator.report.add(
                "E0624", f"`{setting.key.text}` is for the whole optimizer, and not for a group", setting.key.span,
                help=f"give it to the optimizer: `{entry.name}({setting.key.text}=…)`",
            )  # fmt: skip
            ok = False
        else:
            arguments.append(s.Argument(setting.key, step, setting.span))
    bound = bind(entry, tuple(arguments), edit.span, evaluator, code)
    if ok and bound.ok and not arguments:
        evaluator.report.add(
            "E0626", f'the group "{edit.path.value}" sets nothing', edit.path.span,
            help="write settings into its braces",
        )  # fmt: skip
        return ERROR
    places[edit.span], places[edit.path.span] = bound.spans, {}
    return ir.ParameterGroup(edit.path.value, bound.args, edit.path.span, edit.span) if ok and bound.ok else ERROR


def settings_of(path: str, groups: tuple[ir.ParameterGroup, ...]) -> dict[str, tuple[object, ir.ParameterGroup]]:
    """What a parameter has of its own: for each setting its value, and the group that it comes from."""
    found: dict[str, tuple[object, ir.ParameterGroup]] = {}
    for group in groups:
        if fnmatchcase(path, group.pattern):
            found |= {name: (arg.value, group) for name, arg in group.settings.items()}
    return found


def is_frozen(path: str, train: ir.Train) -> bool:
    """Whether a parameter keeps its value."""
    return any(fnmatchcase(path, pattern) for pattern, _ in train.freeze)


def count(train: ir.Train, paths: list[str]) -> int:
    """How many groups the optimizer has in the end: one for each set of settings."""
    own = [settings_of(path, train.groups) for path in paths if not is_frozen(path, train)]
    return len({tuple(sorted((n, repr(v)) for n, (v, _) in found.items())) for found in own})


def check(train: ir.Train, network: ir.Network, places: Places, report: Report) -> None:
    """Hold the patterns against the parameters of the network, and the settings against torch."""
    from netc.summary import weights

    paths = [w.path for w in weights(network) if w.trained]
    before = len(report.errors)
    for pattern, span in (*train.freeze, *((g.pattern, g.span) for g in train.groups)):
        if len(pattern) > PATTERN_LENGTH:
            report.add("E0622", f"a pattern has at most {PATTERN_LENGTH} characters", span)
        elif not any(fnmatchcase(path, pattern) for path in paths):
            _no_match(pattern, span, span in places, paths, network, report)
    if len(report.errors) > before:
        return
    trained = [path for path in paths if not is_frozen(path, train)]
    if train.freeze and not trained:
        report.add(
            "E0623", "everything is frozen, and the optimizer has nothing to train",
            train.freeze[0][1].to(train.freeze[-1][1]), help="leave the last layer out, at least",
        )  # fmt: skip
        return
    for group in train.groups:
        _effect(group, train, trained, report)
    _contradictions(train.groups, trained, report)
    _values(train, trained, places, report)
    _overwritten(train, places, report)


def _no_match(pattern: str, span: Span, written: bool, paths: list[str], network: ir.Network, report: Report) -> None:
    """A pattern without a parameter; it can be mended where it is written out and names a module."""
    modules = {path.rsplit(".", cut)[0] for path in paths for cut in range(1, path.count(".") + 1)}
    if pattern in modules:
        better: str | None = f"{pattern}.*"
        fix = Fix("match what is in it", (Edit(span, literal(better)),)) if written else None
    else:
        better, fix = nearest(pattern, [*paths, *(f"{m}.*" for m in modules)]), None
    example = f"such as `{paths[0]}`; `netc summary --params` lists them" if paths else "and the network has none"
    report.add(
        "E0622", f'"{pattern}" matches no parameter of `{network.name}`', span,
        help=f"did you mean {literal(better)}?" if better else f"a pattern is for paths of parameters, {example}",
        fix=fix,
    )  # fmt: skip


def _effect(group: ir.ParameterGroup, train: ir.Train, trained: list[str], report: Report) -> None:
    """A group without effect: all frozen, or every setting of it set again by groups behind it."""
    own = [path for path in trained if fnmatchcase(path, group.pattern)]
    if not own:
        report.add(
            "E0626", f'the group "{group.pattern}" has no effect: all of its parameters are frozen', group.span,
            secondary=[Label(train.freeze[0][1].to(train.freeze[-1][1]), "frozen here")], help="remove one of the two",
        )  # fmt: skip
        return
    used = {id(source) for path in own for _, source in settings_of(path, train.groups).values()}
    if id(group) not in used:
        behind = next(
            g for g in reversed(train.groups) if any(fnmatchcase(path, g.pattern) for path in own) and g is not group
        )
        report.add(
            "E0626", f'the group "{group.pattern}" has no effect: a group behind it sets the same', group.span,
            secondary=[Label(behind.span, "the last one counts")], help="put it behind that, or remove it",
        )  # fmt: skip


def _contradictions(groups: tuple[ir.ParameterGroup, ...], trained: list[str], report: Report) -> None:
    """Two groups that set the same otherwise for some parameters, and neither lies within the other."""
    for i, later in enumerate(groups):
        for earlier in groups[:i]:
            ours = {path for path in trained if fnmatchcase(path, later.pattern)}
            theirs = {path for path in trained if fnmatchcase(path, earlier.pattern)}
            differing = [n for n, a in later.settings.items() if earlier.settings.get(n, a).value != a.value]
            shared = [path for path in trained if path in ours & theirs]
            if not shared or not differing or ours <= theirs or theirs <= ours:
                continue
            name = differing[0]
            report.add(
                "E0625", f'"{earlier.pattern}" and "{later.pattern}" set another `{name}` for `{shared[0]}`',
                later.span, f"{name} = {later.settings[name].code}",
                secondary=[Label(earlier.span, f"{name} = {earlier.settings[name].code}")],
                help="let no parameter match both, or one pattern lie within the other, the wider one first",
            )  # fmt: skip


def _values(train: ir.Train, trained: list[str], places: Places, report: Report) -> None:
    """What torch would reject in the settings of each group together with the optimizer's."""
    base = {p.name: train.optimizer.get(p.name) for p in train.optimizer.entry.params}
    for path in trained:
        found = settings_of(path, train.groups)
        reject = (
            facts.optimizer_reject(train.optimizer.name, base | {n: v for n, (v, _) in found.items()})
            if found
            else None
        )
        if reject is None or facts.optimizer_reject(train.optimizer.name, base) is not None:
            continue
        source = found.get(reject.argument or "", next(iter(found.values())))[1]
        place = places.get(source.whole, {}).get(reject.argument or "", source.span)
        what = f"`{reject.argument}` of `{train.optimizer.name}` can't be {reject.got}"
        report.add("E0620", f"{what}: {reject.reason}", place, help=f"expected {reject.expected}")


def _overwritten(train: ir.Train, places: Places, report: Report) -> None:
    """A rate of a group that a schedule with rates of its own overwrites."""
    if train.schedule is None or train.schedule.name not in facts.SETS_RATE:
        return
    for group in train.groups:
        if "lr" in group.settings:
            report.add(
                "W0830", f'`{train.schedule.name}` sets the rate of all groups, and that of "{group.pattern}" is lost',
                places.get(group.whole, {}).get("lr", group.span),
                secondary=[Label(train.schedule.span, "sets the rates")],
                help="leave `lr` out, or choose a schedule that keeps the rates apart, such as `CosineAnnealingLR`",
            )  # fmt: skip
