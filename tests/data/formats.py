"""Small data sets written in the formats in which torchvision keeps them on the disk."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]


def samples(count: int, shape: tuple[int, ...], classes: int, seed: int = 0) -> tuple[Bytes, Bytes]:
    """Random images and labels."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, *shape), dtype=np.uint8)
    return images, draw.integers(0, classes, count, dtype=np.uint8)


def idx(array: NDArray[Any]) -> bytes:
    """An array of bytes or of 32-bit integers in the IDX format."""
    kind = 8 if array.dtype == np.uint8 else 12
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + (array if kind == 8 else array.astype(">i4")).tobytes()


def write_mnist(folder: Path, start: str, images: Bytes, labels: Bytes, packed: bool = False) -> None:
    """Two files of MNIST or one of its kin."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = folder / f"{start}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))


def write_qmnist(folder: Path, start: str, images: Bytes, labels: Bytes) -> None:
    """Two files of QMNIST, whose labels are eight integers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{start}-images-idx3-ubyte").write_bytes(idx(images))
    facts = np.arange(len(labels) * 8, dtype=np.int32).reshape(-1, 8) * 1000
    facts[:, 0] = labels
    (folder / f"{start}-labels-idx2-int").write_bytes(idx(facts))


def write_cifar(folder: Path, name: str, images: Bytes, labels: Bytes, key: str) -> str:
    """One file of CIFAR; gives its MD5 sum."""
    folder.mkdir(parents=True, exist_ok=True)
    content = pickle.dumps({"data": images.reshape(len(images), -1), key: labels.tolist()}, protocol=2)
    (folder / name).write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_pictures(folder: Path, classes: dict[str, list[tuple[int, int]]], suffix: str = ".png") -> None:
    """A folder of pictures, (height, width) each, with a folder for each class."""
    draw = np.random.default_rng(0)
    for name, sizes in classes.items():
        (folder / name).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03}{suffix}")
