"""The page of a run: one HTML file that needs nothing else, no network and no script.

In: the run, its program, the table of its network, its evaluation, its files, as far as they are there. Out: HTML.
Guarantees: whatever comes from the user or from files is escaped, and a policy in the page allows no script and no
address at all; headings, tables and pictures have the markup that a screen reader needs. Leaves reading and writing to
`netc.report.making`.
"""

from __future__ import annotations

import re
import time
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from netc.record import text
from netc.record.reading import RUNNING, sessions
from netc.report import curves, matrix, style

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netc.record.reading import Run
    from netc.report.results import ClassRow, Result

REFRESH = 5  # seconds
_MOST_ROWS = 500
_FEW, _WORST = 20, 10  # classes
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Network(NamedTuple):
    """A network as `netc summary` has it: its name, the rows of its table, its totals."""

    name: str
    rows: Sequence[tuple[str, str, str, str, str]]
    totals: Sequence[str]


class Content(NamedTuple):
    """What a page says.

    note: what has to be known of the program, that it may have changed since, say.
    result_note: why there is no evaluation, where that needs a word.
    files: names of checkpoints with their bytes, epochs and times.
    """

    run: Run
    program: str | None = None
    note: str = ""
    network: Network | None = None
    result: Result | None = None
    result_note: str = ""
    files: Sequence[tuple[str, int, int | None, float]] = ()


def page(content: Content) -> str:
    """The page."""
    run = content.run
    going = run.state == RUNNING
    refresh = [f'<meta http-equiv="refresh" content="{REFRESH}">'] if going else []
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        *refresh,
        f"<title>{escape(run.name)}, {escape(text.state(run))}</title>",
        f"<style>\n{style.PAGE}</style>",
        "</head>",
        "<body>",
        *_header(content),
        "<main>",
        *_curves(run),
        *_result(content),
        *_network(content.network),
        *_program(content),
        *_environment(run),
        *_files(content.files),
        "</main>",
        f"<footer>{_footer(run)}</footer>",
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(parts)


# --- the top ----------------------------------------------------------------------------------------------------------


def _header(content: Content) -> list[str]:
    run = content.run
    name = content.network.name if content.network else run.stem
    number = f"run {run.number}" if run.number is not None else f"run {run.folder.name}"
    state = f'<span class="state {run.state}">{escape(text.state(run))}</span>'
    began = f", began {text.moment(run.began, whole=True)}" if run.began is not None else ""
    began += f", as of {text.moment(time.time(), whole=True)}" if run.state == RUNNING else ""
    return [
        "<header>",
        f"<h1>{escape(name)}, {escape(number)}</h1>",
        f'<p class="about"><code>{escape(run.stem)}.net</code>: {state}{began}</p>',
        *(f'<p class="problem">{escape(problem)}</p>' for problem in [*run.problems, *_failure(run)]),
        '<dl class="facts">',
        *(_fact(*fact) for fact in _facts(content)),
        "</dl>",
        "</header>",
    ]


def _failure(run: Run) -> list[str]:
    """What ended a run that failed."""
    known = sessions(run.environment)
    return [str(known[-1]["problem"])] if run.state == "failed" and known and known[-1].get("problem") else []


def _fact(name: str, value: str, more: str) -> str:
    small = f"<small>{escape(more)}</small>" if more else ""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def _facts(content: Content) -> list[tuple[str, str, str]]:
    run = content.run
    found = []
    for column in run.metrics[:3] if any(c.startswith("validation") for c in run.metrics) else run.metrics[:2]:
        epoch = run.epoch_of_best(column)
        when = f"in epoch {epoch}" if epoch is not None else ""
        found.append((text.head(column), text.value(run.best(column), column), when))
    if content.result is not None and content.result.part == "test":
        found = found[:2]
        name, value = _leading(content.result)
        found.append((f"test {text.head(name)}", text.value(value, name), f"of {content.result.checkpoint}"))
    of = f"of {run.planned}" if run.planned is not None else ""
    found.append(("epochs", str(run.done), of))
    each = f"{text.duration(run.seconds / len(run.rows))} each" if run.seconds is not None and run.rows else ""
    found.append(("time", text.duration(run.seconds), each))
    if content.network is not None:
        count, _, more = content.network.totals[0].partition(" parameters ")
        found.append(("parameters", count, more.strip("()").removesuffix(" in float32")))
    if run.device:
        found.append(("device", run.device, str(run.environment.get("device_name") or "")))
    return found


def _leading(result: Result) -> tuple[str, float]:
    """The metric of an evaluation that says most: accuracy, or whatever stands behind the loss."""
    metrics = dict(result.metrics)
    name = "accuracy" if "accuracy" in metrics else result.metrics[-1][0]
    return name, metrics[name]


# --- the parts --------------------------------------------------------------------------------------------------------


def _curves(run: Run) -> list[str]:
    charts = [chart for chart in curves.charts(run) if curves.picture(chart, run)]
    width = curves.width_of(len(charts))
    pictures = [curves.picture(chart, run, width) for chart in charts]
    if not pictures:
        return ['<h2>Learning curves</h2><p class="note">No epoch is finished.</p>']
    head = ["epoch", *(c for c in run.columns if c != "epoch")]
    step = -(-len(run.rows) // _MOST_ROWS)
    rows = [[_cell(row.get(c, float("nan")), c) for c in head] for row in run.rows[::step]]
    every = "all epochs" if step == 1 else f"every {step}th epoch"
    return [
        "<h2>Learning curves</h2>",
        f'<div class="charts{" narrow" if width == curves.NARROW else ""}">',
        *(f"<figure>{picture}</figure>" for picture in pictures),
        "</div>",
        f"<details><summary>{every.capitalize()} as a table</summary>",
        *_table([text.head(c) for c in head], rows, numbers=range(len(head))),
        "</details>",
    ]


def _cell(number: float, column: str) -> str:
    if column == "epoch":
        return f"{number:g}"
    if column == "seconds":
        return f"{number:.1f}"
    return f"{number:.3g}" if column.startswith("lr") else text.value(number, column)


def _result(content: Content) -> list[str]:
    result = content.result
    if result is None:
        said = content.result_note
        return [f'<h2>Evaluation</h2><p class="note">{escape(said)}</p>'] if said else []
    epoch = f" (epoch {result.epoch})" if result.epoch is not None else ""
    measured = ", ".join(f"{text.head(name)} {text.value(value, name)}" for name, value in result.metrics)
    out = [
        f"<h2>Evaluation on the {escape(result.part)} data</h2>",
        f"<p>{escape(result.checkpoint)}{epoch} on {result.samples:,} samples: {escape(measured)}</p>",
    ]
    picture = matrix.confusion(result) or matrix.scatter(result)
    tables = _classes(result) + _labels(result)
    if picture and tables:
        return [*out, f'<div class="two"><figure>{picture}</figure><div>', *tables, "</div></div>"]
    if picture:
        return [*out, f'<div class="two"><figure>{picture}</figure></div>']
    return [*out, *tables]


def _classes(result: Result) -> list[str]:
    if not result.classes:
        return []
    out = _class_table(result.classes) if len(result.classes) <= _FEW else _many_classes(result.classes)
    pairs = matrix.confused(result)
    if pairs:
        out += ["<h3>Most often taken for another class</h3>"]
        out += _table(["true", "predicted", "times"], [[a, b, f"{n:,}"] for n, a, b in pairs], numbers=(2,))
    return out


def _class_table(classes: Sequence[ClassRow]) -> list[str]:
    rows = [[c.name, f"{c.samples:,}", *map(_percent, (c.precision, c.recall, c.f1))] for c in classes]
    return _table(["class", "samples", "precision", "recall", "F1"], rows, numbers=range(1, 5), head=True)


def _many_classes(classes: Sequence[ClassRow]) -> list[str]:
    """Those that do worst, and the others for who asks."""
    worst = sorted((c for c in classes if c.samples), key=lambda c: c.f1 if c.f1 is not None else 0.0)[:_WORST]
    count = len(classes)
    said = f"All {count:,} classes" if count <= _MOST_ROWS else f"The first {_MOST_ROWS} of {count:,} classes"
    return [
        f"<h3>The {len(worst)} with the lowest F1</h3>",
        *_class_table(worst),
        f"<details><summary>{said}</summary>",
        *_class_table(classes[:_MOST_ROWS]),
        "</details>",
    ]


def _labels(result: Result) -> list[str]:
    """Each of several labels of a sample."""
    if not result.labels:
        return []
    measures = [name for name, _ in result.labels[0].measures]
    binary = result.labels[0].samples is not None
    head = ["label" if binary else "target", *(["samples"] * binary), *map(text.head, measures)]
    rows = [
        [x.name, *([f"{x.samples:,}"] * binary), *("-" if v is None else text.value(v, n) for n, v in x.measures)]
        for x in result.labels[:_MOST_ROWS]
    ]
    rest = len(result.labels) - len(rows)
    more = [f'<p class="note">And {rest:,} more.</p>'] if rest else []
    return [*_table(head, rows, numbers=range(1, len(head)), head=True), *more]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _network(network: Network | None) -> list[str]:
    if network is None:
        return []
    head = ["layer", "what", "output", "parameters", "multiply-adds"]
    shown = network.rows[: 2 * _MOST_ROWS]
    rest = len(network.rows) - len(shown)
    table = _table(head, shown, numbers=(3, 4), code=(0, 1, 2))
    more = [f'<p class="note">And {rest:,} more.</p>'] if rest else []
    if len(shown) > 40:
        table = [f"<details><summary>All {len(network.rows):,} layers and functions</summary>", *table, "</details>"]
    return ["<h2>Network</h2>", f"<p>{escape(', '.join(network.totals))}</p>", *table, *more]


def _program(content: Content) -> list[str]:
    if content.program is None:
        return [f'<h2>Program</h2><p class="note">{escape(content.note)}</p>'] if content.note else []
    settings = content.run.settings
    given = [f"With <code>--set {escape(key)}={escape(value)}</code>" for key, value in settings.items()]
    return [
        "<h2>Program</h2>",
        *([f'<p class="note">{escape(content.note)}</p>'] if content.note else []),
        *(f'<p class="note">{line}</p>' for line in given),
        f'<pre tabindex="0"><code>{_coloured(content.program)}</code></pre>',
    ]


_WORDS_OF_PARTS = "network|module|data|train|import|use|input|output|init"
_MARKED = re.compile(
    r"(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|(?P<comment>#[^\n]*)|"
    rf"(?P<word>^\s*(?:{_WORDS_OF_PARTS})\b(?!\s*[=.:(]))",
    re.M,
)


def _coloured(program: str) -> str:
    """A program as HTML, its comments grey and the words that begin its parts strong."""
    out, at = [], 0
    for found in _MARKED.finditer(program):
        out.append(escape(program[at : found.start()]))
        inner = escape(found[0])
        tag = {"comment": "i", "word": "b"}.get(found.lastgroup or "")
        out.append(f"<{tag}>{inner}</{tag}>" if tag else inner)
        at = found.end()
    return "".join(out) + escape(program[at:])


def _environment(run: Run) -> list[str]:
    environment = run.environment
    known = sessions(environment)
    rows = [[word, str(environment[key])] for word, key in _WORDS if environment.get(key) is not None]
    program = environment.get("program")
    if isinstance(program, dict):
        rows.append(["program", f"{program.get('file')}, SHA-256 {program.get('sha256')}"])
    data = environment.get("data")
    for one in data if isinstance(data, list) else []:
        if isinstance(one, dict):
            said = f"{one.get('name')}, {one.get('path')}: {one.get('files')} files, {size_text(one.get('bytes'))}"
            rows.append(["data", f"{said}, SHA-256 {one.get('sha256')} of their {one.get('of')}"])
    rows += [["command", f"{s.get('command')} ({_course(s)})"] for s in known if s.get("command")]
    if not rows:
        return []
    return ["<h2>Environment</h2>", *_table(None, rows, head=True, css="wrap")]


_WORDS = (
    ("netc", "netc"), ("Python", "python"), ("torch", "torch"), ("torchvision", "torchvision"), ("numpy", "numpy"),
    ("system", "platform"), ("processor", "processor"), ("cores", "cores"), ("device", "device"),
    ("device's name", "device_name"), ("threads", "threads"), ("seed", "seed"),
)  # fmt: skip


def _course(session: dict[str, Any]) -> str:
    said = [str(session.get("began") or "")]
    said += [str(session["outcome"])] if session.get("outcome") else []
    if session.get("processes"):
        hosts = session.get("hosts")
        where = f" on {', '.join(map(str, hosts))}" if isinstance(hosts, list) and hosts else ""
        said.append(f"{session['processes']} processes{where}")
    said += [f"at most {size_text(session['peak_memory'])} of memory"] if session.get("peak_memory") else []
    return ", ".join(part for part in said if part)


def size_text(count: object) -> str:
    """`2.0 KiB`."""
    if not isinstance(count, int):
        return "an unknown size"
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _files(files: Sequence[tuple[str, int, int | None, float]]) -> list[str]:
    if not files:
        return []
    rows = [
        [name, "" if epoch is None else str(epoch), size_text(size), text.moment(when, whole=True)]
        for name, size, epoch, when in files
    ]
    return ["<h2>Checkpoints</h2>", *_table(["file", "epoch", "size", "written"], rows, numbers=(1, 2), code=(0,))]


def _footer(run: Run) -> str:
    made = run.environment.get("netc")
    return f"Made by netc{f' {escape(str(made))}' if made else ''} from the files of {escape(str(run.folder))}."


def _table(
    columns: Sequence[str] | None,
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    code: Iterable[int] = (),
    head: bool = False,
    css: str = "",
) -> list[str]:
    """A table: the names of its columns if it has any, those of `numbers` flush right, those of `code` in its type.

    `head` says that the first cell of each row names the row.
    """
    right, typed = set(numbers), set(code)

    def cell(tag: str, i: int, content: str, scope: str = "") -> str:
        inner = f"<code>{escape(content)}</code>" if i in typed and content and tag == "td" else escape(content)
        kind = ' class="n"' if i in right else ""
        return f"<{tag}{kind}{scope}>{inner}</{tag}>"

    out = [f'<div class="scroll"><table class="{css}">' if css else '<div class="scroll"><table>']
    if columns is not None:
        cells = "".join(cell("th", i, name, ' scope="col"') for i, name in enumerate(columns))
        out.append(f"<thead><tr>{cells}</tr></thead>")
    out.append("<tbody>")
    for row in rows:
        cells = "".join(
            cell("th", i, content, ' scope="row"') if head and i == 0 else cell("td", i, content)
            for i, content in enumerate(row)
        )
        out.append(f"<tr>{cells}</tr>")
    return [*out, "</tbody></table></div>"]
