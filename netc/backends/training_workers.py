"""The text of `train.py` that makes samples of a Python data set in worker processes.

In: pieces of the script that ask for samples batch by batch. Out: the same pieces, asking workers. Guarantees: what a
sample draws by chance hangs on the run's seed, the epoch and its place in it, so that neither the number of workers
nor a run that goes on changes it.
"""

from __future__ import annotations

import re

WORKERS = '''
class Numbered(Dataset[Any]):
!asked|    """Samples of a data set; one that cannot be made is told by its number."""
asked|    """Samples of a data set, each of which draws by chance from a seed of its own."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

!asked|    def __len__(self) -> int:
!asked|        return len(self.dataset)
!asked|
!asked|    def __getitem__(self, number: int) -> Any:
asked|    def __getitem__(self, asked: tuple[int, int]) -> Any:
asked|        number, seed = asked
asked|        torch.manual_seed(seed)
asked|        random.seed(seed)
asked|        np.random.seed(seed)
        try:
            return self.dataset[number]
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"sample {number} cannot be made: {what}") from error


def ignore_ctrl_c(worker: int) -> None:
    """Leave Ctrl-C to the main process, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


!asked|def make_all(dataset: Any) -> list[list[Tensor]]:
!asked|    """The fields of all samples, batch by batch, made by worker processes."""
!asked|    loader: DataLoader[Any] = DataLoader(
!asked|        Numbered(dataset),
!asked|        BATCH_SIZE,
!asked|        num_workers=WORKERS,
!asked|        collate_fn=collated,
!asked|        worker_init_fn=ignore_ctrl_c,
!asked|        multiprocessing_context="fork" if os.name == "posix" else None,
!asked|    )
!asked|    return [*loader]
asked|class Workers:
asked|    """Makes the samples of a data set in processes of their own."""
asked|
asked|    def __init__(self, dataset: Any) -> None:
asked|        self.dataset = dataset
asked|        self.batches: list[list[tuple[int, int]]] = []  # numbers of samples, with seeds
asked|        self.loader: DataLoader[Any] = DataLoader(
asked|            Numbered(dataset),
asked|            batch_sampler=self.batches,
asked|            num_workers=WORKERS,
asked|            collate_fn=collated,
asked|            worker_init_fn=ignore_ctrl_c,
asked|            generator=torch.Generator(),  # so that the run's own is left as it is
asked|            multiprocessing_context="fork" if os.name == "posix" else None,
asked|            persistent_workers=True,
asked|        )
asked|
asked|    def fields(
asked|!parallel|        self, numbers: Tensor, size: int, epoch: int = 0, start: int = 0
asked|parallel|        self, numbers: Tensor, places: Iterable[Tensor], epoch: int = 0
asked|    ) -> Iterator[list[Tensor]]:
asked|!parallel|        """The fields of these samples in their order, from `start` on."""
asked|parallel|        """The fields of these samples, for batches of these places in them."""
asked|        chance = random.Random(f"{SEED} {epoch}")
asked|        asked = [(number, chance.getrandbits(32)) for number in numbers.tolist()]
asked|!parallel|        places = range(start, len(asked), size)
asked|!parallel|        self.batches[:] = [asked[place : place + size] for place in places]
asked|parallel|        self.batches[:] = [[asked[i] for i in batch.tolist()] for batch in places]
asked|        yield from self.loader
'''


def in_loop(text: str, order: str, parallel: bool) -> str:
    """The loop of an epoch; `order` is what it goes over."""
    plain = re.fullmatch(r"order(\[seen:\])?", order)
    if parallel:
        first = "seen, " if plain and plain[1] else ""
        text = text.replace("samples.batch(index)", "next(made)")
        lines = [f"places = torch.arange({first}len(order)).split(BATCH_SIZE)"]
        lines.append("made = samples.batches(order, [own_share(x)[0] for x in places], epoch)")
        return "".join(f"{' ' * 12}{line}\n" for line in lines) + text
    text = text.replace("samples.batch(index)", "next(batches)")
    lines = [] if plain else [f"order = {order}"]
    if not plain:
        text = text.replace(f"in {order}.split(", "in order.split(", 1)
    lines.append(f"batches = samples.batches(order, epoch{', seen' if plain and plain[1] else ''})")
    return "".join(f"{' ' * 12}{line}\n" for line in lines) + text


def in_evaluation(text: str, parallel: bool) -> str:
    """`predict` and `evaluate`, or a sample that is shown."""
    if parallel:
        return _in_turn(text)
    text = re.sub(
        r"( +)for index in torch\.arange\(len\(samples\)\)\.split\(EVALUATION_BATCH\):\n(.*)samples\.batch\(index\)",
        lambda m: f"{m[1]}for fields in samples.batches(torch.arange(len(samples))):\n{m[2]}fields",
        text,
    )
    return re.sub(
        r"( +)(for index in torch\.arange\(len\(labels\)\)\.split\(\w+\):\n.*)samples\.batch\(index\)",
        lambda m: f"{m[1]}batches = samples.batches(torch.arange(len(samples)))\n{m[1]}{m[2]}next(batches)",
        text,
    )


_EVERY = "every = torch.arange(len(samples))"


def _in_turn(text: str) -> str:
    """The same where each process evaluates some of the batches."""
    return re.sub(
        r"( +)for index in in_turn\((.*)\.split\(EVALUATION_BATCH\)\):\n(.*)samples\.batch\(index\)",
        lambda m: f"{m[1]}{_EVERY}\n{m[1]}for fields in samples.batches(every, in_turn(every.split(EVALUATION_BATCH"
        f"))):\n{m[3]}fields" if "samples" in m[2] else
        f"{m[1]}{_EVERY}\n{m[1]}own = in_turn(every.split(EVALUATION_BATCH))\n{m[1]}made = samples.batches(every, own)"
        f"\n{m[1]}for index in own:\n{m[3]}next(made)",
        text,
    )  # fmt: skip


def at_once(text: str, several: bool, parallel: bool) -> str:
    """A sample that is shown, and what a loss is computed of that needs the whole set."""
    text = text.replace("samples.batch(index)", f"next(samples.batches(index{', [index]' if parallel else ''}))")
    every = "torch.arange(len(samples))"
    if parallel:
        return _gathered(text, several)
    if several:
        line = rf"( +)batch = \[x\.to\((\S+)\) for x in samples\.batch\({re.escape(every)}\)\]"
        parts = f"zip(*samples.batches({every}), strict=True)"
        return re.sub(line, rf"\1parts = {parts}\n\1batch = [torch.cat(x).to(\2) for x in parts]", text)
    return text.replace(f"samples.batch({every})", f"torch.cat([*samples.batches({every})])")


def _gathered(text: str, several: bool) -> str:
    """The same where each process makes some of the batches."""
    every = re.escape("torch.arange(len(samples))")
    lines = rf"\1{_EVERY}\n\1made = samples.batches(every, in_turn(every.split(EVALUATION_BATCH)))\n"
    if several:
        line = rf"( +)batch = \[x\.to\((\S+)\) for x in samples\.batch\({every}\)\]"
        whole = r"\1parts = zip(*made, strict=True)\n\1batch = [gathered([*x], len(samples)).to(\2) for x in parts]"
        return re.sub(line, lines + whole, text)
    return re.sub(rf"( +)(.*)samples\.batch\({every}\)", rf"{lines}\1\2gathered([*made], len(samples))", text)
