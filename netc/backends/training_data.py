"""How `train.py` gets at its data: which files it reads, and with what code.

In: the data section as checked. Out: constants, functions and imports of the script, and the body of `load_data`.
Guarantees: a set that fits into memory is read without torchvision; what the file says stands in the script as literals
only. Leaves what happens to the images to `training_images`, the order of the script to `training`.

File names, parts and MD5 sums are those of torchvision.datasets 0.29.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.backends import training_samples
from netc.catalog.data import dataset_facts
from netc.catalog.data_official import OFFICIAL
from netc.literals import literal

if TYPE_CHECKING:
    from pathlib import Path

    from netc import ir
    from netc.catalog.data import DatasetFacts

_CIFAR = {
    "CIFAR10": (
        "cifar-10-batches-py",
        "labels",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        {"test_batch": "40351d587109b95175f43aff81a1287e"},
    ),
    "CIFAR100": (
        "cifar-100-python",
        "fine_labels",
        {"train": "16019d7e3df5f24257cddd939b257f8d"},
        {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    ),
}
_QMNIST = {"train": "qmnist-train", "test": "qmnist-test", "test10k": "qmnist-test", "test50k": "qmnist-test"}
_QMNIST_PART = {"test10k": "[:10000]", "test50k": "[10000:]"}
_PHRASES = {
    "CSV": "pictures of a table",
    "Digits": "the handwritten digits in digits/",
    "FakeData": "random images (FakeData)",
}


class Part(NamedTuple):
    """One part of the data: what it is for, the call, and how the script reads it.

    kind: "idx", "gzip", "qmnist", "cifar", "folder" or "fake", which is also the code that reads it; "listed" and
        "opened" are sets of torchvision, of picture files and with their images, "rows" a table that lists pictures.
    folder: Python for the folder of its files, or "".
    names: the files.
    fetch: keyword arguments for torchvision's class, as Python, where the file says `download=True`.
    """

    role: str
    call: ir.Call
    kind: str
    folder: str = ""
    names: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    detail: str = ""

    @property
    def facts(self) -> DatasetFacts:
        facts = dataset_facts({name: arg.value for name, arg in self.call.args.items()}, self.call.name)
        assert facts is not None
        return facts


def parts(data: ir.Data) -> tuple[Part, ...]:
    """The parts that have a data set of their own, `train` first; a share held out of it has none."""
    found = [_part("train", data.train)]
    if data.validation is not None and not isinstance(data.validation, (int, float)):
        found.append(_part("validation", _alike(data.validation, data.train)))
    if data.test is not None and not isinstance(data.test, (int, float)):
        found.append(_part("test", _alike(data.test, data.train)))
    return tuple(found)


def _alike(call: ir.Call, train: ir.Call) -> ir.Call:
    """A further table of pictures, which is read as that for training."""
    if call.name != "CSV":
        return call
    return call._replace(args={**{n: a for n, a in train.args.items() if n != "folder"}, **call.args})


def phrase(call: ir.Call) -> str:
    """What the data is, for the docstring of the script."""
    return _PHRASES.get(call.name, call.name)


def _part(role: str, call: ir.Call) -> Part:
    if call.name == "FakeData":
        return Part(role, call, "fake")
    if call.name == "Arrays":
        path = call.get("path")
        return Part(role, call, "arrays", f"Path({literal(path)})" if path is not None else "")
    if call.name == "CSV":
        return Part(role, call, "rows", f"Path({literal(call.get('path'))})")
    if call.name in OFFICIAL:
        return Part(role, call, "listed" if OFFICIAL[call.name].listed else "opened")
    training = call.args["train"].value is True if "train" in call.args else role == "train"
    if call.name == "Digits":
        start = "train" if training else "t10k"
        return Part(role, call, "gzip", 'Path(__file__).parent / "digits"', _idx_names(start, ".gz"))
    root = call.get("root")
    assert isinstance(root, str)
    if call.name == "ImageFolder":
        return Part(role, call, "folder", f"Path({literal(root)})", detail=str(call.get("allow_empty")))
    part = _cifar(role, call, root, training) if call.name in _CIFAR else _mnist(role, call, root, training)
    if not call.get("download"):
        return part
    kept = {name: call.get(name) for name in ("root", "split", "what") if name in call.args}
    return part._replace(fetch=tuple(f"{name}={literal(value)}" for name, value in kept.items()))


def _cifar(role: str, call: ir.Call, root: str, training: bool) -> Part:
    folder, key, train, test = _CIFAR[call.name]
    files = train if training else test
    path = f"Path({literal(f'{root}/{folder}')})"
    return Part(role, call, "cifar", path, tuple(files), tuple(files.values()), detail=key)


def _mnist(role: str, call: ir.Call, root: str, training: bool) -> Part:
    folder = f"Path({literal(f'{root}/{call.name}/raw')})"
    if call.name == "EMNIST":
        return Part(
            role, call, "idx", folder, _idx_names(f"emnist-{call.get('split')}-{'train' if training else 'test'}")
        )
    if call.name != "QMNIST":
        return Part(role, call, "idx", folder, _idx_names("train" if training else "t10k"))
    what = call.get("what") or ("train" if training else "test")
    start = _QMNIST.get(str(what), "xnist")
    names = (f"{start}-images-idx3-ubyte", f"{start}-labels-idx2-int")
    return Part(role, call, "qmnist", folder, names, detail=_QMNIST_PART.get(str(what), ""))


def _idx_names(start: str, end: str = "") -> tuple[str, ...]:
    return (f"{start}-images-idx3-ubyte{end}", f"{start}-labels-idx1-ubyte{end}")


def folders(found: tuple[Part, ...]) -> dict[str, str]:
    """The constant that holds the folder of each part, by role; one constant where all parts share a folder."""
    with_folder = [part for part in found if part.folder]
    if len({part.folder for part in with_folder}) == 1:
        return {part.role: "DATA" for part in with_folder}
    return {part.role: f"{part.role.upper()}_DATA" for part in with_folder}


def files_to_ship(data: ir.Data | None) -> list[tuple[Path, str]]:
    """The files that have to lie beside `train.py`: where each is, and its path relative to the script.

    Only `Digits` has any: its images and labels, and the README that names their source and licence.
    """
    if data is not None and data.kind:
        return training_samples.files_to_ship(data)
    if data is None or not any(part.call.name == "Digits" for part in parts(data)):
        return []
    from pathlib import Path

    folder = Path(__file__).parents[1] / "digits"
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".gz", ".md"))
    return [(folder / name, f"digits/{name}") for name in names]
