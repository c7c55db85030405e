"""The parts of `train.py` whose text is fixed but for a word here and there; `@WORD@` marks those.

In: nothing. Out: pieces of Python as text, each a few functions. Guarantees: every line stays within 88 columns.
Leaves the choice of pieces and the words to `training` and `training_data`.
"""

FAIL = '''
def fail(message: str) -> NoReturn:
    """End with a message for the user and the exit code 1."""
    sys.exit(f"error: {message}")
'''

# --- reading ----------------------------------------------------------------------------------------------------------

REQUIRE = '''
def require(folder: Path, names: Iterable[str], dataset: str) -> None:
    """End with an error if a file of a data set is missing."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        fail(
            f"{folder} has no {', '.join(missing)}; "
            f"`download=True` in the .net file fetches {dataset}"
        )
'''

FETCH = '''
def fetch(folder: Path, names: Iterable[str], dataset: str, **options: str) -> None:
    """Download a data set with torchvision, unless its files are there."""
    if all((folder / name).exists() for name in names):
        return
    from torchvision import datasets  # takes seconds, and only the download needs it

    try:
        getattr(datasets, dataset)(**options, download=True)
    except Exception as error:
        fail(f"{dataset} cannot be downloaded to {folder}: {error}")
'''

READ_IDX = '''
def read_idx(path: Path, rank: int) -> Tensor:
    """The uint8 tensor in @FILE@, the format of MNIST."""
    try:
        content = bytearray(@CONTENT@)
    except @ERRORS@ as error:
        fail(f"{path} cannot be read: {error}")
    if content[:4] != bytes([0, 0, 8, rank]):
        fail(f"{path} is not an IDX file of bytes in {rank} dimensions")
    start = 4 + 4 * rank  # a code, the size of each dimension, then the values
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + math.prod(shape)
    if len(content) != expected:
        fail(f"{path} is damaged: {expected} bytes expected, {len(content)} found")
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(shape)


def read_images(images_file: Path, labels_file: Path) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, 1, H, W], and the labels, int64 [N], of two IDX files."""
    images = read_idx(images_file, 3).unsqueeze(1)
    labels = read_idx(labels_file, 1).long()
    if not 0 < len(images) == len(labels):
        fail(f"{images_file} has {len(images)} images for {len(labels)} labels")
    if labels.max() >= len(CLASS_NAMES):
        wrong = int((labels >= len(CLASS_NAMES)).nonzero()[0])
        fail(
            f"{labels_file} has the label {labels[wrong]} at position {wrong}, "
            f"but there are {len(CLASS_NAMES)} classes"
        )
    return images, labels
'''

READ_QMNIST = '''
def read_idx(path: Path, kind: bytes) -> Tensor:
    """The bytes in an IDX file, the format of MNIST, as a uint8 tensor.

    `kind` is the code at its start: the type of the values, and the dimensions.
    """
    try:
        content = bytearray(path.read_bytes())
    except OSError as error:
        fail(f"{path} cannot be read: {error}")
    if content[:4] != bytes([0, 0]) + kind:
        fail(f"{path} is not an IDX file of the kind that it should be")
    start = 4 + 4 * kind[1]  # the code, the size of each dimension, then the values
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    shape += [4] if kind[0] == 12 else []  # integers of four bytes
    expected = start + math.prod(shape)
    if len(content) != expected:
        fail(f"{path} is damaged: {expected} bytes expected, {len(content)} found")
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(shape)


def read_images(images_file: Path, labels_file: Path) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, 1, H, W], and the labels, int64 [N], of QMNIST."""
    images = read_idx(images_file, bytes([8, 3])).unsqueeze(1)
    labels = read_idx(labels_file, bytes([12, 2]))  # [N, 8, 4]: eight facts about each
    labels = labels[:, 0, 3].long()  # the first is the digit, its last byte the lowest
    if not 0 < len(images) == len(labels):
        fail(f"{images_file} has {len(images)} images for {len(labels)} labels")
    if labels.max() >= len(CLASS_NAMES):
        fail(f"{labels_file} has the label {labels.max()}, the digits end at 9")
    return images, labels
'''

READ_CIFAR = '''
def read_cifar(
    folder: Path,
    files: dict[str, str],
    label_key: str,
) -> tuple[Tensor, Tensor]:
    """The images, uint8 [N, 3, 32, 32], and the labels, int64 [N], of CIFAR's files."""
    images, labels = [], []
    for name, expected in files.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            fail(f"{folder / name} cannot be read: {error}")
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:  # unpickling any other file could run what is in it
            fail(
                f"{folder / name} is damaged: {len(content)} bytes with the MD5 sum "
                f"{found}, which should be {expected}"
            )
        batch = pickle.loads(content, encoding="latin1")
        images.append(torch.from_numpy(batch["data"]).view(-1, 3, 32, 32))
        labels += batch[label_key]
    return torch.cat(images), torch.tensor(labels)
'''

READ_FAKE = '''
def make_images(
    count: int,
    shape: tuple[int, int, int],
    classes: int,
    offset: int,
) -> tuple[Tensor, Tensor]:
    """Random uint8 images and labels, the same each time: those of FakeData."""
    images = torch.empty(count, *shape, dtype=torch.uint8)
    labels = torch.empty(count, dtype=torch.int64)
    for i in range(count):
        generator = torch.Generator().manual_seed(i + offset)
        values = torch.randn(shape, generator=generator) * 255
        images[i] = values.to(torch.int32).to(torch.uint8)  # cut off, modulo 256
        labels[i] = torch.randint(classes, (), generator=generator)
    return images, labels
'''

READ_FOLDER = '''
def class_names(folder: Path) -> list[str]:
    """The classes of a folder of pictures: its subfolders, sorted."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        fail(f"{folder}, with a folder a class, cannot be read: {error.strerror}")
    if not names:
        fail(f"{folder} has no subfolders, and there should be one for each class")
    return names


def find_pictures(folder: Path, classes: list[str]) -> tuple[list[Path], Tensor]:
    """The picture files of a folder, class by class, and their labels, int64 [N]."""
    unknown = set(class_names(folder)) - set(classes)
    if unknown:
        fail(f"{folder} has classes to train without: {', '.join(sorted(unknown))}")

    def end(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # of a class without a folder
            fail(f"{error.filename} cannot be read: {error.strerror}")

    files: list[Path] = []
    labels: list[int] = []
    read: dict[str, str] = {}  # folders
    for label, name in enumerate(classes):
        found: list[Path] = []
        places = []
        for place, _, names in os.walk(folder / name, onerror=end, followlinks=True):
            other = read.setdefault(os.path.realpath(place), place)
            if other != place:
                fail(f"{place} is {other} by a link, whose pictures would come twice")
            places.append((place, names))
        for place, names in sorted(places):
            paths = (Path(place, file) for file in sorted(names))
            found += [path for path in paths if path.suffix.lower() in SUFFIXES]
@CHECK_EMPTY@        files += found
        labels += [label] * len(found)
@CHECK_NONE@    return files, torch.tensor(labels)
'''

CENTER_CROP = '''
def center_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Cut out the middle; images that are too small get a black border first."""
    y, x = max(0, height - images.shape[-2]), max(0, width - images.shape[-1])
    images = F.pad(images, (x // 2, (x + 1) // 2, y // 2, (y + 1) // 2))
    top = round((images.shape[-2] - height) / 2)
    left = round((images.shape[-1] - width) / 2)
    return images[..., top : top + height, left : left + width]
'''

ROW_OF = '''
def row_of(values: Tensor, images: Tensor) -> Tensor:
    """A number for each channel, for all pixels of a row: one stretch in the memory."""
    return values.to(images.device).repeat(images.shape[3], 1).T.unsqueeze(1)
'''

# --- data -------------------------------------------------------------------------------------------------------------

HELD_OUT = '''
def held_out(labels: Tensor) -> Tensor:
    """A mask of the images for validation: drawn by chance, of each class its share."""
    count = @COUNT@
    if not 0 < count < len(labels):
        fail(f"cannot hold {count} of {len(labels)} images out for validation")
    generator = torch.Generator().manual_seed(SEED)
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]  # one class after another
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[order[torch.arange(count) * len(labels) // count]] = True  # evenly over them
    return mask
'''

SHUFFLED = '''
def shuffled(count: int) -> Tensor:
    """The order of an epoch: that of DataLoader(shuffle=True) with the same seed."""
    torch.empty((), dtype=torch.int64).random_()  # its seed for worker processes
    seed = int(torch.empty((), dtype=torch.int64).random_())
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
'''

# --- runs -------------------------------------------------------------------------------------------------------------

RUN_FOLDERS = '''
def new_run() -> Path:
    """Make the next free folder in RUNS; scripts that start together get one each."""
    taken = [int(path.name) for path in RUNS.glob("*") if path.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        try:
            run = RUNS / f"{number:03}"
            run.mkdir(parents=True)
            return run
        except FileExistsError:
            if not RUNS.is_dir():
                fail(f"{RUNS} is not a folder")
            number += 1
        except OSError as error:
            fail(f"{run} cannot be made: {error.strerror}")


def choose_run(options: argparse.Namespace) -> Path:
    """The folder of the run that the options ask for, new or to go on with."""
    run: Path | None = options.run_dir
    if options.resume:
        named = RUNS / options.resume
        return named if named.exists() else Path(options.resume)
    if run is None and options.resume is None:
        return new_run()
    if run is None:
        runs = [path for path in RUNS.glob("*") if path.name.isdecimal()]
        if not runs:
            fail(f"{RUNS} has no run to go on with")
        return max(runs, key=lambda run: int(run.name))
    if options.resume is None and (run / "last.pt").exists():
        fail(f"{run} has a run already; --resume goes on with it")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{run} cannot be made: {error.strerror}")
    return run


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name first, then renamed."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        former = f"; the former {path.name} is intact" if path.exists() else ""
        fail(f"{path} cannot be written: {error.strerror}{former}")
    finally:
        unfinished.unlink(missing_ok=True)  # it is left only by an error or Ctrl-C


def write_table(path: Path, rows: list[dict[str, float]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\\n")
    table.writeheader()
    table.writerows(rows)
    write(path, text.getvalue().encode())
'''

CHOOSE_DEVICE = '''
def choose_device(name: str) -> torch.device:
    """The device of that name, or with "auto" the fastest one."""
    there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    there += ["mps"] if torch.backends.mps.is_available() else []
    there += ["cpu"]
    if name == "auto":
        return torch.device(there[0])
    if name not in there and not (name == "cuda" and "cuda:0" in there):
        fail(f"there is no device {name!r} here, only {', '.join(sorted(there))}")
    return torch.device(name)
'''

OPTIONS = """
def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\\n")[0])
    parser.add_argument(
        "--device",
        default="auto",
        help="auto (the default), cpu, cuda, cuda:1, mps",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with a run; with the newest if none is named",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        metavar="DIR",
        help="the folder of the run; by default the next free one in runs",
    )
    return parser.parse_args(arguments)
"""
