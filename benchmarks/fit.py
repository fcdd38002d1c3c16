"""One fit of the exercise's network, 100 epochs on 500 patches, beside PyTorch's.

Both sides get the same patches in the same order with the same augmentation, from tinycnn's
loader, and take the same steps: SGD with momentum 0.9 and weight decay 1e-3 along a cosine. Each
fit is a process of its own, since the thread pools of two libraries in one disturb each other;
the sides alternate, and medians are compared.

    python benchmarks/fit.py [--epochs 100] [--patches 500] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def fit_tinycnn(epochs: int, patches: int) -> dict[str, float]:
    """Seconds in all and in the fit, and the AUC on other phantoms."""
    from tinycnn import metrics
    from tinycnn.data.phantoms import phantoms
    from tinycnn.kernels.memory import keep_freed_memory
    from tinycnn.train import Recipe, Training, probabilities

    data, test = phantoms(patches, seed=0), phantoms(300, seed=1)
    began = time.perf_counter()
    keep_freed_memory()  # as the command line does
    training = Training(Recipe(epochs=epochs), data)
    for _ in range(epochs):
        training.run_epoch()
    seconds = time.perf_counter() - began
    return {
        "fit": seconds,
        "auc": metrics.auc(test.labels, probabilities(training.model, test.images)),
    }


def fit_pytorch(epochs: int, patches: int) -> dict[str, float]:
    """The same by PyTorch."""
    import torch
    from torch import nn

    from tinycnn import metrics
    from tinycnn.data import Loader
    from tinycnn.data.phantoms import phantoms
    from tinycnn.train import AUGMENTATIONS, Recipe

    data, test = phantoms(patches, seed=0), phantoms(300, seed=1)
    began = time.perf_counter()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    layers, channels = [], 1
    for filters in (8, 16, 32):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    head = [nn.Flatten(), nn.Linear(1568, 10), nn.ReLU(), nn.Dropout(0.2), nn.Linear(10, 1)]
    model = nn.Sequential(*layers, *head)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loader = Loader(data, 32, True, 0, AUGMENTATIONS[Recipe().augment])
    loss_of = nn.BCEWithLogitsLoss()
    for epoch in range(epochs):
        for images, labels in loader.epoch(epoch):
            loss = loss_of(model(torch.from_numpy(images))[:, 0], torch.from_numpy(labels).float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        schedule.step()
    seconds = time.perf_counter() - began
    model.eval()
    with torch.no_grad():
        scores = model(torch.from_numpy(test.images))[:, 0].numpy()
    return {"fit": seconds, "auc": metrics.auc(test.labels, scores)}


SIDES = {"tinycnn": fit_tinycnn, "pytorch": fit_pytorch}


def in_a_process(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one fit in a fresh process; adds the process's seconds."""
    command = [sys.executable, __file__, "--side", side]
    command += ["--epochs", str(options.epochs), "--patches", str(options.patches)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "process": time.perf_counter() - began}


def main() -> None:
    """Alternate the sides and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--patches", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.epochs, options.patches)))
        return

    print(f"{options.epochs} epochs of {options.patches} patches, batches of 32, {THREADS} threads")
    results: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for round in range(options.rounds):
        for side in SIDES:
            result = in_a_process(side, options)
            results[side].append(result)
            print(
                f"round {round + 1}  {side:8}  "
                + "  ".join(f"{k} {v:.3f}" for k, v in result.items())
            )
    for figure in ("fit", "process"):
        ours, theirs = (statistics.median(r[figure] for r in results[side]) for side in SIDES)
        medians = f"tinycnn {ours:.2f} s, PyTorch {theirs:.2f} s"
        print(f"median {figure}: {medians}, ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
