"""The names of the settings that the sections `data` and `train` have."""

from __future__ import annotations

# The settings of each section, and those that the language has but this version doesn't compile.
SETTINGS = {
    "data": (
        "train", "validation", "test", "transform", "augment", "batch_size", "cache", "cache_size", "split", "balance",
        "sampler", "fields", "workers",
    ),
    "train": (
        "loss", "optimizer", "schedule", "freeze", "epochs", "metrics", "seed", "network", "steps", "accumulate",
        "clip_grad_norm", "clip_grad_value", "precision", "compile", "ema", "early_stop", "checkpoint", "init_from",
        "deterministic", "unfreeze", "log_every", "tensorboard", "schedule_every", "schedule_on",
        "parallel", "sync_batchnorm",
    ),
}  # fmt: skip
LATER = {
    "data": (),
    "train": (),
}  # fmt: skip
