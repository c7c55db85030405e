"""Facts about data sets: what a sample is, how many classes there are, which files ship. Those of transforms beside it.

In: the name of a data set or a transform and its arguments, defaults filled in or not. Out: `DatasetFacts`, or the
image that a transform makes of an image. Guarantees: no torch; what torch or torchvision would reject is a `Reject`.
Leaves to others: signatures (`netc.catalog`), reading the files (the generated script), diagnostics (the checker).

The numbers and names are those of torchvision.datasets 0.29 and of the published data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.catalog.data_fields import row_count
from netc.catalog.data_official import OFFICIAL, official_classes, official_part, official_reject
from netc.catalog.data_transforms import (
    CONVERSIONS,
    MIXING,
    UNSUITED,
    Image,
    dtype_name,
    is_random,
    sets_size,
    training_chain,
    transform_image,
)
from netc.catalog.entry import Entry
from netc.limits import CLASSES
from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONVERSIONS",
    "DATASETS",
    "DIGITS",
    "MIXING",
    "UNSUITED",
    "DatasetFacts",
    "Image",
    "dataset_facts",
    "dataset_reject",
    "dtype_name",
    "is_random",
    "part_of",
    "sample_count",
    "sets_size",
    "training_chain",
    "transform_image",
]


class DatasetFacts(NamedTuple):
    """What is known of a data set before any file is opened.

    image: one sample before transforms, values 0 to 255; sizes that differ from file to file are None.
    classes: how many there are; None where only the disk knows (`ImageFolder`).
    class_names: their names in the order of the labels, where they are fixed.
    train_size, test_size: samples in each part; None where unknown. A set without a test part of its own has
        `test_size` 0, and stands for all of its samples wherever it is named.
    label_dtype: None where it hangs on the loss whether labels are classes or numbers.
    """

    image: Image
    classes: int | None
    class_names: tuple[str, ...] | None
    train_size: int | None
    test_size: int | None
    label_dtype: str | None = "int64"


DIGITS = Entry("Digits", "netc", ())  # the only data set that is not torchvision's

_GREY = Image(1, 28, 28, "uint8", 0.0, 255.0)
_COLOUR = Image(3, 32, 32, "uint8", 0.0, 255.0)
_NUMERALS = tuple("0123456789")
_NAMED_NUMERALS = (
    "0 - zero",
    "1 - one",
    "2 - two",
    "3 - three",
    "4 - four",
    "5 - five",
    "6 - six",
    "7 - seven",
    "8 - eight",
    "9 - nine",
)
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_SYLLABLES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100_TEXT = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
_CIFAR100 = tuple(_CIFAR100_TEXT.split())
_UPPER = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = tuple("abcdefghijklmnopqrstuvwxyz")
_MERGED = frozenset("cijklmopsuvwxyz")  # small letters that EMNIST doesn't tell from the capitals
_DISTINCT = tuple(letter for letter in _LOWER if letter not in _MERGED)

# name: (class names, samples to train, to test); labels count from 0, "letters" has no sample with the label 0
_EMNIST = {
    "byclass": (_NUMERALS + _UPPER + _LOWER, 697932, 116323),
    "bymerge": (_NUMERALS + _UPPER + _DISTINCT, 697932, 116323),
    "balanced": (_NUMERALS + _UPPER + _DISTINCT, 112800, 18800),
    "letters": (("N/A", *_LOWER), 124800, 20800),
    "digits": (_NUMERALS, 240000, 40000),
    "mnist": (_NUMERALS, 60000, 10000),
}
_QMNIST = {"train": 60000, "test": 60000, "test10k": 10000, "test50k": 50000, "nist": 402953}
_FIXED = {
    "Digits": DatasetFacts(Image(1, 8, 8, "uint8", 0.0, 255.0), 10, _NUMERALS, 1437, 360),
    "MNIST": DatasetFacts(_GREY, 10, _NAMED_NUMERALS, 60000, 10000),
    "FashionMNIST": DatasetFacts(_GREY, 10, _CLOTHES, 60000, 10000),
    "KMNIST": DatasetFacts(_GREY, 10, _SYLLABLES, 60000, 10000),
    "CIFAR10": DatasetFacts(_COLOUR, 10, _CIFAR10, 50000, 10000),
    "CIFAR100": DatasetFacts(_COLOUR, 100, _CIFAR100, 50000, 10000),
}

DATASETS = (*_FIXED, "EMNIST", "QMNIST", "ImageFolder", "FakeData", *OFFICIAL)


def dataset_facts(call_args: Mapping[str, object], name: str) -> DatasetFacts | None:
    """The facts of a data set with these arguments; None where netc does not serve it or `dataset_reject` objects."""
    if name in _FIXED:
        return _FIXED[name]
    if dataset_reject(call_args, name) is not None:
        return None
    if name == "EMNIST":
        names, train, test = _EMNIST[str(call_args["split"])]
        return DatasetFacts(_GREY, len(names), names, train, test)
    if name == "QMNIST":
        what = call_args.get("what")
        sizes = (60000, 60000) if what is None else (_QMNIST[str(what)], 0)
        return DatasetFacts(_GREY, 10, _NAMED_NUMERALS, *sizes)
    if name == "ImageFolder":
        return DatasetFacts(Image(3, None, None, "uint8", 0.0, 255.0), None, None, None, 0)
    if name == "FakeData":
        return _fake(call_args)
    size = call_args.get("image_size")
    if name == "Arrays" and isinstance(size, (list, tuple)):
        channels, height, width = size
        return DatasetFacts(Image(channels, height, width, "uint8", 0.0, 255.0), None, None, None, 0, None)
    if name == "CSV" and call_args.get("image") is not None:
        return DatasetFacts(Image(3, None, None, "uint8", 0.0, 255.0), None, None, None, 0, None)
    return _official(call_args, name) if name in OFFICIAL else None


def _official(args: Mapping[str, object], name: str) -> DatasetFacts:
    entry = OFFICIAL[name]
    channels, height, width = entry.image
    image = Image(channels, height, width, "uint8", 0.0, 255.0)
    if args.get("folds") is not None:
        sizes: tuple[int | None, int | None] = (1000, 0)
    elif not entry.parts or args.get(entry.argument) is not None:
        sizes = entry.parts.get(official_part(name, args, training=True), entry.size), 0
    else:
        counts = [*entry.parts.values()]
        sizes = counts[0], counts[-1]
    return DatasetFacts(image, official_classes(name, args), entry.names or None, *sizes)


def part_of(call_args: Mapping[str, object], name: str, training: bool) -> str:
    """Which part of a data set is meant; `training` says what one means that does not say `train=`.

    QMNIST has parts of its own, and sets without a test part have one part only, "all".
    """
    what = call_args.get("what")
    if name == "QMNIST" and what is not None:
        return str(what)
    if name in OFFICIAL:
        return official_part(name, call_args, training)
    if name in ("ImageFolder", "FakeData"):
        return "all"
    given = call_args.get("train")
    return "train" if (training if given is None else given) else "test"


def sample_count(call_args: Mapping[str, object], name: str, training: bool) -> int | None:
    """How many samples the part has; None where only the disk knows."""
    facts = dataset_facts(call_args, name)
    if facts is None:
        return row_count(name)
    has_parts = bool(facts.test_size)
    if name in OFFICIAL:
        return facts.train_size if training or not has_parts else facts.test_size
    return facts.test_size if has_parts and part_of(call_args, name, training) == "test" else facts.train_size


def _fake(args: Mapping[str, object]) -> DatasetFacts:
    size, image_size, classes = (args.get(k, v) for k, v in (("size", 1000), ("image_size", (3, 224, 224)), _TEN))
    assert isinstance(size, int)
    assert isinstance(image_size, (tuple, list))
    assert isinstance(classes, int)
    channels, height, width = image_size
    names = tuple(str(i) for i in range(min(classes, CLASSES)))
    return DatasetFacts(Image(channels, height, width, "uint8", 0.0, 255.0), classes, names, size, 0)


_TEN = ("num_classes", 10)


def dataset_reject(call_args: Mapping[str, object], name: str) -> Reject | None:
    """What is wrong with the values of a data set's arguments, their types taken as right; None if nothing is."""
    if name == "EMNIST" and call_args.get("split") not in _EMNIST:
        return Reject("split", _one_of(_EMNIST), repr(call_args.get("split")), "there is no such split")
    if name == "QMNIST":
        what = call_args.get("what")
        if what is not None and what not in _QMNIST:
            return Reject("what", _one_of(_QMNIST), repr(what), "there is no such part")
        if call_args.get("compat") is False:
            return Reject("compat", "True", "False", "a classifier needs one number as label, and not eight")
    if name == "ImageFolder":
        for argument in ("loader", "is_valid_file"):
            if call_args.get(argument) is not None:
                return Reject(argument, "nothing", "a value", "pictures are read with Pillow, as torchvision does")
    if name == "FakeData":
        return _fake_reject(call_args)
    return official_reject(name, call_args) if name in OFFICIAL else None


def _fake_reject(args: Mapping[str, object]) -> Reject | None:
    size = args.get("image_size", (3, 224, 224))
    if not isinstance(size, (tuple, list)) or len(size) != 3:
        return Reject("image_size", "(channels, height, width)", repr(size), "an image has three sizes")
    classes = args.get(*_TEN)
    if isinstance(classes, int) and classes > CLASSES:
        reason = f"{classes:,} classes are more than the {CLASSES:,} that are given names"
        return Reject("num_classes", f"at most {CLASSES:,}", str(classes), reason)
    if size[0] not in (1, 3):
        return Reject("image_size", "1 or 3 channels", str(size[0]), "a picture is grey or has three colours")
    for argument, value in (("image_size", min(size)), ("size", args.get("size", 1)), ("num_classes", args.get(*_TEN))):
        if not isinstance(value, int) or value < 1:
            return Reject(argument, "a positive number", repr(value), "there must be at least one")
    return None


def _one_of(names: Mapping[str, object]) -> str:
    return "one of " + ", ".join(repr(name) for name in names)
