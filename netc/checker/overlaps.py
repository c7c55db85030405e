"""Images that are meant for one thing and are there for another: held-out sets against the training set.

In: the data section as checked. Out: sets that share images, and counts that a set doesn't have, in the report.
Guarantees: no file is opened; folders are compared by their paths as they are written.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from netc import ir
from netc.catalog import data_fields
from netc.catalog.data import part_of, sample_count
from netc.checker.training_checks import held_out, training_images
from netc.diagnostics import Label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netc.diagnostics import Report
    from netc.source import Span

# The parts of QMNIST and others that lie within another.
_WITHIN = {
    "test10k": ("test", "nist"),
    "test50k": ("test", "nist"),
    "test": ("nist",),
    "train": ("nist", "trainval"),
    "val": ("trainval",),
}


def check(data: ir.Data, settings: Mapping[str, Span], report: Report) -> None:
    """Report sets that overlap, and what can't be held out. `settings` are the places of their values."""
    named = [("train", data.train), ("validation", data.validation), ("test", data.test)]
    sets = [(role, call) for role, call in named if isinstance(call, ir.Call)]
    for role, call in sets[1:]:
        how = overlap(data.train, call)
        if how is not None:
            _leak(role, call, data.train, how, report)
    if len(sets) == 3 and overlap(sets[1][1], sets[2][1], training=False) == "the same":
        report.add(
            "W0820", f"the {_noun(data.train)} for test are those for validation, which choose the best epoch",
            sets[2][1].span,
            secondary=[Label(sets[1][1].span, "chooses the best epoch")],
            help=f"hold a share of the training {_noun(data.train)} out: `validation = 0.1`",
        )  # fmt: skip
    _counts(data, settings, report)


def overlap(one: ir.Call, other: ir.Call, training: bool = True) -> str | None:
    """How two sets share images, in words; `training` says whether the first is the training set."""
    if one.name != other.name:
        return None
    if one.name == "ImageFolder":
        return _folders(str(one.get("root")), str(other.get("root")))
    if one.entry.home.startswith("python:"):
        values = [{p.name: repr(c.get(p.name)) for p in c.entry.params} for c in (one, other)]
        return "the same" if one.entry.home == other.entry.home and values[0] == values[1] else None
    if one.name == "CSV" or (one.name == "Arrays" and one.get("path") is not None):
        return "the same" if _folders(str(one.get("path")), str(other.get("path"))) == "the same" else None
    if one.name == "Arrays":
        return "the same" if one.get("inputs") == other.get("inputs") else None
    if one.name == "FakeData":
        return None  # random images: nothing leaks
    if one.name == "EMNIST" and one.get("split") != other.get("split"):
        return None
    ours, theirs = _part(one, training), _part(other, training=False)
    if ours == theirs:
        return "the same"
    if ours in _WITHIN.get(theirs, ()):
        return "a part of"
    return "more than" if theirs in _WITHIN.get(ours, ()) else None


def _part(call: ir.Call, training: bool) -> str:
    if data_fields.sample_kind(call.name, call.entry.home):
        return "all"
    return part_of({n: a.value for n, a in call.args.items()}, call.name, training)


def _noun(call: ir.Call) -> str:
    """What its samples are called."""
    kind = data_fields.sample_kind(call.name, call.entry.home)
    return "rows" if kind == "table" else "samples" if kind else "images"


def _folders(one: str, other: str) -> str | None:
    ours, theirs = posixpath.normpath(one.replace("\\", "/")), posixpath.normpath(other.replace("\\", "/"))
    if ours == theirs:
        return "the same"
    if ours == "." and not theirs.startswith(("/", "..")):
        return "a part of"
    if theirs.startswith(f"{ours.rstrip('/')}/"):
        return "a part of"
    return "more than" if ours.startswith(f"{theirs.rstrip('/')}/") else None


def _leak(role: str, call: ir.Call, train: ir.Call, how: str, report: Report) -> None:
    share = {"the same": "those", "a part of": "some of those", "more than": "those"}[how]
    further = ", and more" if how == "more than" else ""
    explicit = call.args.get("train")
    if explicit is not None and explicit.value is True:
        way_out = f"leave `train=True` out: under `{role}`, `{call.name}` means its test part"
    elif data_fields.sample_kind(call.name, call.entry.home):
        where = "a file of its own" if call.name in ("CSV", "Arrays") else "nothing of its own"
        way_out = f"hold a share out, as in `{role} = 0.2`" + f", or give it {where}" * (call.name in ("CSV", "Arrays"))
    elif call.name == "ImageFolder":
        way_out = "give each its own folder" + (", or hold a share out: `validation = 0.1`" if role != "test" else "")
    elif role == "validation":
        way_out = "hold a share of the training images out: `validation = 0.1`"
    else:
        way_out = "use another part"
    report.add(
        "E0521", f"the {_noun(call)} for {role} are {share} for training{further}", call.span,
        secondary=[Label(train.span, "trained on these")],
        notes=[f"what was trained on says nothing about other {_noun(call)}"], help=way_out,
    )  # fmt: skip


def _counts(data: ir.Data, settings: Mapping[str, Span], report: Report) -> None:
    """What is held out, and the batch, against the number of images."""
    values = {n: a.value for n, a in data.train.args.items()}
    whole, noun = sample_count(values, data.train.name, training=True), _noun(data.train)
    if whole is None:
        return
    one = {"images": "image", "rows": "row", "samples": "sample"}[noun]
    for key, value in (("validation", data.validation), ("test", data.test)):
        if not isinstance(value, (int, float)):
            continue
        held = held_out(value, whole)
        if not 0 < held < whole:
            what = (
                f"{held:,} {noun if held != 1 else one} can't be held out of {whole:,}"
                if held
                else (f"{value:g} of {whole:,} {noun} is less than one")
            )
            report.add("E0522", what, settings[key], secondary=[Label(data.train.span, f"{whole:,} {noun}")],
                       help=f"hold fewer out, such as `{key} = 0.1`" if held else "hold more out")  # fmt: skip
            return
    images = training_images(data)
    if images is not None and images < 1:
        report.add("E0522", f"nothing is left of {whole:,} {noun} to train on", settings["test"],
                   secondary=[Label(settings["validation"], "held out too")],
                   help="hold fewer out, such as `validation = 0.1` and `test = 0.2`")  # fmt: skip
    elif images is not None and data.batch_size > images:
        report.add(
            "W0821", f"a batch of {data.batch_size:,} {noun} is more than there are to train on",
            settings["batch_size"],
            secondary=[Label(data.train.span, f"{images:,} {noun}" + (", some held out" if images != whole else ""))],
            help=f"an epoch has one step; choose a `batch_size` below {images:,}",
        )  # fmt: skip
