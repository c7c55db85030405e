"""Small sets in the formats in which torchvision's own classes expect them, a writer for each."""

from __future__ import annotations

import bz2
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable

DRAW = np.random.default_rng(0)


def pixels(height: int, width: int, channels: int = 3) -> Any:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return DRAW.integers(0, 256, shape, dtype=np.uint8)


def picture(path: Path, height: int = 0, width: int = 30) -> None:
    """A picture of that height, or of any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(height or 20 + int(DRAW.integers(5)), width)).save(path)


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in text))


def clevr(root: Path) -> None:
    for part in ("train", "val"):
        folder = root / "clevr" / "CLEVR_v1.0"
        scenes = []
        for i in range(3):
            picture(folder / "images" / part / f"CLEVR_{part}_{i:06}.png", 320, 480)
            scenes.append({"image_filename": f"CLEVR_{part}_{i:06}.png", "objects": [{}] * (3 + i)})
        lines(folder / "scenes" / f"CLEVR_{part}_scenes.json", json.dumps({"scenes": scenes}))


def caltech101(root: Path) -> None:
    for name in ("BACKGROUND_Google", "accordion", "airplanes"):
        for i in range(1, 4):
            picture(root / "caltech101" / "101_ObjectCategories" / name / f"image_{i:04}.jpg")


def caltech256(root: Path) -> None:
    for y, name in enumerate(("001.ak47", "002.american-flag")):
        for i in range(1, 4):
            picture(root / "caltech256" / "256_ObjectCategories" / name / f"{y + 1:03}_{i:04}.jpg")


def country211(root: Path) -> None:
    for part in ("train", "valid", "test"):
        for name in ("AD", "AE"):
            picture(root / "country211" / part / name / "1.jpg")
            picture(root / "country211" / part / name / "2.jpg")


def dtd(root: Path) -> None:
    for part in ("train", "val", "test"):
        names = [f"{c}/{c}_{part}{i}.jpg" for c in ("banded", "dotted") for i in range(2)]
        for name in names:
            picture(root / "dtd" / "dtd" / "images" / name)
        for partition in (1, 7):
            lines(root / "dtd" / "dtd" / "labels" / f"{part}{partition}.txt", *names)


def eurosat(root: Path) -> None:
    for name in ("Forest", "River"):
        for i in range(2):
            picture(root / "eurosat" / "2750" / name / f"{name}_{i}.jpg", 64, 64)


def fer2013(root: Path) -> None:
    path = root / "fer2013" / "fer2013.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", "pixels", "Usage"])
        for usage in ("Training", "PublicTest", "PrivateTest", "Training"):
            table.writerow([int(DRAW.integers(7)), " ".join(map(str, pixels(48, 48, 1).flatten())), usage])


def aircraft(root: Path) -> None:
    folder = root / "fgvc-aircraft-2013b" / "data"
    lines(folder / "variants.txt", "707-320", "A300 B4")
    lines(folder / "families.txt", "Boeing 707", "A300")
    lines(folder / "manufacturers.txt", "Boeing", "Airbus")
    for p, part in enumerate(("trainval", "train", "val", "test")):
        for level, names in (("variant", ("707-320", "A300 B4")), ("family", ("Boeing 707", "A300"))):
            lines(folder / f"images_{level}_{part}.txt", *(f"00{p}{i} {names[i % 2]}" for i in range(3)))
        for i in range(3):
            picture(folder / "images" / f"00{p}{i}.jpg")


def flowers102(root: Path) -> None:
    folder = root / "flowers-102"
    for i in range(1, 7):
        picture(folder / "jpg" / f"image_{i:05}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 102, 3, 3, 2, 1]])})
    savemat(folder / "setid.mat", {"trnid": [[1, 4]], "valid": [[2, 5]], "tstid": [[3, 6]]})


def food101(root: Path) -> None:
    for part in ("train", "test"):
        names = {c: [f"{c}/{part}{i}" for i in range(2)] for c in ("waffles", "apple_pie")}
        lines(root / "food-101" / "meta" / f"{part}.json", json.dumps(names))
        for name in (name for some in names.values() for name in some):
            picture(root / "food-101" / "images" / f"{name}.jpg")


def gtsrb(root: Path) -> None:
    for i in (0, 1, 42):
        picture(root / "gtsrb" / "GTSRB" / "Training" / f"{i:05}" / "00000_00000.ppm")
    for i in range(3):
        picture(root / "gtsrb" / "GTSRB" / "Final_Test" / "Images" / f"0000{i}.ppm")
    rows = [f"0000{i}.ppm;20;20;{i * 20}" for i in range(3)]
    lines(root / "gtsrb" / "GT-final_test.csv", "Filename;Width;Height;ClassId", *rows)


def inaturalist(root: Path) -> None:
    for version in ("2021_train", "2021_valid"):
        for i, name in enumerate(("Animalia_Annelida_C_O_F_G_s", "Plantae_X_C_O_F_G_t")):
            for number in range(3):
                picture(root / version / f"{i:05}_{name}" / f"{9 - number}.jpg")


def imagenet(root: Path) -> None:
    wnids = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("goldfish",)}
    for part in ("train", "val"):
        for name in wnids:
            picture(root / part / name / f"{name}_1.JPEG")
    torch.save((wnids, ["n01440764"]), root / "meta.bin")


def imagenette(root: Path) -> None:
    for part in ("train", "val"):
        for name in ("n01440764", "n02102040"):
            picture(root / "imagenette2" / part / name / f"{part}_{name}.JPEG")
            picture(root / "imagenette2-160" / part / name / f"small_{name}.JPEG")


def lfw(root: Path) -> None:
    folder = root / "lfw-py"
    names = {"Ada_Lovelace": 2, "Alan_Turing": 1}
    for name, count in names.items():
        for i in range(1, count + 1):
            picture(folder / "lfw_funneled" / name / f"{name}_{i:04}.jpg", 250, 250)
    lines(folder / "people.txt", "1", "2", *(f"{n}\t{c}" for n, c in names.items()))
    lines(folder / "lfw-names.txt", *(f"{n}\t{c}" for n, c in names.items()))


def omniglot(root: Path) -> None:
    for i in range(2):
        path = root / "omniglot-py" / "images_background" / "Greek" / f"character0{i}" / f"0{i}_01.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels(105, 105, 1) > 127).save(path)


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for part in ("trainval", "test"):
        names = [f"Abyssinian_{part}", f"american_bulldog_{part}", f"Bengal_{part}"]
        names = [f"{name.rpartition('_')[0]}_{1 + (part == 'test')}" for name in names]
        facts = [f"{name} {i + 1} {1 + (i == 1)} 1" for i, name in enumerate(names)]
        lines(folder / "annotations" / f"{part}.txt", *facts)
        for name in names:
            picture(folder / "images" / f"{name}.jpg")


def pcam(root: Path) -> None:
    import h5py  # type: ignore[import-untyped]

    (root / "pcam").mkdir(parents=True)
    for part in ("train", "valid", "test"):
        start = root / "pcam" / f"camelyonpatch_level_2_split_{part}"
        with h5py.File(f"{start}_x.h5", "w") as file:
            file["x"] = np.stack([pixels(96, 96) for _ in range(4)])
        with h5py.File(f"{start}_y.h5", "w") as file:
            file["y"] = np.array([0, 1, 1, 0], dtype=np.uint8).reshape(4, 1, 1, 1)


def places365(root: Path) -> None:
    lines(root / "categories_places365.txt", "/a/airfield 0", "/z/zen_garden 1")
    for part, folder in (("train_standard", "data_large_standard"), ("val", "val_large")):
        lines(root / f"places365_{part}.txt", "/a/airfield/1.jpg 0", "/z/zen_garden/2.jpg 1")
        picture(root / folder / "a" / "airfield" / "1.jpg")
        picture(root / folder / "z" / "zen_garden" / "2.jpg")


def rendered(root: Path) -> None:
    for part in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            picture(root / "rendered-sst2" / part / name / "1.png", 448, 448)


def semeion(root: Path) -> None:
    rows = []
    for i in range(5):
        label = [0] * 10
        label[2 * i] = 1
        rows.append(" ".join([*(f"{v:.4f}" for v in DRAW.integers(0, 2, 256)), *map(str, label)]))
    lines(root / "semeion.data", *rows)


def stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for part, count in (("train", 4), ("test", 3)):
        DRAW.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tofile(folder / f"{part}_X.bin")
        DRAW.integers(1, 11, count, dtype=np.uint8).tofile(folder / f"{part}_y.bin")
    lines(folder / "fold_indices.txt", "0 2", "1 3")


def cars(root: Path) -> None:
    folder = root / "stanford_cars"
    names = np.array([["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]], dtype=object)
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    for part, path in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        facts = np.array([[(1, "00001.jpg"), (2, "00002.jpg")]], dtype=[("class", object), ("fname", object)])
        savemat(folder / path, {"annotations": facts})
        for i in (1, 2):
            picture(folder / f"cars_{part}" / f"0000{i}.jpg")


def sun397(root: Path) -> None:
    lines(root / "SUN397" / "ClassName.txt", "/a/abbey", "/a/airplane_cabin/inside")
    for i in range(3):
        picture(root / "SUN397" / "a" / "abbey" / f"sun_a{9 - i}.jpg")
        picture(root / "SUN397" / "a" / "airplane_cabin" / "inside" / f"sun_b{i}.jpg")


def svhn(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test", "extra"):
        images = DRAW.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
        savemat(root / f"{part}_32x32.mat", {"X": images, "y": np.array([[10], [1], [2], [9], [5]])})


def usps(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name in ("usps.bz2", "usps.t.bz2"):
        rows = []
        for i in range(4):
            values = DRAW.uniform(-1, 1, 256)
            rows.append(" ".join([str(i + 1), *(f"{n}:{v:.6f}" for n, v in enumerate(values, 1))]))
        (root / name).write_bytes(bz2.compress("\n".join(rows).encode()))


WRITERS: dict[str, Callable[[Path], None]] = {
    "CLEVRClassification": clevr, "Caltech101": caltech101, "Caltech256": caltech256, "Country211": country211,
    "DTD": dtd, "EuroSAT": eurosat, "FER2013": fer2013, "FGVCAircraft": aircraft, "Flowers102": flowers102,
    "Food101": food101, "GTSRB": gtsrb, "INaturalist": inaturalist, "ImageNet": imagenet, "Imagenette": imagenette,
    "LFWPeople": lfw, "Omniglot": omniglot, "OxfordIIITPet": pets, "PCAM": pcam, "Places365": places365,
    "RenderedSST2": rendered, "SEMEION": semeion, "STL10": stl10, "SUN397": sun397, "SVHN": svhn, "StanfordCars": cars,
    "USPS": usps,
}  # fmt: skip
