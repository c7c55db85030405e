"""Data sets that torchvision opens: their parts, and how the script takes pictures or images from them.

In: the parts of the data. Out: constants and functions of `train.py`. Guarantees: only the argument that says the part
and what the file gives are passed; of a set of picture files torchvision gives the paths, and decodes none. Leaves
decoding and keeping to `training_pictures`.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from netc.backends.layout import Text, call
from netc.catalog.data_official import OFFICIAL, official_part
from netc.literals import literal

if TYPE_CHECKING:
    from netc.backends.training_data import Part
    from netc.catalog.data_official import Official

_OPEN = '''
@cache
def open_part(name: str) -> Any:
    """A part of the data, as torchvision opens it."""
    try:
        return PARTS[name]()
    except Exception as error:
        fail(f"the {name} data cannot be opened: {error}")
'''
_NAMES = '''
def class_names() -> list[str]:
    """The classes, as torchvision names them."""
    part = open_part("train")
    return @NAMES@
'''
_LISTED = '''
def find_pictures(name: str) -> tuple[list[Path], Tensor]:
    """The picture files of a part, and their labels, int64 [N]."""
    part = open_part(name)
@PAIRS@
    if not pairs:
        fail(f"the {name} data has no pictures")
    files = [Path(file) for file, _ in pairs]
    return files, torch.tensor([label for _, label in pairs])
'''
_OPENED = '''
def read_images(name: str) -> tuple[Tensor, Tensor]:
    """The images of a part, uint8 [N, @CHANNELS@, @HEIGHT@, @WIDTH@], and the labels, int64 [N]."""
    part = open_part(name)
    images, labels = zip(*(part[i] for i in range(len(part))), strict=True)
    if None in labels:
        fail(f"the {name} data has no labels")
    pixels = torch.frombuffer(
        bytearray(b"".join(image.tobytes() for image in images)),
        dtype=torch.uint8,
    )
    pixels = pixels.view(-1, @HEIGHT@, @WIDTH@, @CHANNELS@).permute(0, 3, 1, 2)
    return pixels.contiguous(), torch.tensor(labels)
'''
_PCAM = '''
def read_images(name: str) -> tuple[Tensor, Tensor]:
    """The images of a part, uint8 [N, 3, 96, 96], and the labels, int64 [N]."""
    part = open_part(name)
    found = []
    for what, key in (("images", "x"), ("targets", "y")):
        path = Path(part.root, "pcam", part._FILES[part._split][what][0])
        try:
            with part.h5py.File(path) as file:
                found.append(torch.from_numpy(file[key][:]))
        except OSError as error:
            fail(f"{path} cannot be read: {error}")
    return found[0].permute(0, 3, 1, 2), found[1].flatten().long()
'''


def constants(parts: tuple[Part, ...]) -> list[str]:
    """How each part is opened; nothing where torchvision opens none."""
    items = [_opened(part) for part in parts if part.call.name in OFFICIAL]
    if not items:
        return []
    lines = list(call("{", items, "}", broken=True).lines(0, "PARTS: dict[str, Callable[[], Any]] = "))
    return ["# What torchvision opens", *lines]


def _opened(part: Part) -> Text:
    entry = OFFICIAL[part.call.name]
    given = [f"{name}={literal(arg.value)}" for name, arg in part.call.args.items()]
    if entry.parts and entry.argument not in part.call.args:
        meant = official_part(part.call.name, {}, part.role == "train")
        value: object = (meant == "train") if entry.argument == "train" else meant
        given.append(f"{entry.argument}={literal(value)}")
    if entry.listed and (part.call.name == "ImageNet" or any(p.name == "loader" for p in part.call.entry.params)):
        given.append("loader=str")
    return call(f'"{part.role}": lambda: datasets.{part.call.name}(', [Text(item) for item in given], ")")


def functions(parts: tuple[Part, ...]) -> list[str]:
    """The functions that open the parts and read them."""
    named = next((part for part in parts if part.call.name in OFFICIAL), None)
    if named is None:
        return []
    entry = OFFICIAL[named.call.name]
    if not entry.listed:
        text = _PCAM if named.call.name == "PCAM" else _sized(_OPENED, entry)
        return [_OPEN, text]
    binary = named.call.get_or("target_types", None) == "binary-category"
    pairs = entry.pairs or "pairs = [part[i] for i in range(len(part))]"
    pairs = pairs.replace("_labels", "_bin_labels") if binary else pairs
    listed = _LISTED.replace("@PAIRS@", indent(pairs.strip("\n"), "    "))
    names = "part.bin_classes" if binary else entry.named
    return [_OPEN, *([_NAMES.replace("@NAMES@", names)] if names else []), listed]


def _sized(text: str, entry: Official) -> str:
    channels, height, width = entry.image
    for mark, size in (("CHANNELS", channels), ("HEIGHT", height), ("WIDTH", width)):
        text = text.replace(f"@{mark}@", str(size))
    return text


def needed(parts: tuple[Part, ...]) -> list[str]:
    """What has to be installed besides torch."""
    entries = [OFFICIAL[part.call.name] for part in parts if part.call.name in OFFICIAL]
    return ["torchvision"] * bool(entries) + sorted({entry.needs for entry in entries if entry.needs})
