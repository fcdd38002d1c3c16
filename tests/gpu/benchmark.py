"""The exercise's network on the card: a training step and a look at images, by this library and by
PyTorch, which has NVIDIA's cuDNN for it. PyTorch's names are this library's, so the lines are the
same for both.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinycnn as tc
from tinycnn import models
from tinycnn.optim import CapturedStep

CASES = {
    f"{what}, batch {batch}": (what, batch)
    for what in ("training step", "inference")
    for batch in (32, 128)
}


class Side(NamedTuple):
    """A library at work on a case: a call that does not wait for the card, and what to compare."""

    call: Callable[[], Any]
    results: Callable[[], np.ndarray]


def torch_on_the_card() -> Any:
    """PyTorch if it is installed and sees a card, or None."""
    try:
        import torch
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver too old for it
        if not torch.cuda.is_available():
            return None
    # the same arithmetic as ours: float32; and its fastest algorithm for each size
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return torch


def network(dropout: float) -> Any:
    """The exercise's, always with the same weights."""
    tc.manual_seed(0)
    model = models.build("exercise", (1, 60, 60))
    model[-2].p = dropout
    return model


def twin(torch: Any, dropout: float) -> Any:
    """The same as PyTorch's; the names in the state say that it is."""
    nn, layers, channels = torch.nn, [], 1
    for filters in (8, 16, 32):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(1568, 10), nn.ReLU(), nn.Dropout(dropout), nn.Linear(10, 1)]
    model = nn.Sequential(*layers)
    state = {name: torch.tensor(v.tolist()) for name, v in network(dropout).state_dict().items()}
    model.load_state_dict(state)
    return model


def prepared(
    library: Any, model: Any, what: str, batch: int, device: str, captured: bool = False
) -> Side:
    """One side of a case."""
    chance = np.random.default_rng(0)
    images = chance.standard_normal((batch, 1, 60, 60), np.float32)
    labels = chance.integers(0, 2, (batch, 1)).astype(np.float32)
    model = model.to(device)
    x, target = (library.tensor(values, device=device) for values in (images, labels))
    optimizer = library.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
    loss_of = library.nn.BCEWithLogitsLoss()

    def infer() -> Any:
        with library.no_grad():
            return model(x)

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def weights() -> np.ndarray:
        parts = [p.detach().to("cpu").numpy().ravel() for p in model.parameters()]
        return np.concatenate(parts)

    if what == "inference":
        model.eval()
        return Side(infer, lambda: infer().to("cpu").numpy().ravel())
    stepped = CapturedStep(step, optimizer) if captured else step
    return Side(lambda: stepped(x, target), weights)


def sides(what: str, batch: int, dropout: float) -> dict[str, Side]:
    """Everybody who can take part here, by name; tinycnn first."""
    case = what, batch, "cuda"
    found = {"tinycnn": prepared(tc, network(dropout), *case)}
    if what == "training step":
        found["tinycnn, CUDA graph"] = prepared(tc, network(dropout), *case, captured=True)
    if torch := torch_on_the_card():
        found["PyTorch"] = prepared(torch, twin(torch, dropout), *case)
    return found


def medians(
    calls: dict[str, Callable[[], Any]], wait: Callable[[], Any], rounds: int, times: int
) -> dict[str, float]:
    """Milliseconds that each call takes, while `times` of them follow each other and nothing else
    waits for the card. The calls take turns, so that a change of the card's clock meets all alike.
    """
    for call in calls.values():
        for _ in range(3):  # compiles, records, chooses algorithms
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            wait()
            began = time.perf_counter()
            for _ in range(times):
                call()
            wait()
            taken[name].append((time.perf_counter() - began) / times * 1000)
    return {name: statistics.median(values) for name, values in taken.items()}
