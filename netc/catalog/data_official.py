"""Facts about the data sets that torchvision's own classes open: their parts, classes and images.

In: the name of a data set and its arguments, defaults filled in or not. Out: an `Official`, the part that is meant, or
a `Reject`. Guarantees: no torch. Leaves to others: signatures (`netc.catalog`), opening files (the generated script).

The numbers are those of torchvision.datasets 0.29 and of the published data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netc.shapes import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

    Args = Mapping[str, object]


class Official(NamedTuple):
    """What is known of a data set of torchvision.

    classes: how many there are, or for each value of an argument.
    parts: its parts with their sizes (None where they aren't known), the one to train on first, the one to evaluate on
        last; empty for a set in one piece, whose size `size` says.
    image: channels, height and width of an image, sizes that differ as None.
    listed: whether it is a list of picture files, which the script decodes itself; else torchvision holds the images.
    names: the classes by name, where they are few; else `named`, Python for their list, of the opened `part`.
    pairs: Python that makes `pairs` of `part`, file and label of each sample, where indexing it does not.
    needs: what has to be installed besides.
    argument: the parameter that says the part.
    others: what further parameters may be.
    unlabelled: parts that have no labels.
    """

    classes: int | Mapping[object, int]
    parts: Mapping[str, int | None] = {}
    size: int | None = None
    image: tuple[int, int | None, int | None] = (3, None, None)
    listed: bool = True
    names: tuple[str, ...] = ()
    named: str = ""
    pairs: str = ""
    needs: str = ""
    argument: str = "split"
    others: Mapping[str, tuple[object, ...]] = {}
    unlabelled: tuple[str, ...] = ()


_DIGITS = tuple("0123456789")
_THREE = {"train": None, "val": None, "test": None}
_CLASSES = "part.classes"
_LONG = '", ".join(names) for names in part.classes'
_CALTECH = """
folder = Path(part.root, "{}_ObjectCategories")
pairs = [
    (folder / part.categories[y] / f"{}", y)
    for i, y in zip(part.index, part.y, strict=True)
]
"""
_SORTED = "pairs = sorted(part[i] for i in range(len(part)))  # as folders list them otherwise"
_PICTURES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_YEARS: Mapping[object, int] = {
    "2021_train": 10000, "2021_train_mini": 10000, "2017": 5089, "2018": 8142, "2019": 1010, "2021_valid": 10000,
}  # fmt: skip

OFFICIAL: Mapping[str, Official] = {
    "CLEVRClassification": Official(
        11, {"train": 70000, "val": 15000}, image=(3, 320, 480), names=tuple(str(i) for i in range(11)),
        unlabelled=("test",),
    ),
    "Caltech101": Official(
        101, size=8677, named="part.categories", pairs=_CALTECH.format(101, "image_{i:04}.jpg"),
        others={"target_type": ("category",)},
    ),
    "Caltech256": Official(
        257, size=30607, named="part.categories", pairs=_CALTECH.format(256, "{y + 1:03}_{i:04}.jpg"),
    ),
    "Country211": Official(211, {"train": 31650, "valid": 10550, "test": 21100}, named=_CLASSES),
    "DTD": Official(
        47, {"train": 1880, "val": 1880, "test": 1880}, named=_CLASSES, others={"partition": tuple(range(1, 11))},
    ),
    "EuroSAT": Official(10, size=27000, image=(3, 64, 64), named=_CLASSES),
    "FER2013": Official(
        7, {"train": 28709, "test": 7178}, image=(1, 48, 48), listed=False,
        names=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    ),
    "FGVCAircraft": Official(
        {"variant": 100, "family": 70, "manufacturer": 41},
        {"trainval": 6667, "train": 3334, "val": 3333, "test": 3333}, named=_CLASSES,
        others={"annotation_level": ("variant", "family", "manufacturer")},
    ),
    "Flowers102": Official(
        102, {"train": 1020, "val": 1020, "test": 6149}, named=_CLASSES, needs="SciPy",
    ),
    "Food101": Official(101, {"train": 75750, "test": 25250}, named=_CLASSES),
    "GTSRB": Official(
        43, {"train": 26640, "test": 12630}, names=tuple(str(i) for i in range(43)), pairs="pairs = part._samples",
    ),
    "INaturalist": Official(
        _YEARS, dict.fromkeys(map(str, _YEARS)), named="part.all_categories", pairs=_SORTED, argument="version",
        others={"target_type": ("full",)},
    ),
    "ImageNet": Official(1000, {"train": 1281167, "val": 50000}, named=f"[{_LONG}]", needs="SciPy"),
    "Imagenette": Official(
        10, {"train": 9469, "val": 3925}, named=f"[{_LONG}]", others={"size": ("full", "320px", "160px")},
    ),
    "LFWPeople": Official(
        5749, size=13233, image=(3, 250, 250), named="list(part.class_to_idx)",
        others={"split": ("10fold", "train", "test"), "image_set": ("original", "funneled", "deepfunneled")},
    ),
    "Omniglot": Official(
        {True: 964, False: 659}, image=(3, 105, 105), named="part._characters",
        others={"background": (True, False)},
    ),
    "OxfordIIITPet": Official(
        {"category": 37, "binary-category": 2}, {"trainval": 3680, "test": 3669}, named=_CLASSES,
        pairs="pairs = list(zip(part._images, part._labels, strict=True))",
        others={"target_types": ("category", "binary-category")},
    ),
    "PCAM": Official(
        2, {"train": 262144, "val": 32768, "test": 32768}, image=(3, 96, 96), listed=False,
        names=("normal", "tumour"), needs="h5py",
    ),
    "Places365": Official(
        365, {"train-standard": 1803460, "train-challenge": 8026628, "val": 36500}, named=_CLASSES,
        others={"small": (True, False)}, unlabelled=("test",),
    ),
    "RenderedSST2": Official(
        2, {"train": 6920, "val": 872, "test": 1821}, image=(3, 448, 448), names=("negative", "positive"),
    ),
    "SEMEION": Official(10, size=1593, image=(1, 16, 16), listed=False, names=_DIGITS),
    "STL10": Official(
        10, {"train": 5000, "test": 8000}, image=(3, 96, 96), listed=False, names=_PICTURES,
        others={"folds": (None, *range(10))}, unlabelled=("unlabeled", "train+unlabeled"),
    ),
    "SUN397": Official(397, size=108754, named=_CLASSES, pairs=_SORTED),
    "SVHN": Official(
        10, {"train": 73257, "extra": 531131, "test": 26032}, image=(3, 32, 32), listed=False, names=_DIGITS,
        needs="SciPy",
    ),
    "StanfordCars": Official(196, {"train": 8144, "test": 8041}, named=_CLASSES, needs="SciPy"),
    "USPS": Official(
        10, {"train": 7291, "test": 2007}, image=(1, 16, 16), listed=False, names=_DIGITS, argument="train",
    ),
}  # fmt: skip

_GONE = {
    "StanfordCars": "torchvision has no address for it any more",
    "LFWPeople": "torchvision has no address for it any more",
}

# Data sets of torchvision that are not for telling classes apart, each with what they are for.
OTHER_USES: Mapping[str, str] = {
    **dict.fromkeys(
        "CREStereo CarlaStereo ETH3DStereo FallingThingsStereo InStereo2k Kitti2012Stereo Kitti2015Stereo "
        "Middlebury2014Stereo SceneFlowStereo SintelStereo".split(), "it has pairs of pictures for their depth",
    ),
    **dict.fromkeys(
        "FlyingChairs FlyingThings3D HD1K KittiFlow Sintel".split(), "it has pairs of pictures for what moves in them",
    ),
    **dict.fromkeys("HMDB51 Kinetics MovingMNIST UCF101".split(), "it has videos"),
    **dict.fromkeys("CocoDetection Kitti VOCDetection WIDERFace".split(), "it has boxes around what is in a picture"),
    **dict.fromkeys("Cityscapes SBDataset VOCSegmentation".split(), "it has a class for each pixel"),
    **dict.fromkeys("CocoCaptions Flickr30k Flickr8k SBU".split(), "it has sentences about pictures"),
    **dict.fromkeys("LFWPairs PhotoTour".split(), "it has pairs of pictures that are the same or not"),
    "CelebA": "it has forty answers for each picture",
    "DatasetFolder": "its files are read by a function; `ImageFolder` reads pictures",
    "LSUN": "it is kept in the files of a database",
}  # fmt: skip


def official_classes(name: str, args: Args) -> int:
    """How many classes a data set has with these arguments."""
    classes = OFFICIAL[name].classes
    if isinstance(classes, int):
        return classes
    key = "background" if name == "Omniglot" else OFFICIAL[name].argument
    key = next((k for k in ("annotation_level", "target_types") if k in OFFICIAL[name].others), key)
    return classes[args.get(key, next(iter(classes)))]


def official_part(name: str, args: Args, training: bool) -> str:
    """The part that is meant; `training` says which one means that is not said."""
    entry = OFFICIAL[name]
    if not entry.parts:
        return "all"
    given = args.get(entry.argument)
    if isinstance(given, bool):
        return "train" if given else "test"
    return str(given) if given is not None else (next(iter(entry.parts)) if training else [*entry.parts][-1])


def official_reject(name: str, args: Args) -> Reject | None:
    """What is wrong with the values of the arguments; None where nothing is."""
    entry = OFFICIAL[name]
    if args.get("loader") is not None:
        return Reject("loader", "nothing", "a value", "pictures are read with Pillow, as torchvision does")
    if args.get("download") and name in _GONE:
        return Reject("download", "False", "True", _GONE[name])
    part = args.get(entry.argument)
    if part in entry.unlabelled:
        return Reject(entry.argument, _one_of(entry.parts), repr(part), "that part has no labels")
    if entry.parts and part is not None and not isinstance(part, bool) and part not in entry.parts:
        return Reject(entry.argument, _one_of(entry.parts), repr(part), "there is no such part")
    for argument, values in entry.others.items():
        if argument in args and args[argument] not in values:
            return Reject(argument, _one_of(values), repr(args[argument]), "the label has to be one class")
    return None


def _one_of(values: Mapping[str, object] | tuple[object, ...]) -> str:
    listed = [repr(value) for value in values]
    return listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"
