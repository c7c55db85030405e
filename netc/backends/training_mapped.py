"""The text of `train.py` that leaves arrays on the disk: rows of npy and npz files, read when a batch needs them.

In: nothing. Out: pieces of Python in which a line with `word|` before it belongs to scripts of that word only.
Guarantees: every line stays within 88 columns; no pickle is read; each row is looked at before training, some at a
time. Leaves the words and the marks to `training_samples`.
"""

from __future__ import annotations

MAP = '''
in_npz|def map_array(path: Path, name: str) -> tuple[str, np.ndarray]:
in_npz|    """An array in an npz file, which stays on the disk, with where it stands."""
in_npz|    where = f"{name!r} of {path}"
in_npz|    try:
in_npz|        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
in_npz|            names = sorted(entry.removesuffix(".npy") for entry in archive.namelist())
in_npz|            if name not in names:
in_npz|                fail(f"{path} has no array {name!r}; it has {', '.join(names)}")
in_npz|            entry = archive.getinfo(f"{name}.npy")
in_npz|            if entry.compress_type != zipfile.ZIP_STORED:
in_npz|                fail(f"{where} is compressed, and can only be kept in memory")
in_npz|            file.seek(entry.header_offset + 26)  # the lengths of a name and of an extra
in_npz|            lengths = np.frombuffer(file.read(4), "<u2")
in_npz|            file.seek(entry.header_offset + 30 + int(lengths.sum()))
in_npz|            if np.lib.format.read_magic(file) == (1, 0):
in_npz|                header = np.lib.format.read_array_header_1_0(file)
in_npz|            else:
in_npz|                header = np.lib.format.read_array_header_2_0(file)
in_npz|            shape, fortran, dtype = header
in_npz|            if dtype.hasobject:
in_npz|                fail(f"{where} holds Python objects, which are not read")
in_npz|            order: Literal["F", "C"] = "F" if fortran else "C"
in_npz|            return where, np.memmap(path, dtype, "r", file.tell(), shape, order)
in_npz|    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
in_npz|        fail(f"{where} cannot be read: {error}")
in_npy|def map_array(path: Path) -> tuple[str, np.ndarray]:
in_npy|    """The array in an npy file, which stays on the disk, with where it stands."""
in_npy|    try:
in_npy|        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
in_npy|    except (OSError, ValueError, EOFError) as error:
in_npy|        fail(f"{path} cannot be read: {error}")
in_npy|    return str(path), array
'''

MAPPED = '''
class Mapped:
    """Samples of arrays on the disk, read when a batch needs them."""

    def __init__(self, arrays: list[tuple[str, np.ndarray]], chosen: Tensor) -> None:
        self.arrays = arrays
        self.chosen = chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, index: Tensor) -> @KIND@:
        """What the network takes of some samples."""
        rows = self.chosen[index].numpy()
several|        named = zip(self.arrays, INPUTS, strict=True)
several|        return tuple(as_input(where, x[rows], name) for (where, x), name in named)
!several|        ((where, array),), (name,) = self.arrays, INPUTS
!several|        return as_input(where, array[rows], name)


def look_at(arrays: list[tuple[str, np.ndarray]]) -> Tensor:
!unlabelled|    """The labels; what the network takes is looked at, some samples at a time."""
unlabelled|    """No labels; what the network takes is looked at, some samples at a time."""
    counts = {where: len(array) if array.ndim else 0 for where, array in arrays}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        found = ", ".join(f"{where} has {count}" for where, count in counts.items())
        fail(f"there should be as many samples in each array, and any: {found}")
    for (where, array), name in zip(arrays, INPUTS, strict=False):
        for first in range(0, len(array), EVALUATION_BATCH):
            as_input(where, array[first : first + EVALUATION_BATCH], name, first)
!unlabelled|    where, labels = arrays.pop()
!unlabelled|    return as_labels(where, labels)
unlabelled|    return torch.empty(min(counts.values()), 0)
'''
