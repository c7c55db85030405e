"""The text of `train.py` that reads arrays: npz and npy files, held against what the network takes.

In: nothing. Out: pieces of Python in which a line with `word|` before it belongs to scripts of that word only.
Guarantees: every line stays within 88 columns; no pickle is read; what is wrong in a file is said before training.
Leaves the words and the marks to `training_samples`.
"""

from __future__ import annotations

READ = '''
npz|def read_arrays(path: Path, names: list[str]) -> list[np.ndarray]:
npz|    """The arrays of these names in an npz file."""
npz|    try:
npz|        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
npz|            missing = [name for name in names if name not in file.files]
npz|            if missing:
npz|                there = ", ".join(sorted(file.files))
npz|                fail(f"{path} has no array {missing[0]!r}; it has {there}")
npz|            return [file[name] for name in names]
npz|    except Exception as error:  # of many kinds where a file is damaged
npz|        fail(f"{path} cannot be read: {error}")
python|def collated(samples: list[Any]) -> list[Tensor]:
python|    """The fields of samples, each field as one tensor."""
python|    fields = default_collate(samples)
python|    return [*fields] if isinstance(fields, list | tuple) else [fields]
python|
python|
python|!asked|def read_dataset(dataset: Any) -> list[np.ndarray]:
python|!asked|    """The inputs and the label of a data set, whose samples are asked for once."""
python|asked|def look_at(dataset: Any) -> None:
python|asked|    """End with an error if a data set has no samples, or not such as are needed."""
python|    name = type(dataset).__name__
python|    if not len(dataset):
python|        fail(f"{name} has no samples")
python|!asked|    once, again = collated([dataset[0]]), collated([dataset[0]])
python|asked|    once = collated([dataset[0]])
python|    kinds = [type(field).__name__ for field in once]
python|exact|    if len(kinds) != @FIELDS@ or any(kinds[i] != "Tensor" for i in @CHOSEN@):
python|!exact|    if len(kinds) < @FIELDS@ or any(kinds[i] != "Tensor" for i in @CHOSEN@):
python|        fail(f"a sample of {name} should have @FIELDS@ tensors or numbers: {kinds}")
python|!asked|    if not all(torch.equal(once[i], again[i]) for i in @CHOSEN@):
python|!asked|        there = "write `cache = False` in the .net file, to ask in each epoch"
python|!asked|        fail(f"{name} gives another sample 0 each time; {there}")
python|!asked|    try:
python|!asked|        fields = collated([dataset[i] for i in range(len(dataset))])
python|!asked|    except (TypeError, RuntimeError) as error:
python|!asked|        fail(f"the samples of {name} do not make up one tensor: {error}")
python|!asked|    return [fields[i].numpy() for i in @CHOSEN@]
npy|def read_array(path: Path) -> np.ndarray:
npy|    """The array in an npy file."""
npy|    try:
npy|        array: np.ndarray = np.load(path, allow_pickle=False)
npy|    except (OSError, ValueError, EOFError) as error:
npy|        fail(f"{path} cannot be read: {error}")
npy|    return array


def as_input(array: np.ndarray, name: str) -> Tensor:
    """An array as an input of the network, held against its type and its shape."""
    dtype, shape = INPUTS[name]
    found = array.shape[1:]
    if len(found) != len(shape) or any(
        size not in (None, other) for size, other in zip(shape, found, strict=True)
    ):
        wanted = ", ".join(str(size or "any") for size in shape)
        fail(f"{name} is {[*array.shape]} in the data, the network takes [N, {wanted}]")
floats|    if array.dtype.kind not in ("f" if dtype.is_floating_point else "iu"):
!floats|    if array.dtype.kind not in "iu":
        fail(f"{name} is {array.dtype} in the data, the network takes {dtype}")
!floats|!table|    return torch.tensor(array, dtype=dtype)
floats|    tensor = torch.tensor(array, dtype=dtype)
!floats|table|    tensor = torch.tensor(array, dtype=dtype)
floats|    if dtype.is_floating_point and not tensor.isfinite().all():
floats|        wrong = int((~tensor.flatten(1).isfinite()).any(1).nonzero()[0])
floats|        fail(f"{name} has NaN or infinity in sample {wrong}, counted from 0")
table|    entries = ENTRIES.get(name)  # of the table that indices are looked up in
table|    if entries is not None and ((tensor < 0) | (tensor >= entries)).any():
table|        there = f"indices from {tensor.min()} to {tensor.max()}"
table|        fail(f"{name} has {there}, and the network looks up {entries}")
floats|    return tensor
!floats|table|    return tensor
'''

LABELS = '''
def as_labels(array: np.ndarray) -> Tensor:
classes|    """The labels, int64 @LABELS@."""
classes|    if array.ndim != @AXES@ or array.dtype.kind not in "iu":
classes|        found = f"{array.dtype} {[*array.shape]}"
classes|        fail(f"the labels are {found} in the data, and classes are int64 @LABELS@")
classes|    labels = torch.tensor(array, dtype=torch.int64)
classes|    wrong = (labels < 0) | (labels >= CLASSES)
classes|    if wrong.any():
classes|        first = wrong.nonzero()[0].tolist()
classes|        label = labels[tuple(first)]
classes|        fail(f"label {label} at {first} is none of the {CLASSES} classes, from 0 on")
numbers|    """The numbers to predict, float32 @LABELS@."""
numbers|    if array.dtype.kind not in "fiub":
numbers|        fail(f"the labels are {array.dtype} in the data, and should be numbers")
numbers|    labels = torch.tensor(array, dtype=torch.float32)
column|    if labels.ndim == 1:
column|        labels = labels[:, None]  # as the network's output
numbers|    if @WRONG_SHAPE@:
numbers|        found = [*array.shape]
numbers|        fail(f"the labels are {found} in the data, the network gives @LABELS@")
numbers|    if not labels.isfinite().all():
numbers|        wrong = (~labels.isfinite()).nonzero()[0].tolist()
numbers|        fail(f"the label at {wrong} is NaN or infinite")
    return labels
'''

SAMPLES = '''
def as_samples(arrays: list[np.ndarray]) -> tuple[@KIND@, Tensor]:
    """What the network takes, and the labels, from the arrays of a part."""
    counts = [len(array) if array.ndim else 0 for array in arrays]
    if min(counts) != max(counts) or not counts[0]:
        fail(f"the arrays of a part have {counts} samples, and should have as many")
!unlabelled|    *inputs, labels = arrays
unlabelled|    labels = torch.empty(counts[0], 0)  # there are none
unlabelled|several|    return tuple(as_input(x, n) for x, n in zip(arrays, INPUTS, strict=True)), labels
unlabelled|!several|    (name,) = INPUTS
unlabelled|!several|    return as_input(arrays[0], name), labels
!unlabelled|several|    samples = (as_input(x, n) for x, n in zip(inputs, INPUTS, strict=True))
!unlabelled|several|    return tuple(samples), as_labels(labels)
!unlabelled|!several|    (name,) = INPUTS
!unlabelled|!several|    return as_input(inputs[0], name), as_labels(labels)
'''

IMAGES = '''
def as_images(arrays: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, C, H, W], and the labels, int64 [N], of two arrays."""
    images, labels = arrays
    if IMAGE_SIZE[0] == 1 and images.ndim == 3:
        images = images[:, None]  # one channel without an axis of its own
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SIZE:
        wanted = f"uint8 [N, {', '.join(map(str, IMAGE_SIZE))}]"
        fail(f"the images are {images.dtype} {[*images.shape]}, and should be {wanted}")
    if not 0 < len(images) == len(labels):
        fail(f"there are {len(images)} images for {len(labels)} labels")
    return torch.tensor(images), as_labels(labels)
'''

ASKED = '''
class Asked:
    """Samples of a data set, asked for when a batch needs them."""

    def __init__(self, dataset: Any, chosen: Tensor) -> None:
        self.dataset = dataset
        self.chosen = chosen.tolist()

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, index: Tensor) -> @KIND@:
        """What the network takes of some samples."""
        fields = collated([self.dataset[self.chosen[i]] for i in index.tolist()])
several|        inputs = (fields[i].numpy() for i in @CHOSEN_INPUTS@)
several|        return tuple(as_input(x, n) for x, n in zip(inputs, INPUTS, strict=True))
!several|        (name,) = INPUTS
!several|        return as_input(fields[@CHOSEN_INPUT@].numpy(), name)


def read_labels(dataset: Any) -> Tensor:
!unlabelled|    """The labels, for which every sample is asked for once."""
!unlabelled|    look_at(dataset)
!unlabelled|    count = len(dataset)
!unlabelled|    labels = [collated([dataset[i]])[@CHOSEN_LABEL@] for i in range(count)]
!unlabelled|    return as_labels(torch.cat(labels).numpy())
unlabelled|    """No labels, for as many samples as there are."""
unlabelled|    look_at(dataset)
unlabelled|    return torch.empty(len(dataset), 0)
'''
