"""How `train.py` reads picture files: decoded once, and kept as they come out of the transform.

In: the plan of `training`. Out: constants and functions of the script, and the lines of `load_data` for such sets.
Guarantees: what is kept is found again only for pictures of the same content and the same steps; a file of the cache is
whole; where none can be written, the run goes on without. Leaves the steps themselves to `training_images`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.backends import training_listed
from netc.backends.layout import WIDTH, Text, call
from netc.backends.training_images import written
from netc.backends.training_main import select
from netc.backends.training_own import digest, is_own
from netc.backends.training_split import held_out
from netc.catalog.data import CONVERSIONS, training_chain
from netc.literals import literal

if TYPE_CHECKING:
    from netc import ir
    from netc.backends.training import Plan

READ_PICTURE = '''
def read_picture(path: Path) -> Tensor:
    """A picture as uint8 [1, 3, H, W]."""
    try:
        with Image.open(path) as picture:
            if picture.mode[0] in "IF":
                fail(f"{path} has more than 8 bits a colour, which would be cut off")
            rgb = picture.convert("RGB")
    except Exception as error:
        fail(f"{path} cannot be read as a picture: {error}")
    pixels = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8)
    return pixels.view(1, rgb.height, rgb.width, 3).permute(0, 3, 1, 2)
'''

_CACHE = '''
def digest(file: Path) -> bytes:
    """What tells a file from those of another content."""
    try:
        return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def content(files: list[Path]) -> str:
    """What tells the content of files from another; looked up while none changes."""
    facts = []
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            fail(f"{file} cannot be read: {error.strerror}")
        seen = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
        facts.append(f"{file.absolute()} {seen}")
    state = hashlib.sha256(os.fsencode("\\n".join(facts))).hexdigest()
    known = KNOWN / f"{state[:32]}.known"
    try:
        name = known.read_text()
        os.utime(known)
    except (OSError, UnicodeDecodeError):
        name = ""
    if not re.fullmatch("[0-9a-f]{64}", name):
        whole = hashlib.sha256()
        for i in tqdm(range(0, len(files), 64), "reading", leave=False, disable=None):
            whole.update(b"".join(THREADS.map(digest, files[i : i + 64])))
        name = whole.hexdigest()
        with suppress(OSError):  # then it is computed again
            KNOWN.mkdir(parents=True, exist_ok=True)
            unfinished = known.with_name(f"{known.name}.{os.getpid()}")
            unfinished.write_text(name)
            os.replace(unfinished, known)
    return name


def cache_file(files: list[Path], steps: str) -> Path:
    """Where these pictures are kept once they went through these steps.

    The name follows from what is in the files: a copy of them finds it as well.
    """
    facts = f"2 {torch.__version__} {steps} {content(files)}"  # 2: the file's form
    return CACHE / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.decoded"


def make_room(size: int, unfinished: Path) -> None:
    """Remove from the cache what was not used for longest, until `size` bytes fit."""
    if size > CACHE_SIZE:
        raise OSError(errno.EFBIG, f"{size:,} bytes are more than CACHE_SIZE")
    others = []
    for path in CACHE.glob("*.decoded*"):
        with suppress(OSError):  # another run may have removed it
            if path != unfinished:
                status = path.stat()
                others.append((status.st_mtime, status.st_size, path))
    total = size + sum(taken for _, taken, _ in others)
    if total > CACHE_SIZE:
        for path in KNOWN.glob("*.known*"):  # small, and soon computed again
            path.unlink(missing_ok=True)
    for _, taken, path in sorted(others):
        if total > CACHE_SIZE:
            path.unlink(missing_ok=True)
            total -= taken
'''

_CLASS = '''
class Pictures:
cached|    """Pictures by their index, prepared: decoded once, and kept in a file."""
!cached|    """Pictures by their index, prepared, and kept in memory while they fit."""

    def __init__(
        self,
        files: list[Path],
        prepare: Callable[[Tensor], Tensor],
cached|        steps: str,
    ) -> None:
        self.files = files
        self.prepare = prepare
        self.rows = list(range(len(files)))
        self.kept: dict[int, Tensor] = {}
        self.free = MEMORY
cached|        self.pixels = torch.empty(0)  # of all pictures, where there is a file
cached|        path = cache_file(files, steps)
cached|        try:
cached|            if not path.exists() or not self.map(path):
cached|                self.write(path)
cached|                self.map(path)
cached|        except OSError as error:
cached|            print(f"note: no pictures are kept in {CACHE}: {error}", file=sys.stderr)
!cached|        for index in torch.arange(len(files)).split(64):
!cached|            self.batch(index)  # what cannot be read shows before training

    def __len__(self) -> int:
        return len(self.rows)

cached|    def write(self, path: Path) -> None:
cached|        """Decode all pictures into a file: first the shape of each, then the pixels."""
cached|        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
cached|        bar = tqdm(
cached|            total=len(self.files),
cached|            desc="decoding",
cached|            unit=" pictures",
cached|            leave=False,
cached|            disable=None,
cached|        )
cached|        shapes: list[tuple[int, ...]] = []
cached|        try:
cached|            CACHE.mkdir(parents=True, exist_ok=True)
cached|            with bar, unfinished.open("wb") as file:
cached|                file.seek(12 * len(self.files))  # three int32 for each shape
cached|                for rows in torch.arange(len(self.files)).split(64):
cached|                    for picture in THREADS.map(self.decode, rows.tolist()):
cached|                        shapes.append(tuple(picture.shape[1:]))
cached|                        file.write(picture.permute(0, 2, 3, 1).numpy().tobytes())
cached|                        bar.update()
cached|                    whole = file.tell() * len(self.files) // len(shapes)
cached|                    make_room(whole, unfinished)  # a disk fills up slowly
cached|                file.seek(0)
cached|                file.write(torch.tensor(shapes, dtype=torch.int32).numpy().tobytes())
cached|                file.flush()
cached|                os.fsync(file.fileno())
cached|            os.replace(unfinished, path)
cached|        finally:
cached|            unfinished.unlink(missing_ok=True)
cached|
cached|    def map(self, path: Path) -> bool:
cached|        """Let the system read from the file what is asked for, if it is whole."""
cached|        size, start = path.stat().st_size, 12 * len(self.files)
cached|        if size <= start:
cached|            return False
cached|        try:
cached|            pixels = torch.from_file(str(path), True, size, dtype=torch.uint8)
cached|        except RuntimeError as error:
cached|            raise OSError(error) from None
cached|        self.shapes = pixels[:start].view(torch.int32).view(-1, 3).long()
cached|        self.ends = start + self.shapes.prod(1).cumsum(0)
cached|        if self.ends[-1] == size:
cached|            self.pixels = pixels
cached|            os.utime(path)  # files that were not used for longest go first
cached|        return len(self.pixels) > 0
cached|
    def decode(self, row: int) -> Tensor:
        """A picture from its own file, prepared: uint8 [1, C, H, W]."""
!sized|        picture = self.prepare(read_picture(self.files[row]))
!sized|        return picture.contiguous(memory_format=torch.channels_last)
sized|        picture = read_picture(self.files[row])
sized|        if picture.shape[2:] != PICTURE_SIZE:
sized|            size = list(picture.shape[2:])
sized|            fail(f"{self.files[row]} has {size} pixels, not {list(PICTURE_SIZE)}")
sized|        return self.prepare(picture).contiguous(memory_format=torch.channels_last)

    def read(self, i: int) -> Tensor:
        """Picture `i`, prepared: uint8 [1, C, H, W]."""
        row = self.rows[i]
cached|        if len(self.pixels):
cached|            channels, height, width = self.shapes[row].tolist()
cached|            end = int(self.ends[row])
cached|            pixels = self.pixels[end - channels * height * width : end]
cached|            return pixels.view(1, height, width, channels).permute(0, 3, 1, 2)
        if row in self.kept:
            return self.kept[row]
        picture = self.decode(row)
        if picture.nbytes <= self.free:
            self.free -= picture.nbytes
            self.kept[row] = picture
        return picture

    def batch(self, index: Tensor) -> list[Tensor]:
        """The pictures of a batch."""
        return list(THREADS.map(self.read, index.tolist()))
held_out|
held_out|    def part(self, chosen: Tensor) -> Self:
held_out|        """Those of the pictures that a mask or indices choose."""
held_out|        part = copy(self)
held_out|        part.rows = torch.tensor(self.rows)[chosen].tolist()
held_out|        return part
'''

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's IMG_EXTENSIONS


def cached(plan: Plan) -> bool:
    """Whether decoded pictures are kept in files."""
    return plan.data.cache is not False


def class_text(plan: Plan) -> list[str]:
    """The class `Pictures`, and the functions that it needs."""
    there = {"cached": cached(plan), "held_out": plan.held_out, "sized": _size(plan) is not None}
    words = frozenset(word for word, holds in there.items() if holds)
    return [_CACHE.strip("\n")] * cached(plan) + [select(_CLASS, words)]


def constants(plan: Plan) -> list[str]:
    """What the script has to know of its pictures."""
    from netc.backends.training import MEMORY

    lines = call("(", [Text(f'"{s}"') for s in _SUFFIXES], ")").lines(0, "SUFFIXES = ")
    found = list(lines) if _in_folders(plan) else []
    found += [f"MEMORY = {MEMORY // 1024**3} * 1024**3  # bytes of pictures that are kept in memory"]
    found.append("THREADS = ThreadPoolExecutor()  # which decode pictures at the same time")
    if (size := _size(plan)) is not None:
        found.append(f"PICTURE_SIZE = {size}  # height and width, as published")
    if cached(plan):
        found += _cache_constants(plan)
    if plan.outputs is not None and _in_folders(plan):
        found.append(f"CLASSES = {plan.outputs}  # the network's outputs")
    return found


def _cache_constants(plan: Plan) -> list[str]:
    if isinstance(plan.data.cache, str):
        found = [f'CACHE = Path({literal(plan.data.cache)}) / "pictures"  # where decoded pictures are kept']
    else:
        found = ["# Where decoded pictures are kept"]
        found.append('USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "netc"')
        found.append('CACHE = Path(os.environ.get("NETC_CACHE") or USER_CACHE).expanduser() / "pictures"')
    found.append('KNOWN = CACHE.with_name("known")  # what was found to be in files')
    found.append(f"CACHE_SIZE = {plan.data.cache_size} * 1024**3  # bytes; the oldest files go first")
    found += _text("STEPS", _steps(plan.data, training=False))
    if plan.images.training is not None:
        found += _text("TRAINING_STEPS", _steps(plan.data, training=True))
    return found


def _steps(data: ir.Data, training: bool) -> str:
    """The steps that give the same each time, as the file writes them."""
    conversion = next((i for i, c in enumerate(data.transform) if c.name in CONVERSIONS), len(data.transform))
    chain = training_chain([c.name for c in data.transform], [c.name for c in data.augment] if training else [])
    steps = [data.transform[i] for which, i in chain if which == "transform" and i < conversion]
    return " -> ".join(f"{written(step)} {digest(step)}" if is_own(step) else written(step) for step in steps)


def _text(name: str, text: str) -> list[str]:
    """A constant that is a text, in several pieces where it is long."""
    line = f"{name} = {literal(text)}"
    if len(line) <= WIDTH:
        return [line]
    pieces = [text[i : i + 60] for i in range(0, len(text), 60)]
    return [f"{name} = (", *(f"    {literal(piece)}" for piece in pieces), ")"]


def _size(plan: Plan) -> tuple[int, int] | None:
    """The height and width of all pictures, where they are known before any is read."""
    image = plan.parts[0].facts.image
    return None if image.height is None or image.width is None else (image.height, image.width)


def _in_folders(plan: Plan) -> bool:
    """Whether the pictures are in a folder for each class, and not those of a set of torchvision."""
    return plan.parts[0].kind == "folder"


def class_names(plan: Plan) -> str:
    """Python for the names of the classes."""
    if _in_folders(plan):
        return f"class_names({plan.folders['train']})"
    return "CLASS_NAMES" if plan.parts[0].facts.class_names else "class_names()"


def load_lines(plan: Plan) -> list[str]:
    """The body of `load_data`."""
    lines = _classes(plan) if _in_folders(plan) else []
    for part in plan.parts:
        prefix = "" if part.role == "train" else f"{part.role}_"
        where = f"{plan.folders[part.role]}, classes" if _in_folders(plan) else literal(part.role)
        where = training_listed.found_by(plan, part) if part.kind == "rows" else where
        lines.append(f"    {prefix}files, {prefix}labels = find_pictures({where})")
    own = plan.images.training is not None
    lines += [f"    {line}" for line in _pictures(plan, "files", own).lines(4, "pictures = ")]
    if plan.mask:
        lines.append("    held = held_out(labels)")
        lines += ["    held_files = list(compress(files, held.tolist()))"] * own
    elif plan.held_out:
        lines.append("    parts = split(labels)")
        for name in held_out(plan.data) if own else ():
            lines.append(f'    {name}_files = [files[i] for i in parts["{name}"].tolist()]')
    return lines + [f"    {line}" for line in call("{", _items(plan), "}", broken=True).lines(4, "return ")]


def _classes(plan: Plan) -> list[str]:
    """What makes sure that the classes of a folder are those of the network."""
    folder = plan.folders["train"]
    lines = [f"    classes = class_names({folder})"]
    if plan.outputs is None or plan.outputs < 2:
        lines.append("    if len(classes) < 2:")
        lines.append(f'        fail(f"{{{folder}}} has one class only, {{classes[0]}}")')
    if plan.outputs is not None:
        lines.append("    if len(classes) != CLASSES:")
        lines.append("        found = f\"the classes {', '.join(classes[:9])}\"")
        lines.append(f'        fail(f"{{{folder}}} has {{found}}; the network tells {{CLASSES}} apart")')
    return lines


def _pictures(plan: Plan, files: str, training: bool = False) -> Text:
    """The call that makes `Pictures`."""
    prepare, steps = ("prepare_training", "TRAINING_STEPS") if training else ("prepare", "STEPS")
    return call("Pictures(", [Text(files), Text(prepare), *([Text(steps)] if cached(plan) else [])], ")")


def _items(plan: Plan) -> list[Text]:
    """The parts that `load_data` returns."""
    items = [Text('"train": (pictures, labels)')]
    own = plan.images.training is not None
    if plan.mask:
        held = _pictures(plan, "held_files").flat if own else "pictures.part(held)"
        items = [Text('"train": (pictures.part(~held), labels[~held])')]
        items.append(_pair("validation", held, "labels[held]"))
    elif plan.held_out:
        items = [_pair("train", 'pictures.part(parts["train"])', 'labels[parts["train"]]')]
        for name in held_out(plan.data):
            chosen = f'parts["{name}"]'
            held = _pictures(plan, f"{name}_files").flat if own else f"pictures.part({chosen})"
            items.append(_pair(name, held, f"labels[{chosen}]"))
    for part in plan.parts:
        if part.role != "train":
            items.append(_pair(part.role, _pictures(plan, f"{part.role}_files").flat, f"{part.role}_labels"))
    return items


def _pair(role: str, pictures: str, labels: str) -> Text:
    return call(f'"{role}": (', [Text(pictures), Text(labels)], ")")
