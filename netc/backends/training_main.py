"""The text of `main` in `train.py`, and of what keeps a run: one flat loop over epochs and batches.

In: nothing. Out: pieces of Python. A line with `word|` before it belongs to scripts of that word only, `!word|` to
those without; `select` makes the choice. `@WORD@` marks what `training` puts in.
Guarantees: every line stays within 88 columns at its place. Leaves the words and their meaning to `training`.
"""

from __future__ import annotations

import re


def select(text: str, words: frozenset[str]) -> str:
    """The lines of a piece that belong to a script of these words."""
    lines = []
    for line in text.strip("\n").split("\n"):
        conditions = _CONDITIONS.match(line)[0]  # type: ignore[index]
        if all((c.lstrip("!") in words) != c.startswith("!") for c in conditions.split("|") if c):
            lines.append(line[len(conditions) :])
    return "\n".join(lines)


_CONDITIONS = re.compile(r"(?:!?\w+\|)*")

MODEL = '''
def build_model(device: torch.device) -> nn.Module:
channels_last|    """The network with fresh weights, in the layout that suits convolutions."""
!channels_last|    """The network with fresh weights."""
channels_last|!freeze|    return @CLASS@().to(device).to(memory_format=torch.channels_last)
!channels_last|!freeze|    return @CLASS@().to(device)
channels_last|freeze|    model = @CLASS@().to(device).to(memory_format=torch.channels_last)
!channels_last|freeze|    model = @CLASS@().to(device)
freeze|    for name, parameter in model.named_parameters():
freeze|        if any(fnmatchcase(name, pattern) for pattern in FROZEN):
freeze|            parameter.requires_grad_(False)
freeze|    return model

groups|
groups|def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
groups|    """The parameters for the optimizer, those with the same settings in one group."""
groups|    groups: dict[tuple[tuple[str, Any], ...], list[nn.Parameter]] = {(): []}
groups|    for name, parameter in model.named_parameters():
groups|freeze|!unfreeze|        if not parameter.requires_grad:
groups|freeze|!unfreeze|            continue
groups|        settings: dict[str, Any] = {}
groups|        for pattern, own in GROUPS.items():
groups|            if fnmatchcase(name, pattern):
groups|                settings.update(own)
groups|        groups.setdefault(tuple(sorted(settings.items())), []).append(parameter)
groups|    return [{"params": p, **dict(settings)} for settings, p in groups.items() if p]
groups|

@torch.inference_mode()
def predict(model: nn.Module, images: @IMAGES@) -> @PREDICTED@:
    """The network's outputs@OUTPUTS@ for @READY@ images."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
tensor|    for batch in images.split(EVALUATION_BATCH):
!autocast|tensor|        outputs.append(model(preprocess(batch.to(device))))
autocast|tensor|        ready = preprocess(batch.to(device))
raw|    for batch in images.split(EVALUATION_BATCH):
!autocast|raw|        outputs.append(model(preprocess(prepare(batch).to(device))))
autocast|raw|        ready = preprocess(prepare(batch).to(device))
files|    for index in torch.arange(len(images)).split(EVALUATION_BATCH):
files|        batch = torch.cat(images.batch(index)).to(device)
!autocast|files|        outputs.append(model(preprocess(batch)))
autocast|files|        ready = preprocess(batch)
autocast|        with torch.autocast(device.type, dtype=@DTYPE@):
autocast|!outputs|            outputs.append(model(ready).float())
autocast|outputs|            outputs.append(model(ready))
!outputs|    return torch.cat(outputs)
outputs|@RETURN@
'''

CHECKPOINT = '''
!midway|def save(path: Path, history: list[dict[str, float]], **parts: Any) -> None:
midway|def save(
midway|    path: Path,
midway|    history: list[dict[str, float]],
midway|    position: dict[str, Any] | None = None,
midway|    **parts: Any,
midway|) -> None:
    """Write a checkpoint: all that --resume needs, and the names of the classes."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {
        "network": "@NETWORK@",
        "classes": @CLASSES@,
        "settings": SETTINGS,
        "epoch": len(history),
        "history": history,
midway|        "position": position,  # within an epoch
        "generator": torch.get_rng_state(),
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_initialized():
        state["cuda_generator"] = torch.cuda.get_rng_state()
    content = io.BytesIO()
    torch.save(state, content)
    write(path, content.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is executed."""
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # of many kinds where a file is damaged
        fail(f"{path} is cut short, damaged, or not a checkpoint")
    if not isinstance(state, dict) or state.get("network") != "@NETWORK@":
        fail(f"{path} is not a checkpoint of @NETWORK@")
    return state


def restore(path: Path, **parts: Any) -> dict[str, Any]:
    """Put everything back as it was when a checkpoint was written."""
    state = load(path)
    if state["settings"] != SETTINGS:
        fail(f"{path} was made with {state['settings']}, and this is {SETTINGS}")
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        fail(f"{path} does not fit this script: {error}")
    torch.set_rng_state(state["generator"])
    if torch.cuda.is_initialized() and "cuda_generator" in state:
        torch.cuda.set_rng_state(state["cuda_generator"])
    if state["threads"] != torch.get_num_threads():
        print(
            f"note: the run began with {state['threads']} threads, and now there are "
            f"{torch.get_num_threads()}; the last digits may differ",
            file=sys.stderr,
        )
    return state
'''

# The lines of a step, which stand deeper where gradients are accumulated or the forward pass has its own precision.
BATCH = """
batch = @BATCH@
tensor|labels|target = labels[index]
!tensor|labels|target = labels[index.to(device)]
mix|batch, shares = mix(batch, target)
"""

FORWARD = """
@RESULT@ = @CALLED@(batch)
loss = @COMPUTED@
"""

BACKWARD = """
!accumulate|optimizer.zero_grad()
!scaler|@LOSS@.backward()
scaler|scaler.scale(@SCALED@).backward()
"""

UPDATE = """
scaler|clip|scaler.unscale_(optimizer)
clip_norm|nn.utils.clip_grad_norm_(model.parameters(), CLIP_GRAD_NORM)
clip_value|nn.utils.clip_grad_value_(model.parameters(), CLIP_GRAD_VALUE)
!scaler|!closure|optimizer.step()
scaler|scaler.step(optimizer)
scaler|scaler.update()
ema|ema.update_parameters(model)
per_batch|scheduler.step()
counted|step += 1
"""

COUNT = """
!sum|loss_sum += loss.detach() * len(index)
sum|loss_sum += loss.detach()
accuracy|correct += (@CORRECT@).sum()
seen += len(index)
if bar.update(len(index)):  # if it was drawn, a few times a second
accuracy|    bar.set_postfix(
accuracy|        loss=f"{loss_sum.item() / seen:.4f}",
accuracy|        accuracy=f"{correct.item() / seen:.2%}",
accuracy|        refresh=False,
accuracy|    )
!accuracy|    shown = f"{loss_sum.item() / seen:.4f}"
!accuracy|    bar.set_postfix(loss=shown, refresh=False)
"""

# After a step, what is told and kept
RECENT = """
log|recent.append(loss.detach())
"""

AFTER = """
log|if step % LOG_EVERY == 0:
log|    mean = torch.stack(recent).mean()
log|    bar.write(f"step {step:6}  train loss {mean:.4f}")
log|board_scalars|    board.add_scalar("steps/loss", mean, step)
log|    recent.clear()
midway|if step % SAVE_EVERY == 0 and seen < len(order):
midway|    here = {
midway|        "order": order,
midway|        "loss_sum": loss_sum,
midway|accuracy|        "correct": correct,
midway|log|        "recent": recent,
midway|        "seen": seen,
midway|        "lr": lr,
midway|        "seconds": time.perf_counter() - started,
midway|    }
midway|    save(run / "last.pt", history, here, **parts)
"""

MAIN = """
def main(arguments: list[str] | None = None) -> None:
    options = parse_options(arguments)
board|    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import
board|
    device = choose_device(options.device)
deterministic|    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
deterministic|    torch.use_deterministic_algorithms(True)
tf32|    torch.set_float32_matmul_precision("high")
autocast|    check_precision(device)
tensor|    data = {part: (x.to(device), y.to(device)) for part, (x, y) in load_data().items()}
!tensor|    data = {part: (x, y.to(device)) for part, (x, y) in load_data().items()}
    images, labels = data["train"]

board_sample|    index = torch.arange(min(16, len(labels)))  # to show; drawn before the seed is set
board_sample|    sample = @BATCH@
    torch.manual_seed(SEED)
    model = build_model(device)
init_from|    if options.resume is None:
init_from|        warm_start(model, INIT_FROM)
compile|    compiled = torch.compile(model)
counted|    steps = math.ceil(len(labels) / @STEP_SIZE@)  # in an epoch
steps|    epochs = math.ceil(STEPS / steps)
@OPTIMIZER@
scheduler|@SCHEDULER@
ema|    average = get_ema_multi_avg_fn(EMA)
ema|    ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
scaler|    scaler = torch.amp.GradScaler(device.type)
@PARTS@
closure|@CLOSURE@

    run = choose_run(options)
    history: list[dict[str, float]] = []  # a row for each epoch
midway|    position: dict[str, Any] | None = None  # within an epoch, where it goes on
log|    recent: list[Tensor] = []  # losses that were not told yet
    if options.resume is not None:
!midway|        history = restore(run / "last.pt", **parts)["history"]
midway|        state = restore(run / "last.pt", **parts)
midway|        history, position = state["history"], state["position"]
    else:
        save(run / "last.pt", history, **parts)  # a disk that is full shows at once
board|counted|    told = len(history) * steps
board|midway|    told += math.ceil(position["seen"] / @STEP_SIZE@) if position else 0
board|counted|    board = SummaryWriter(run, purge_step=told + 1)
board|!counted|    board = SummaryWriter(run, purge_step=len(history) + 1)
board_sample|    if options.resume is None:
board_images|        pixels = (sample - sample.min()) / (sample.max() - sample.min())
board_images|        board.add_images("training images", pixels)
board_graph|        with warnings.catch_warnings(action="ignore"):  # torch.jit's, which follows it
board_graph|            board.add_graph(model.eval(), sample)

    print(f"{len(labels)} images to train with, on {device}; files in {run}")
!validation|    print("no validation images: best.pt is the epoch with the lowest train loss")
@HEADING@
    sys.stdout.flush()
    bar = tqdm(
!steps|        total=EPOCHS * len(labels),
steps|        total=STEPS // steps * len(labels) + STEPS % steps * @STEP_SIZE@,
!midway|        initial=len(history) * len(labels),
midway|        initial=len(history) * len(labels) + (position["seen"] if position else 0),
        unit=" images",
        unit_scale=True,
        bar_format="{desc}|{bar}| {rate_fmt}, {remaining} left{postfix}",
        leave=False,
        disable=None,  # where it would not be on a terminal
    )
    try:
!steps|        for epoch in range(len(history) + 1, EPOCHS + 1):
early_stop|!steps|            if waited(history) >= PATIENCE:
early_stop|!steps|                bar.write(f"no better @WATCHED@ for {PATIENCE} epochs")
early_stop|!steps|                break
!steps|            bar.set_description(f"epoch {epoch}/{EPOCHS}", refresh=False)
steps|        for epoch in range(len(history) + 1, epochs + 1):
early_stop|steps|            if waited(history) >= PATIENCE:
early_stop|steps|                bar.write(f"no better @WATCHED@ for {PATIENCE} epochs")
early_stop|steps|                break
steps|            bar.set_description(f"epoch {epoch}/{epochs}", refresh=False)
unfreeze|            if epoch >= UNFREEZE:
unfreeze|                model.requires_grad_(True)
            started = time.perf_counter()
            lr = optimizer.param_groups[0]["lr"]
            # These sums stay on the device: to read them is to wait for it
            loss_sum = torch.zeros((), device=device)
accuracy|            correct = torch.zeros((), dtype=torch.int64, device=device)
            seen = 0
counted|            step = (epoch - 1) * steps
midway|            if position is None:
midway|!steps|                order = shuffled(len(labels))
midway|steps|                order = shuffled(len(labels))[: (STEPS - step) * @STEP_SIZE@]
midway|            else:  # go on where the checkpoint was written
midway|                order, seen, lr = (position[k] for k in ("order", "seen", "lr"))
midway|                loss_sum = position["loss_sum"].to(device)
midway|accuracy|                correct = position["correct"].to(device)
midway|log|                recent = [loss.to(device) for loss in position["recent"]]
midway|                started -= position["seconds"]
midway|                step += math.ceil(seen / @STEP_SIZE@)
midway|                position = None
!midway|steps|            order = shuffled(len(labels))[: (STEPS - step) * @STEP_SIZE@]
            model.train()
@LOOP@

            train_loss = loss_sum.item() / seen
            if not math.isfinite(train_loss):
                bar.close()
                fail(f"the loss is {train_loss} in epoch {epoch}; try a smaller lr")
accuracy|            train_accuracy = correct.item() / seen
validation|metrics|            scores = evaluate(@EVALUATED@, *data["validation"])
validation|!metrics|            validation_loss = evaluate(@EVALUATED@, *data["validation"])
per_epoch|            scheduler.step()
by_loss|            scheduler.step(@WATCHED_BY@)
            seconds = round(time.perf_counter() - started, 3)
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
accuracy|                "train_accuracy": train_accuracy,
validation|metrics|                **{f"validation_{name}": score for name, score in scores.items()},
validation|!metrics|                "validation_loss": validation_loss,
                "lr": lr,
                "seconds": seconds,
            }
            rows = [*history, row]
board_scalars|            for name in list(row)[1:]:
board_scalars|counted|                board.add_scalar(name.replace("_", "/", 1), row[name], step)
board_scalars|!counted|                board.add_scalar(name.replace("_", "/", 1), row[name], epoch)
board_scalars|            board.flush()
@BEST@
            if best is row:
                save(run / "best.pt", rows, **parts)
            write_table(run / "metrics.csv", rows)
every_epoch|every_epochs|            if epoch % EVERY_EPOCHS == 0:
every_epoch|every_epochs|                save(run / f"epoch{epoch:04}.pt", rows, **parts)
every_epoch|!every_epochs|            save(run / f"epoch{epoch:04}.pt", rows, **parts)
keep|            for old in sorted(run.glob("epoch*.pt"))[:-KEEP]:
keep|                old.unlink()
            save(run / "last.pt", rows, **parts)
            history = rows
            mark = "  best" if best is row else ""
            bar.write(
@ROW@
            )
            sys.stdout.flush()
    except KeyboardInterrupt:
        bar.close()
        print(
!midway|            f"\\nStopped in epoch {len(history) + 1}. {run / 'last.pt'} has what was "
!midway|            f"learned up to epoch {len(history)}. To go on: --resume {run}",
midway|            f"\\nStopped in epoch {len(history) + 1}. {run / 'last.pt'} is at most "
midway|            f"{SAVE_EVERY} steps old. To go on: --resume {run}",
            file=sys.stderr,
        )
        sys.exit(130)
    bar.close()
board|    board.close()

    state = load(run / "best.pt")
    print(f"best.pt is of epoch {state['epoch']}")
test|!ema|    model.load_state_dict(state["model"])
test|ema|    ema.load_state_dict(state["ema"])
test|metrics|    scores = evaluate(@EVALUATED@, *data["test"])
test|metrics|@TEST@
test|!metrics|    test_loss = evaluate(@EVALUATED@, *data["test"])
test|!metrics|    print(f"test loss {test_loss:.4f}")
matrix|!test|!ema|    model.load_state_dict(state["model"])
matrix|!test|ema|    ema.load_state_dict(state["ema"])
matrix|    images, labels = data["@MATRIX_OF@"]
matrix|    matrix = confusion(@MATRIX@, labels).long().tolist()
matrix|    names = state["classes"]
matrix|    counts = [dict(zip(names, row, strict=True)) for row in matrix]
matrix|    named = zip(names, counts, strict=True)
matrix|    table = [{"true class": name, **row} for name, row in named]
matrix|    write_table(run / "confusion_matrix.csv", table)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # outside the epochs
        print("\\nStopped.", file=sys.stderr)
        sys.exit(130)
files|    finally:
files|        THREADS.shutdown(wait=False, cancel_futures=True)  # even if one just started
"""
