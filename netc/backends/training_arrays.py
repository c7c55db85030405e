"""The text of `train.py` that reads arrays: npz and npy files, held against what the network takes.

In: nothing. Out: pieces of Python in which a line with `word|` before it belongs to scripts of that word only.
Guarantees: every line stays within 88 columns; no pickle is read; what is wrong in a file is said before training.
Leaves the words and the marks to `training_samples`.
"""

from __future__ import annotations

READ = '''
npz|def read_arrays(path: Path, names: list[str]) -> list[tuple[str, np.ndarray]]:
npz|    """The arrays of these names in an npz file, each with where it stands."""
npz|    try:
npz|        with path.open("rb") as stream:
npz|            if not zipfile.is_zipfile(stream):
npz|                fail(f"{path} is cut short, or no npz file")
npz|            stream.seek(0)
npz|            file = np.load(stream, allow_pickle=False)
npz|            missing = [name for name in names if name not in file.files]
npz|            if missing:
npz|                there = ", ".join(sorted(file.files))
npz|                fail(f"{path} has no array {missing[0]!r}; it has {there}")
npz|            return [(f"{name!r} of {path}", file[name]) for name in names]
npz|    except Exception as error:  # of many kinds where a file is damaged
npz|        fail(f"{path} cannot be read: {error}")
python|def collated(samples: list[Any]) -> list[Tensor]:
python|    """The fields of samples, each field as one tensor."""
python|    fields = default_collate(samples)
python|    return [*fields] if isinstance(fields, list | tuple) else [fields]
python|
python|
python|!asked|def read_dataset(dataset: Any) -> list[tuple[str, np.ndarray]]:
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
python|!asked|!workers|    try:
python|!asked|!workers|        fields = collated([dataset[i] for i in range(len(dataset))])
python|!asked|!workers|    except (TypeError, RuntimeError) as error:
python|!asked|!workers|        fail(f"the samples of {name} do not make up one tensor: {error}")
python|!asked|!workers|    return [(name, fields[i].numpy()) for i in @CHOSEN@]
python|!asked|workers|    parts = make_all(dataset)
python|!asked|workers|    try:
python|!asked|workers|        return [(name, torch.cat([p[i] for p in parts]).numpy()) for i in @CHOSEN@]
python|!asked|workers|    except (TypeError, RuntimeError) as error:
python|!asked|workers|        fail(f"the samples of {name} do not make up one tensor: {error}")
npy|def read_array(path: Path) -> tuple[str, np.ndarray]:
npy|    """The array in an npy file, with where it stands."""
npy|    try:
npy|        array: np.ndarray = np.load(path, allow_pickle=False)
npy|    except (OSError, ValueError, EOFError) as error:
npy|        fail(f"{path} cannot be read: {error}")
npy|    return str(path), array
'''

AS_INPUT = '''
!asked|def as_input(where: str, array: np.ndarray, name: str) -> Tensor:
asked|def as_input(where: str, array: np.ndarray, name: str, first: int = 0) -> Tensor:
    """An array as an input of the network, held against its type and its shape."""
    dtype, shape = INPUTS[name]
    found = array.shape[1:]
    if len(found) != len(shape) or any(
        size not in (None, other) for size, other in zip(shape, found, strict=True)
    ):
        wanted = ", ".join(str(size or "any") for size in shape)
        fail(f"{where} is {[*array.shape]}, the network takes [N, {wanted}] for {name}")
floats|    kinds = "f" if dtype.is_floating_point else "iu"
floats|    if array.dtype.kind not in kinds or array.dtype.itemsize > 8:
!floats|    if array.dtype.kind not in "iu":
        fail(f"{where} is {array.dtype}, the network takes {dtype} for {name}")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # as torch has it
!floats|!table|    return torch.tensor(array, dtype=dtype)
floats|    tensor = torch.tensor(array, dtype=dtype)
!floats|table|    tensor = torch.tensor(array, dtype=dtype)
floats|    if dtype.is_floating_point and not tensor.isfinite().all():
floats|!asked|        wrong = int((~tensor.flatten(1).isfinite()).any(1).nonzero()[0])
floats|asked|        broken = (~tensor.flatten(1).isfinite()).any(1)
floats|asked|        wrong = first + int(broken.nonzero()[0])
floats|        fail(f"{where} has NaN or infinity in sample {wrong}, counted from 0")
table|    entries = ENTRIES.get(name)  # of the table that indices are looked up in
table|    if entries is not None and ((tensor < 0) | (tensor >= entries)).any():
table|        there = f"indices from {tensor.min()} to {tensor.max()}"
table|        fail(f"{where} has {there}, and the network looks up {entries}")
floats|    return tensor
!floats|table|    return tensor
'''

LABELS = '''
def as_labels(where: str, array: np.ndarray) -> Tensor:
classes|    """The labels, int64 @LABELS@."""
classes|    if array.ndim != @AXES@ or array.dtype.kind not in "iu":
classes|        found = f"{array.dtype} {[*array.shape]}"
classes|        fail(f"{where} is {found}, and labels that are classes are int64 @LABELS@")
classes|    labels = torch.from_numpy(array.astype(np.int64))
classes|    wrong = (labels < 0) | (labels >= CLASSES)
classes|    if wrong.any():
classes|        first = wrong.nonzero()[0].tolist()
classes|        label = f"the label {labels[tuple(first)]} at {first}"
classes|        fail(f"{where} has {label}, which is none of the {CLASSES} classes from 0 on")
numbers|    """The numbers to predict, float32 @LABELS@."""
numbers|    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
numbers|        fail(f"{where} is {array.dtype}, and labels should be numbers")
numbers|    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # as torch has it
numbers|    labels = torch.tensor(array, dtype=torch.float32)
column|    if labels.ndim == 1:
column|        labels = labels[:, None]  # as the network's output
numbers|    if @WRONG_SHAPE@:
numbers|        fail(f"{where} is {[*array.shape]}, the network gives @LABELS@")
numbers|    if not labels.isfinite().all():
numbers|        wrong = (~labels.isfinite()).nonzero()[0].tolist()
numbers|        fail(f"{where} is NaN or infinite at {wrong}")
yes_no|    if labels.min() < 0 or labels.max() > 1:
yes_no|        wrong = ((labels < 0) | (labels > 1)).nonzero()[0].tolist()
yes_no|        there = f"{labels[tuple(wrong)]:g} at {wrong}"
yes_no|        fail(f"{where} is {there}, and the loss compares 0 and 1")
    return labels
'''

SAMPLES = '''
several|def as_samples(
several|    arrays: list[tuple[str, np.ndarray]],
several|) -> tuple[@KIND@, Tensor]:
!several|def as_samples(arrays: list[tuple[str, np.ndarray]]) -> tuple[@KIND@, Tensor]:
    """What the network takes, and the labels, from the arrays of a part."""
    counts = {where: len(array) if array.ndim else 0 for where, array in arrays}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        found = ", ".join(f"{where} has {count}" for where, count in counts.items())
        fail(f"there should be as many samples in each array, and any: {found}")
!unlabelled|    *inputs, labels = arrays
unlabelled|    labels = torch.empty(min(counts.values()), 0)  # there are none
unlabelled|several|    return tuple(as_input(*x, n) for x, n in zip(arrays, INPUTS, strict=True)), labels
unlabelled|!several|    (name,) = INPUTS
unlabelled|!several|    return as_input(*arrays[0], name), labels
!unlabelled|several|    samples = (as_input(*x, n) for x, n in zip(inputs, INPUTS, strict=True))
!unlabelled|several|    return tuple(samples), as_labels(*labels)
!unlabelled|!several|    (name,) = INPUTS
!unlabelled|!several|    return as_input(*inputs[0], name), as_labels(*labels)
'''

IMAGES = '''
def as_images(arrays: list[tuple[str, np.ndarray]]) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, C, H, W], and the labels, int64 [N], of two arrays."""
    (where, images), labels = arrays
    if IMAGE_SIZE[0] == 1 and images.ndim == 3:
        images = images[:, None]  # one channel without an axis of its own
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SIZE:
        wanted = f"uint8 [N, {', '.join(map(str, IMAGE_SIZE))}]"
        fail(f"{where} is {images.dtype} {[*images.shape]}, and should be {wanted}")
    classes = as_labels(*labels)
    if not 0 < len(images) == len(classes):
        fail(f"{where} has {len(images)} images for {len(classes)} labels")
    return torch.tensor(images), classes
'''

ASKED = '''
class Asked:
    """Samples of a data set, asked for when a batch needs them."""

!workers|    def __init__(self, dataset: Any, chosen: Tensor) -> None:
!workers|        self.dataset = dataset
!workers|        self.name = type(dataset).__name__
!workers|        self.chosen = chosen.tolist()
workers|    def __init__(self, workers: Workers, chosen: Tensor) -> None:
workers|        self.workers = workers
workers|        self.name = type(workers.dataset).__name__
workers|        self.chosen = chosen

    def __len__(self) -> int:
        return len(self.chosen)

!workers|    def batch(self, index: Tensor) -> @KIND@:
!workers|        """What the network takes of some samples."""
!workers|        fields = collated([self.dataset[self.chosen[i]] for i in index.tolist()])
!workers|several|        inputs = (fields[i].numpy() for i in @CHOSEN_INPUTS@)
!workers|several|        named = zip(inputs, INPUTS, strict=True)
!workers|several|        return tuple(as_input(self.name, x, n) for x, n in named)
!workers|!several|        (name,) = INPUTS
!workers|!several|        return as_input(self.name, fields[@CHOSEN_INPUT@].numpy(), name)
workers|!parallel|    def batches(
workers|!parallel|        self, index: Tensor, epoch: int = 0, start: int = 0
workers|!parallel|    ) -> Iterator[@KIND@]:
workers|!parallel|        """What the network takes of samples, batch by batch, from `start` on."""
workers|!parallel|        numbers = self.chosen[index]
workers|!parallel|        for fields in self.workers.fields(numbers, BATCH_SIZE, epoch, start):
workers|parallel|    def batches(
workers|parallel|        self, index: Tensor, places: Iterable[Tensor], epoch: int = 0
workers|parallel|    ) -> Iterator[@KIND@]:
workers|parallel|        """What the network takes of samples, for batches of these places in them."""
workers|parallel|        numbers = self.chosen[index]
workers|parallel|        for fields in self.workers.fields(numbers, places, epoch):
workers|several|            inputs = (fields[i].numpy() for i in @CHOSEN_INPUTS@)
workers|several|            named = zip(inputs, INPUTS, strict=True)
workers|several|            yield tuple(as_input(self.name, x, n) for x, n in named)
workers|!several|            (name,) = INPUTS
workers|!several|            yield as_input(self.name, fields[@CHOSEN_INPUT@].numpy(), name)


!workers|def read_labels(dataset: Any) -> Tensor:
workers|def read_labels(workers: Workers) -> Tensor:
!unlabelled|    """The labels, for which every sample is asked for once."""
unlabelled|    """No labels, for as many samples as there are."""
workers|    dataset = workers.dataset
    look_at(dataset)
!unlabelled|    labels: list[Tensor] = []
!unlabelled|parallel|    every = torch.arange(len(dataset))
!unlabelled|parallel|    own, count = own_share(every)  # by this process
!unlabelled|!workers|!parallel|    for i in range(len(dataset)):
!unlabelled|!workers|parallel|    for i in own.tolist():
!unlabelled|!workers|        fields, first = collated([dataset[i]]), i
!unlabelled|workers|!parallel|    for fields in workers.fields(torch.arange(len(dataset)), BATCH_SIZE):
!unlabelled|workers|!parallel|        first = BATCH_SIZE * len(labels)
!unlabelled|workers|parallel|    for fields in workers.fields(every, own.split(BATCH_SIZE)):
!unlabelled|workers|parallel|        first = int(own[0]) + BATCH_SIZE * len(labels)
!unlabelled|        for j, name in zip(@CHOSEN_INPUTS@, INPUTS, strict=True):
!unlabelled|            as_input(type(dataset).__name__, fields[j].numpy(), name, first)
!unlabelled|        labels.append(fields[@CHOSEN_LABEL@])
!unlabelled|!parallel|    return as_labels(type(dataset).__name__, torch.cat(labels).numpy())
!unlabelled|parallel|    shares: list[Any] = [None] * WORLD
!unlabelled|parallel|    dist.all_gather_object(shares, torch.cat(labels)[:count])
!unlabelled|parallel|    return as_labels(type(dataset).__name__, torch.cat(shares).numpy())
unlabelled|    return torch.empty(len(dataset), 0)
'''
