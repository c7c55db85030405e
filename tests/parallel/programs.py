"""The program that the tests of parallel training run, with what each of them changes."""

from __future__ import annotations

NETWORK = """module Block(width) {
  input x: [N, width]
  fc1: Linear(width) -> Tanh -> fc2: Linear(width)
}

network Net {
  input x: [N, 4]
  stem: Linear(12) -> one: Block(12) -> Tanh -> two: Block(12) -> Tanh -> head: Linear(3)
}
"""
DATA = {"train": "Iris()", "validation": "0.25", "test": "0.1", "batch_size": "16"}  # 97 samples: 1 in the last batch
TRAIN = {
    "loss": "CrossEntropyLoss", "optimizer": "SGD(lr=0.1, momentum=0.9)", "schedule": "CosineAnnealingLR",
    "epochs": "3", "metrics": "[accuracy, f1]", "seed": "3",
}  # fmt: skip


def program(network: str = NETWORK, data: dict[str, str] | None = None, **train: str) -> str:
    """The text of the program; what is empty is left out."""
    sections = {"data": DATA if data is None else data, "train": TRAIN | train}
    lines = [network]
    for name, settings in sections.items():
        inner = "".join(f"  {key} = {value}\n" for key, value in settings.items() if value)
        lines.append(f"{name} {{\n{inner}}}\n")
    return "\n".join(lines)
