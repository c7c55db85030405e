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
channels_last|!blocked|!freeze|    return @CLASS@().to(device).to(memory_format=torch.channels_last)
!channels_last|!freeze|    return @CLASS@().to(device)
channels_last|!blocked|freeze|    model = @CLASS@().to(device).to(memory_format=torch.channels_last)
!channels_last|freeze|    model = @CLASS@().to(device)
blocked|    model = @CLASS@().to(device)
blocked|    if device.type != "cpu":  # there, see keep_blocked
blocked|        model = model.to(memory_format=torch.channels_last)
freeze|    for name, parameter in model.named_parameters():
freeze|        if any(fnmatchcase(name, pattern) for pattern in FROZEN):
freeze|            parameter.requires_grad_(False)
freeze|    return model
blocked|!freeze|    return model

blocked|
blocked|def keep_blocked(model: nn.Module) -> None:
blocked|    """Leave what is between convolutions in oneDNN's own layout, blocks of channels.
blocked|
blocked|    Not to convert it for each of them takes less time, and gives the same numbers.
blocked|    """
blocked|    first = model.get_submodule("@FIRST@")
blocked|    behind = model.get_submodule("@BEHIND@")
blocked|    first.register_forward_pre_hook(lambda _, inputs: inputs[0].to_mkldnn())
blocked|    behind.register_forward_pre_hook(lambda _, inputs: inputs[0].to_dense())
blocked|
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

!fsdp|@torch.inference_mode()
fsdp|@torch.no_grad()
def predict(model: nn.Module, images: @IMAGES@) -> @PREDICTED@:
    """The network's outputs@OUTPUTS@ for @READY@ images."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
!parallel|tensor|    for batch in images.split(EVALUATION_BATCH):
parallel|tensor|    for batch in in_turn(images.split(EVALUATION_BATCH)):
!autocast|tensor|        outputs.append(model(preprocess(batch.to(device))))
autocast|tensor|        ready = preprocess(batch.to(device))
!parallel|raw|    for batch in images.split(EVALUATION_BATCH):
parallel|raw|    for batch in in_turn(images.split(EVALUATION_BATCH)):
!autocast|raw|        outputs.append(model(preprocess(prepare(batch).to(device))))
autocast|raw|        ready = preprocess(prepare(batch).to(device))
!parallel|files|    for index in torch.arange(len(images)).split(EVALUATION_BATCH):
parallel|files|    for index in in_turn(torch.arange(len(images)).split(EVALUATION_BATCH)):
files|        batch = torch.cat(images.batch(index)).to(device)
!autocast|files|        outputs.append(model(preprocess(batch)))
autocast|files|        ready = preprocess(batch)
autocast|        with torch.autocast(device.type, dtype=@DTYPE@):
autocast|!outputs|            outputs.append(model(ready).float())
autocast|outputs|            outputs.append(model(ready))
!parallel|!outputs|    return torch.cat(outputs)
parallel|!outputs|    return gathered(outputs, len(@COUNTED@))
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
parallel|    drawn = generators()
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {
        "network": "@NETWORK@",
        "classes": @CLASSES@,
        "settings": SETTINGS,
        "epoch": len(history),
        "history": history,
midway|        "position": position,  # within an epoch
!parallel|        "generator": torch.get_rng_state(),
parallel|        "generators": drawn,
        "threads": torch.get_num_threads(),
    }
!parallel|    if torch.cuda.is_initialized():
!parallel|        state["cuda_generator"] = torch.cuda.get_rng_state()
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
!parallel|    state = load(path)
parallel|    state: dict[str, Any] = agreed(load(path) if RANK == 0 else None)
    if state["settings"] != SETTINGS:
        fail(f"{path} was made with {state['settings']}, and this is {SETTINGS}")
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, ValueError) as error:
        fail(f"{path} does not fit this script: {error}")
!parallel|    torch.set_rng_state(state["generator"])
!parallel|    if torch.cuda.is_initialized() and "cuda_generator" in state:
!parallel|        torch.cuda.set_rng_state(state["cuda_generator"])
parallel|    set_generators(state["generators"])
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
parallel|index, count = own_share(whole)
batch = @BATCH@
tensor|labels|target = labels[index]
!tensor|labels|target = labels[index.to(device)]
mix|batch, shares = mix(batch, target)
"""

FORWARD = """
@RESULT@ = @CALLED@(batch)
loss = @COMPUTED@
parallel|weighted|tensor|loss = loss * (count > 0) / divisor(labels[whole])
parallel|weighted|!tensor|loss = loss * (count > 0) / divisor(labels[whole.to(device)])
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
!parallel|!sum|loss_sum += loss.detach() * len(index)
!parallel|sum|loss_sum += loss.detach()
parallel|weighted|loss_sum += loss.detach() * len(whole)
parallel|!weighted|!sum|loss_sum += loss.detach() * count
parallel|!weighted|sum|loss_sum += loss.detach() * (count > 0)
!parallel|accuracy|correct += (@CORRECT@).sum()
parallel|accuracy|correct += (@CORRECT@)[:count].sum()
!parallel|seen += len(index)
!parallel|if bar.update(len(index)):  # if it was drawn, a few times a second
parallel|seen += len(whole)
parallel|mine += count
parallel|if bar.update(len(whole)):  # if it was drawn, a few times a second
!parallel|accuracy|    bar.set_postfix(
!parallel|accuracy|        loss=f"{loss_sum.item() / seen:.4f}",
!parallel|accuracy|        accuracy=f"{correct.item() / seen:.2%}",
!parallel|accuracy|        refresh=False,
!parallel|accuracy|    )
!parallel|!accuracy|    shown = f"{loss_sum.item() / seen:.4f}"
parallel|accuracy|    bar.set_postfix(
parallel|accuracy|        loss=f"{loss_sum.item() / mine:.4f}",
parallel|accuracy|        accuracy=f"{correct.item() / mine:.2%}",
parallel|accuracy|        refresh=False,
parallel|accuracy|    )
parallel|!accuracy|    shown = f"{loss_sum.item() / mine:.4f}"
!accuracy|    bar.set_postfix(loss=shown, refresh=False)
"""

# After a step, what is told and kept
RECENT = """
!parallel|log|recent.append(loss.detach())
parallel|!weighted|!sum|log|recent.append(loss.detach() * (count / len(whole)))
parallel|!weighted|sum|log|recent.append(loss.detach() * (count > 0))
parallel|weighted|log|recent.append(loss.detach())
"""

AFTER = """
log|if step % LOG_EVERY == 0:
!parallel|log|    mean = torch.stack(recent).mean()
parallel|log|    mean = total(torch.stack(recent).mean())
log|    bar.write(f"step {step:6}  train loss {mean:.4f}")
!parallel|log|board_scalars|    board.add_scalar("steps/loss", mean, step)
parallel|log|board_scalars|    if RANK == 0:
parallel|log|board_scalars|        board.add_scalar("steps/loss", mean, step)
log|    recent.clear()
midway|if step % SAVE_EVERY == 0 and seen < len(order):
midway|parallel|    # The sums so far lie with the first process, as behind --resume
midway|fsdp|buffers|    share_buffers(model)
midway|fsdp|buffers|ema|    share_buffers(ema)
midway|parallel|    loss_sum, mine = total(loss_sum) * (RANK == 0), seen
midway|parallel|accuracy|    correct = total(correct) * (RANK == 0)
midway|parallel|log|    recent = [loss * (RANK == 0) for loss in map(total, recent)]
midway|    here = {
midway|        "order": order,
midway|        "loss_sum": loss_sum,
midway|accuracy|        "correct": correct,
midway|log|        "recent": recent,
midway|        "seen": seen,
midway|        "lr": lr,
midway|        "seconds": time.perf_counter() - started,
midway|    }
midway|!fsdp|    save(run / "last.pt", history, here, **parts)
midway|fsdp|    save_shards(run, history, here, **parts)
midway|ddp|    parallel = @WRAPPED@
"""

MAIN = """
def main(arguments: list[str] | None = None) -> None:
    options = parse_options(arguments)
parallel|    device = join(options.device)
parallel|    options = agreed(gone_on(options) if RANK == 0 else None)
board|    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import
board|
!parallel|    device = choose_device(options.device)
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
!fsdp|    model = build_model(device)
fsdp|    model = build_model(torch.device("cpu"))  # from where each process takes its shards
sync_batchnorm|    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
init_from|    if options.resume is None:
init_from|        warm_start(model, INIT_FROM)
fsdp|ema|    average = get_ema_multi_avg_fn(EMA)
fsdp|ema|    ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
fsdp|ema|    shard(ema.module, device)
fsdp|accumulate|    sharded = shard(model, device)
fsdp|!accumulate|    shard(model, device)
compile|    compiled: Any = torch.compile(model)
counted|    steps = math.ceil(len(labels) / @STEP_SIZE@)  # in an epoch
steps|    epochs = math.ceil(STEPS / steps)
@OPTIMIZER@
scheduler|@SCHEDULER@
!fsdp|ema|    average = get_ema_multi_avg_fn(EMA)
!fsdp|ema|    ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
scaler|    scaler = torch.amp.GradScaler(device.type)
@PARTS@
closure|@CLOSURE@
parallel|    if RANK > 0:
parallel|        torch.manual_seed(SEED + RANK)  # each process draws its own dropout

!parallel|    run = choose_run(options)
parallel|    run: Path = agreed(choose_run(options) if RANK == 0 else None)
    history: list[dict[str, float]] = []  # a row for each epoch
midway|    position: dict[str, Any] | None = None  # within an epoch, where it goes on
log|    recent: list[Tensor] = []  # losses that were not told yet
    if options.resume is not None:
!midway|!fsdp|        history = restore(run / "last.pt", **parts)["history"]
!midway|fsdp|        history = restore(run, **parts)["history"]
midway|!fsdp|        state = restore(run / "last.pt", **parts)
midway|fsdp|        state = restore(run, **parts)
midway|        history, position = state["history"], state["position"]
    else:
!fsdp|        save(run / "last.pt", history, **parts)  # a disk that is full shows at once
fsdp|        save_shards(run, history, **parts)  # a disk that is full shows at once
board|counted|    told = len(history) * steps
board|midway|    told += math.ceil(position["seen"] / @STEP_SIZE@) if position else 0
!parallel|board|counted|    board = SummaryWriter(run, purge_step=told + 1)
!parallel|board|!counted|    board = SummaryWriter(run, purge_step=len(history) + 1)
parallel|board|    if RANK == 0:
parallel|board|counted|        board = SummaryWriter(run, purge_step=told + 1)
parallel|board|!counted|        board = SummaryWriter(run, purge_step=len(history) + 1)
!parallel|board_sample|    if options.resume is None:
parallel|board_sample|    if options.resume is None and RANK == 0:
board_images|        pixels = (sample - sample.min()) / (sample.max() - sample.min())
board_images|        board.add_images("training images", pixels)
board_graph|        with warnings.catch_warnings(action="ignore"):  # torch.jit's, which follows it
board_graph|            board.add_graph(model.eval(), sample)
blocked|    if device.type == "cpu" and torch.backends.mkldnn.is_available():
blocked|        keep_blocked(model)
blocked|ema|        keep_blocked(ema.module)

!parallel|    print(f"{len(labels)} images to train with, on {device}; files in {run}")
parallel|    where = device if WORLD == 1 else f"{WORLD} processes ({device.type})"
parallel|    print(f"{len(labels)} images to train with, on {where}; files in {run}")
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
!parallel|        disable=None,  # where it would not be on a terminal
parallel|        disable=None if RANK == 0 else True,  # None: not on a terminal
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
ddp|            # Anew, so that gradients are added up in the same order behind --resume
ddp|            parallel = @WRAPPED@
            lr = optimizer.param_groups[0]["lr"]
            # These sums stay on the device: to read them is to wait for it
            loss_sum = torch.zeros((), device=device)
accuracy|            correct = torch.zeros((), dtype=torch.int64, device=device)
            seen = 0
parallel|            mine = 0  # of them, those of this process
counted|            step = (epoch - 1) * steps
midway|            if position is None:
!parallel|midway|!steps|                order = shuffled(len(labels))
parallel|midway|!steps|                order = agreed(shuffled(len(labels)))
!parallel|midway|steps|                order = shuffled(len(labels))[: (STEPS - step) * @STEP_SIZE@]
parallel|midway|steps|                order = agreed(shuffled(len(labels)))
parallel|midway|steps|                order = order[: (STEPS - step) * @STEP_SIZE@]
midway|            else:  # go on where the checkpoint was written
midway|                order, seen, lr = (position[k] for k in ("order", "seen", "lr"))
!parallel|midway|                loss_sum = position["loss_sum"].to(device)
!parallel|midway|accuracy|                correct = position["correct"].to(device)
!parallel|midway|log|                recent = [loss.to(device) for loss in position["recent"]]
parallel|midway|                first = int(RANK == 0)  # with which the sums lie
parallel|midway|                loss_sum, mine = position["loss_sum"].to(device) * first, seen
parallel|midway|accuracy|                correct = position["correct"].to(device) * first
parallel|midway|log|                recent = [x.to(device) * first for x in position["recent"]]
midway|                started -= position["seconds"]
midway|                step += math.ceil(seen / @STEP_SIZE@)
midway|                position = None
!parallel|!midway|steps|            order = shuffled(len(labels))[: (STEPS - step) * @STEP_SIZE@]
parallel|!midway|            order = agreed(shuffled(len(labels)))
parallel|!midway|steps|            order = order[: (STEPS - step) * @STEP_SIZE@]
            model.train()
@LOOP@

!parallel|            train_loss = loss_sum.item() / seen
parallel|            train_loss = total(loss_sum).item() / seen
blocked|            if not all(p.isfinite().all() for p in model.parameters()):
blocked|                train_loss = math.nan  # of a NaN, oneDNN's ReLU makes 0
            if not math.isfinite(train_loss):
                bar.close()
                fail(f"the loss is {train_loss} in epoch {epoch}; try a smaller lr")
!parallel|accuracy|            train_accuracy = correct.item() / seen
!parallel|validation|metrics|            scores = evaluate(@EVALUATED@, *data["validation"])
!parallel|validation|!metrics|            validation_loss = evaluate(@EVALUATED@, *data["validation"])
parallel|accuracy|            train_accuracy = total(correct).item() / seen
buffers|            share_buffers(model)
buffers|ema|            share_buffers(ema)
parallel|validation|metrics|            scores = agreed(evaluate(@EVALUATED@, *data["validation"]))
parallel|validation|!metrics|            found = evaluate(@EVALUATED@, *data["validation"])
parallel|validation|!metrics|            validation_loss = agreed(found)
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
!parallel|board_scalars|            for name in list(row)[1:]:
parallel|board_scalars|            for name in list(row)[1:] if RANK == 0 else ():
board_scalars|counted|                board.add_scalar(name.replace("_", "/", 1), row[name], step)
board_scalars|!counted|                board.add_scalar(name.replace("_", "/", 1), row[name], epoch)
!parallel|board_scalars|            board.flush()
parallel|board_scalars|                board.flush()
@BEST@
            if best is row:
                save(run / "best.pt", rows, **parts)
            write_table(run / "metrics.csv", rows)
every_epoch|every_epochs|            if epoch % EVERY_EPOCHS == 0:
every_epoch|every_epochs|                save(run / f"epoch{epoch:04}.pt", rows, **parts)
every_epoch|!every_epochs|            save(run / f"epoch{epoch:04}.pt", rows, **parts)
keep|            for old in sorted(run.glob("epoch*.pt"))[:-KEEP]:
!parallel|keep|                old.unlink()
parallel|keep|                old.unlink(missing_ok=True)  # by the process that comes first
!fsdp|            save(run / "last.pt", rows, **parts)
fsdp|            save_shards(run, rows, **parts)
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
!parallel|board|    board.close()
parallel|board|    if RANK == 0:
parallel|board|        board.close()
fsdp|    consolidate(run, **parts)

!parallel|    state = load(run / "best.pt")
parallel|    state = agreed(load(run / "best.pt") if RANK == 0 else None)
    print(f"best.pt is of epoch {state['epoch']}")
test|!ema|!fsdp|    model.load_state_dict(state["model"])
test|ema|!fsdp|    ema.load_state_dict(state["ema"])
test|!ema|fsdp|    put_weights(model, state["model"])
test|ema|fsdp|    put_weights(ema, state["ema"])
test|metrics|    scores = evaluate(@EVALUATED@, *data["test"])
test|metrics|@TEST@
test|!metrics|    test_loss = evaluate(@EVALUATED@, *data["test"])
test|!metrics|    print(f"test loss {test_loss:.4f}")
matrix|!test|!ema|!fsdp|    model.load_state_dict(state["model"])
matrix|!test|ema|!fsdp|    ema.load_state_dict(state["ema"])
matrix|!test|!ema|fsdp|    put_weights(model, state["model"])
matrix|!test|ema|fsdp|    put_weights(ema, state["ema"])
matrix|    images, labels = data["@MATRIX_OF@"]
matrix|    matrix = confusion(@MATRIX@, labels).long().tolist()
matrix|    names = state["classes"]
matrix|    counts = [dict(zip(names, row, strict=True)) for row in matrix]
matrix|    named = zip(names, counts, strict=True)
matrix|    table = [{"true class": name, **row} for name, row in named]
matrix|    write_table(run / "confusion_matrix.csv", table)
parallel|    dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # outside the epochs
        print("\\nStopped.", file=sys.stderr)
        sys.exit(130)
threads|    finally:
threads|        THREADS.shutdown(wait=False, cancel_futures=True)  # even if one just started
"""
