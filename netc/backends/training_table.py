"""The text of `train.py` that reads a table: cells to numbers, what the training rows teach, errors with their lines.

In: nothing. Out: pieces of Python in which a line with `word|` before it belongs to scripts of that word only.
Guarantees: every line stays within 88 columns; what is wrong in a file is said with its path and line before training.
Leaves the words and the marks to `training_samples`.
"""

from __future__ import annotations

CELLS = '''
class Table(NamedTuple):
    """A CSV file: the line where each row ends, and the cells of each column."""

    path: Path
    lines: list[int]
    columns: dict[str, list[str]]


def read_table(path: Path) -> Table:
    """The cells of a CSV file, as text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = f"{path}, line {error.object.count(10, 0, error.start) + 1}"
        wrong = f"{error.object[error.start]:#04x}"
        fail(f"{line}: the byte {wrong} is no UTF-8 text; save the file as UTF-8")
    lines, rows = [], []
    reader = csv.reader(io.StringIO(text, newline="")@DELIMITER@, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        signs = [sign for sign in ",;\t|" if sign in "".join(header)]
        if len(header) == 1 and signs:
            there = f"{signs[0]!r} stands between the cells"
            fail(f"{path}, line 1: {there}; say so by `delimiter` in the .net file")
        for row in reader:
            if row and len(row) != len(header):
                line = f"{path}, line {reader.line_num}"
                fail(f"{line}: {len(row)} cells, and the header has {len(header)}")
            if row:  # and no empty line
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        fail(f"{path}, line {reader.line_num}: {error}; a quote may be left open")
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        fail(f"{path}, line 1: two columns are called {min(twice)!r}")
    if not rows:
        fail(f"{path} has no rows below its header")
    cells = ([cell.strip() for cell in column] for column in zip(*rows, strict=True))
    return Table(path, lines, dict(zip(header, cells, strict=True)))


def cells_of(table: Table, name: str) -> list[str]:
    """The cells of one column."""
    if name not in table.columns:
        near = get_close_matches(name, table.columns, 1)
        there = [*table.columns][:9]
        hint = f"did you mean {near[0]!r}?" if near else f"it has {there}"
        fail(f"{table.path} has no column {name!r}; {hint}")
    return table.columns[name]
'''

NUMBERS = '''
def numbers(table: Table, name: str) -> Tensor:
!mean|    """A column of numbers, float64 [N]."""
mean|    """A column of numbers, float64 [N], NaN where one is missing."""
    cells = cells_of(table, name)
    with suppress(ValueError):  # the usual case, in a tenth of the time
        found = torch.tensor([*map(float, cells)], dtype=torch.float64)
        if found.float().isfinite().all():
            return found
    values = []
    for line, cell in zip(table.lines, cells, strict=True):
        try:
            value = math.nan if cell.lower() in MISSING else float(cell)
        except ValueError:
            fail(f"{table.path}, line {line}: {name} is {cell!r}, which is no number")
mean|classes|        if abs(value) > LARGEST:
mean|classes|            fail(f"{table.path}, line {line}: {name} is {cell}, too large a number")
mean|numbers|        if abs(value) > LARGEST or (math.isnan(value) and name in TARGETS):
!mean|        if not abs(value) <= LARGEST:
numbers|            what = "missing" if math.isnan(value) else f"{cell}, too large a number"
numbers|            fail(f"{table.path}, line {line}: {name} is {what}")
!mean|classes|            what = "missing" if math.isnan(value) else f"{cell}, too large a number"
!mean|classes|            fail(f"{table.path}, line {line}: {name} is {what}")
        values.append(value)
    return torch.tensor(values, dtype=torch.float64)
'''

POSITIONS = '''
positions|
positions|def positions(table: Table, name: str, names: list[str]) -> Tensor:
positions|    """A column of names as their positions in a list, int64 [N]."""
positions|    known = {name: i for i, name in enumerate(names)}
mean|categorical|    if name in CATEGORICAL:
mean|categorical|        known[""] = -1
positions|    found = []
positions|    for line, cell in zip(table.lines, cells_of(table, name), strict=True):
positions|        if cell not in known:
positions|            what = repr(cell) if cell else "missing"
positions|            there = f"the rows to train with have {', '.join(names[:9])}"
positions|            fail(f"{table.path}, line {line}: {name} is {what}; {there}")
positions|        found.append(known[cell])
positions|    return torch.tensor(found)
'''

_COMPLETE = '''
drop|
drop|def complete(table: Table, names: Iterable[str]) -> Table:
drop|    """The rows of a table in which none of these columns is empty."""
drop|    kept = [True] * len(table.lines)
drop|    for name in names:
categorical|drop|        empty = {""} if name in CATEGORICAL else MISSING
categorical|drop|        for i, cell in enumerate(cells_of(table, name)):
categorical|drop|            kept[i] &= cell.lower() not in empty
!categorical|drop|        for i, cell in enumerate(cells_of(table, name)):
!categorical|drop|            kept[i] &= cell.lower() not in MISSING
drop|    if not any(kept):
drop|        fail(f"{table.path} has no row without a missing cell")
drop|    columns = {n: list(compress(cells, kept)) for n, cells in table.columns.items()}
drop|    return Table(table.path, list(compress(table.lines, kept)), columns)
drop|
'''

TABLE = "\n\n".join([f"{CELLS.rstrip()}\n", *(piece.strip("\n") for piece in (NUMBERS, POSITIONS, _COMPLETE))])

# What is learned from the table, and goes into every checkpoint with the weights.
ENCODING = '''
@dataclass
class Encoding:
    """How cells become numbers, learned from the rows to train with."""

    columns: list[str] = field(default_factory=list)  # of numbers
categorical|    categories: dict[str, list[str]] = field(default_factory=dict)  # by column
classes|    classes: list[str] = field(default_factory=list)
mean|    fill: list[float] = field(default_factory=list)  # for a missing cell
standardize|    mean: list[float] = field(default_factory=list)
standardize|    std: list[float] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.columns and vars(self) != state:
            raise ValueError("the rows to train with are others now")
        vars(self).update(state)

    def names(self) -> list[str]:
        """What each number of an encoded row is."""
!categorical|        return self.columns
categorical|        found = self.categories.items()
categorical|        return self.columns + [f"{name}={c}" for name, cs in found for c in cs]


def learn_columns(table: Table, encoding: Encoding) -> None:
    """Which columns there are, and the @NAMES@."""
!categorical|    encoding.columns = @FEATURES@
given|categorical|    encoding.columns = [name for name in FEATURES if name not in CATEGORICAL]
!given|categorical|    names = @FEATURES@
!given|categorical|    encoding.columns = [name for name in names if name not in CATEGORICAL]
categorical|    for name in CATEGORICAL:
categorical|        encoding.categories[name] = sorted(set(cells_of(table, name)) - {""})
classes|    encoding.classes = sorted(set(cells_of(table, TARGET)) - {""})
classes|    with suppress(ValueError):
classes|        encoding.classes = sorted(encoding.classes, key=float)  # 2 before 10
classes|    if len(encoding.classes) < 2:
classes|        fail(f"{table.path}: {TARGET} has one value only, {encoding.classes}")
count_classes|    if len(encoding.classes) != CLASSES:
count_classes|        found = f"{len(encoding.classes)} classes ({', '.join(encoding.classes[:9])})"
count_classes|        fail(f"{table.path}: {TARGET} has {found}, the network {CLASSES}")
    if len(encoding.names()) != INPUTS:
        found = f"{len(encoding.names())} numbers a row, the network takes {INPUTS}"
        fail(f"{table.path} gives {found}: {', '.join(map(repr, encoding.names()))}")


def encode(table: Table, encoding: Encoding) -> Tensor:
    """The rows as numbers, float64 [N, @COUNT@]."""
!categorical|    return torch.stack([numbers(table, name) for name in encoding.columns], 1)
categorical|    columns = [numbers(table, name) for name in encoding.columns]
categorical|    for name, names in encoding.categories.items():
categorical|        found = positions(table, name, names)
categorical|        one_hot = (found[:, None] == torch.arange(len(names))).double()
mean|categorical|        one_hot[found < 0] = math.nan
categorical|        columns += one_hot.unbind(1)
categorical|    return torch.stack(columns, 1)

learned|
learned|def learn_values(rows: Tensor, encoding: Encoding) -> None:
learned|    """@LEARNED@ of the rows to train with."""
mean|    fill = rows.nanmean(0)
mean|    if fill.isnan().any():
mean|        empty = encoding.names()[int(fill.isnan().nonzero()[0])]
mean|        fail(f"{empty} is missing in all of the rows to train with")
mean|    encoding.fill = fill.tolist()
mean|standardize|    rows = torch.where(rows.isnan(), fill, rows)
standardize|    numeric = rows[:, : len(encoding.columns)]
standardize|    encoding.mean = numeric.mean(0).tolist()
standardize|    std = numeric.std(0, correction=0)
standardize|    encoding.std = torch.where(std > 0, std, 1.0).tolist()  # of a constant: 1
learned|

def finish(rows: Tensor, encoding: Encoding) -> Tensor:
    """What the network takes, float32 [N, @COUNT@], from encoded rows."""
mean|    rows = torch.where(rows.isnan(), torch.tensor(encoding.fill).double(), rows)
standardize|    mean, std = torch.tensor([encoding.mean, encoding.std], dtype=torch.float64)
standardize|categorical|    numeric, others = rows.split([len(mean), rows.shape[1] - len(mean)], 1)
standardize|categorical|    return torch.cat([(numeric - mean) / std, others], 1).float()
standardize|!categorical|    return ((rows - mean) / std).float()
!standardize|    return rows.float()


def read_labels(table: Table, encoding: Encoding) -> Tensor:
classes|    """The classes as numbers, int64 [N]."""
classes|    return positions(table, TARGET, encoding.classes)
numbers|    """The numbers to predict, float32 @LABELS@."""
numbers|    columns = [numbers(table, name) for name in TARGETS]
yes_no|    for name, column in zip(TARGETS, columns, strict=True):
yes_no|        wrong = (column < 0) | (column > 1)
yes_no|        if wrong.any():
yes_no|            first = int(wrong.nonzero()[0])
yes_no|            where = f"{table.path}, line {table.lines[first]}"
yes_no|            fail(f"{where}: {name} is {column[first]:g}, and the loss compares 0 and 1")
numbers|    return torch.stack(columns, 1)@FLAT@.float()
'''

LOAD = '''
def load_data(encoding: Encoding) -> dict[str, tuple[Tensor, Tensor]]:
    """Rows as the network takes them, and labels: @PARTS@."""
    table = read_table(DATA)
drop|    table = complete(table, @USED@)
    fresh = not encoding.columns  # else it is of a checkpoint
    if fresh:
        learn_columns(table, encoding)
    rows, labels = encode(table, encoding), read_labels(table, encoding)
split|    parts = split(labels)
learned|    if fresh:
learned|        learn_values(@TRAINING@, encoding)
split|further|    data = {p: (finish(rows[i], encoding), labels[i]) for p, i in parts.items()}
split|!further|    return {p: (finish(rows[i], encoding), labels[i]) for p, i in parts.items()}
!split|further|    data = {"train": (finish(rows, encoding), labels)}
!split|!further|    return {"train": (finish(rows, encoding), labels)}
further|    for part, path in @FURTHER@:
further|        table = read_table(path)
further|drop|        table = complete(table, @USED_FURTHER@)
further|        rows, labels = encode(table, encoding), read_labels(table, encoding)
further|        data[part] = (finish(rows, encoding), labels)
further|    return data
'''
