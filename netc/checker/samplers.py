"""How samples are shared out and drawn: the settings `split`, `balance` and `sampler` of the section `data`.

In: the settings as parsed, and the data section as far as it is read. Out: their values, and what contradicts itself,
in the report. Guarantees: the samplers are those of torch.utils.data, with its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc import ir
from netc import syntax as s
from netc.catalog.entry import REQUIRED, Entry, Param
from netc.checker.expressions import ERROR
from netc.checker.gaps import GAP
from netc.diagnostics import Label, suggestion
from netc.fixes import spelling

if TYPE_CHECKING:
    from netc.checker.section_reader import Reader
    from netc.diagnostics import Report

SPLITS = ("stratified", "random", "ordered")
WORKERS = 256  # processes at most
_HOME = "torch.utils.data"
SAMPLERS = {
    "RandomSampler": Entry(
        "RandomSampler", _HOME, (Param("replacement", "bool", False), Param("num_samples", "int|None", None))
    ),
    "SequentialSampler": Entry("SequentialSampler", _HOME, ()),
    "SubsetRandomSampler": Entry("SubsetRandomSampler", _HOME, (Param("indices", "ints", REQUIRED),)),
}
_INSTEAD = {"WeightedRandomSampler": "write `balance = True`, which draws each class equally often"}


def split(reader: Reader, key: str, chain: s.Chain) -> Any:
    """One of the ways to share out."""
    value = reader.value(chain, "how samples are shared out")
    if value is ERROR or value in SPLITS:
        return value
    step = chain.links[0].step
    fix = spelling(value, step.span, [f'"{n}"' for n in SPLITS]) if isinstance(value, str) else None
    reader.report.add(
        "E0508", f'`{key}` is "stratified", "random" or "ordered"', chain.span, f"this is `{value!r}`", fix=fix,
        help=suggestion(value if isinstance(value, str) else "", SPLITS) or 'write `split = "ordered"` for time series',
    )  # fmt: skip
    return ERROR


def sampler(reader: Reader, key: str, chain: s.Chain) -> Any:
    """A sampler of torch, as a call."""
    step = reader.single(chain, "a sampler")
    callee = step.callee if isinstance(step, s.Call) else step
    if step is ERROR:
        return ERROR
    entry = SAMPLERS.get(callee.text) if isinstance(callee, s.Name) else None
    if entry is None:
        name = callee.text if isinstance(callee, s.Name) else ""
        reader.report.add(
            "E0506", f"`{key}` is a sampler", chain.span,
            help=_INSTEAD.get(name) or suggestion(name, SAMPLERS) or f"there are {', '.join(SAMPLERS)}",
            fix=spelling(name, callee.span, SAMPLERS) if name else None,
        )  # fmt: skip
        return ERROR
    call = reader.call(entry, step)
    if call is ERROR:
        return ERROR
    problem = _wrong(call)
    if problem:
        reader.report.add("E0508", problem, reader.spans.get(call.entry.params[-1].name, step.span))
        return ERROR
    return call


def workers(reader: Reader, key: str, chain: s.Chain) -> Any:
    """How many processes make samples."""
    value = reader.value(chain, "a count")
    if value is ERROR or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WORKERS):
        return value
    reader.report.add(
        "E0508", f"`{key}` is a count from 0 to {WORKERS}", chain.span, f"this is `{value!r}`",
        help=f"write `{key} = 2`, no more than the machine has processors",
    )  # fmt: skip
    return ERROR


def _wrong(call: ir.Call) -> str | None:
    if call.name == "RandomSampler":
        count: Any = call.get("num_samples")
        return "`num_samples` is a positive integer" if count is not None and count < 1 else None
    if call.name == "SubsetRandomSampler":
        indices: Any = call.get("indices")
        items = list(indices) if isinstance(indices, (list, tuple, range)) else [indices]
        if not items or min(items) < 0:
            return "`indices` are the positions of samples, from 0"
    return None


def drawn(data: ir.Data, count: int | None) -> int | None:
    """How many samples an epoch has, of `count` to train on; None where that is unknown."""
    if data.sampler is None:
        return count
    if data.sampler.name == "SubsetRandomSampler":
        indices: Any = data.sampler.get("indices")
        return len(indices) if isinstance(indices, (list, tuple, range)) else 1
    number: Any = data.sampler.get_or("num_samples", None)
    return count if number is None else int(number)


def check(data: ir.Data, places: dict[str, Any], report: Report) -> None:
    """Report settings that contradict each other. `places` are those of their values."""
    if any(value is GAP for value in (data.validation, data.test, data.split, data.balance, data.sampler, data.fields)):
        return
    shares = [key for key in ("validation", "test") if isinstance(getattr(data, key), (int, float))]
    if data.split is not None and not shares:
        report.add(
            "E0541", "`split` says how a share of `train` is held out, and none is", places["split"],
            help="hold one out, as in `validation = 0.1`, or leave `split` out",
        )  # fmt: skip
    for key in ("cache", "cache_size"):
        if (
            key in places
            and data.train is not GAP
            and data.kind
            and not (data.kind in ("python", "arrays") and data.cache is False)
        ):
            known = {"python": "a Python data set knows", "arrays": "arrays know"}.get(data.kind)
            meant = f"; {known} `cache = False` alone" if known else ""
            report.add(
                "E0541", f"`{key}` is for pictures, and the samples of `{data.train.name}` are none{meant}",
                places[key], help="leave it out",
            )  # fmt: skip
    if data.fields and data.train is not GAP and data.kind != "python":
        way_out = "name the arrays with `inputs` and `labels`" if data.kind == "arrays" else "leave it out"
        report.add(
            "E0541", f"`fields` names the parts of a sample of a Python data set, and `{data.train.name}` is none",
            places["fields"], help=way_out,
        )  # fmt: skip
    if data.workers and data.workers is not GAP and data.train is not GAP and data.kind != "python":
        does = "are in memory" if data.kind else "are decoded once, and changed a batch at a time"
        report.add(
            "E0541", f"`workers` make the samples of a Python data set, and those of `{data.train.name}` {does}",
            places["workers"], help="leave it out: worker processes would only cost time",
        )  # fmt: skip
    if data.sampler is None:
        return
    if data.balance:
        report.add(
            "E0541", "`balance` and `sampler` both say what an epoch draws", places["sampler"],
            secondary=[Label(places["balance"], "draws each class equally often")], help="leave one of them out",
        )  # fmt: skip
    elif data.sampler.name == "SubsetRandomSampler" and shares:
        report.add(
            "E0541", "`SubsetRandomSampler` takes its own share of `train`, and another is held out of it",
            places["sampler"], secondary=[Label(places[shares[0]], "held out")],
            help=f'leave the sampler out: with `split = "ordered"` `{shares[0]}` are the last samples of `train`',
        )  # fmt: skip
