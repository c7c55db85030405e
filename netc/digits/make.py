"""Writes the digits that ship with netc: scikit-learn's copy of them as gzipped IDX files, the format of MNIST.

In: scikit-learn, which is needed for nothing else. Out: the four files beside this one, the same to the byte each time.
Guarantees: every image once, 1437 to train and 360 to test, each class shared out in proportion by one fixed seed that
was not chosen for its results. Run as `python -m netc.digits.make`.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_IMAGES = 360
SEED = 0
LEVELS = 16  # the images have the values 0 to 16


def scaled(images: np.ndarray) -> np.ndarray:
    """The values 0..16 spread over 0..255; no two of them fall together, so nothing is lost."""
    return np.rint(images * 255 / LEVELS).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as a gzipped IDX file with no name and no time in it."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed:
        packed.write(header + array.tobytes())


def main() -> None:
    """Write the four files."""
    digits = load_digits()
    images, labels = scaled(digits.images), digits.target.astype(np.uint8)
    parts = train_test_split(images, labels, test_size=TEST_IMAGES, random_state=SEED, stratify=labels)
    names = ("train-images-idx3", "t10k-images-idx3", "train-labels-idx1", "t10k-labels-idx1")
    for name, array in zip(names, parts, strict=True):
        write_idx(Path(__file__).parent / f"{name}-ubyte.gz", array)


if __name__ == "__main__":
    main()
