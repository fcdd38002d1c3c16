"""A whole training with evaluation, the same script for PyTorch and for tinycnn.

    python -m benchmarks.script torch PATCHES.npz --epochs 100 --patches 500

prints, as JSON, the accuracy on patches the network has not seen and a digest of the weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks import patches
from benchmarks.networks import Array, build, exercise


def accuracy(library: Any, model: Any, images: Array, labels: Array) -> float:
    """The share of patches on the right side of 0."""
    model.eval()
    right = 0
    with library.no_grad():
        for start in range(0, len(images), patches.BATCH):
            logits = model(library.tensor(images[start : start + patches.BATCH])).numpy()
            right += int(((logits > 0) == (labels[start : start + patches.BATCH] > 0.5)).sum())
    model.train()
    return right / len(images)


def train(library: Any, file: str, epochs: int, count: int) -> dict[str, Any]:
    """Train the exercise's network on so many patches, judging it after every epoch."""
    data = np.load(file)
    images, labels = data["images"], data["labels"]
    train, test = slice(count), slice(patches.TRAIN, None)
    nn, optim = library.nn, library.optim
    library.manual_seed(0)
    model = build(exercise((1, 60, 60)), nn)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss_of = nn.BCEWithLogitsLoss()
    judged = float("nan")
    for number in range(epochs):
        for x, target in patches.epoch(images[train], labels[train], number):
            loss = loss_of(model(library.tensor(x)), library.tensor(target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not np.isfinite(loss.item()):
                raise FloatingPointError(f"epoch {number + 1}: the loss is {loss.item()}")
        schedule.step()
        judged = accuracy(library, model, images[test], labels[test])
    weights = [p.detach().numpy().tobytes() for p in model.parameters()]
    return {"accuracy": judged, "weights": hashlib.sha256(b"".join(weights)).hexdigest()}


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=("torch", "tinycnn"))
    parser.add_argument("file")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--patches", type=int, default=patches.TRAIN)
    options = parser.parse_args()
    library = import_module(options.library)
    print(json.dumps(train(library, options.file, options.epochs, options.patches)))


if __name__ == "__main__":
    main()
