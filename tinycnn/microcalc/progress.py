"""A bar that shows how far a training run is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tinycnn.train import Training


@contextmanager
def progress_bar(training: Training) -> Iterator[Callable[[int, float, float], None]]:
    """A bar over all batches of a run, with loss, accuracy and the time left, on standard error;
    gives the function to call now and then with the number of batches since, and the epoch's loss
    and accuracy so far.
    """
    from tqdm import tqdm

    batches = len(training.loader)
    total, done = training.recipe.epochs * batches, training.epoch * batches
    often = 0.1 if sys.stderr.isatty() else 10.0  # seconds; a log file needs fewer lines
    with tqdm(
        total=total, initial=done, unit="batch", dynamic_ncols=True, mininterval=often, miniters=1
    ) as bar:

        def show(more: int, loss: float, accuracy: float) -> None:
            bar.set_description(
                f"epoch {training.epoch + 1}/{training.recipe.epochs}", refresh=False
            )
            bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.3f}", refresh=False)
            bar.update(more)

        yield show
