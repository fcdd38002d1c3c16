"""The training loop: batches in, loss, gradients, a step; and what a network says of images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

import numpy as np

from tinycnn import metrics, random
from tinycnn.data import Loader, Patches, compose, flips_and_quarter_turns, gain_and_offset, shifts
from tinycnn.device import to_device
from tinycnn.errors import InputError
from tinycnn.grad_mode import no_grad
from tinycnn.kernels.types import Array
from tinycnn.models import MODELS, build
from tinycnn.nn import Module
from tinycnn.nn.functional import binary_cross_entropy_with_logits, sigmoid
from tinycnn.optim import SGD
from tinycnn.optim.lr_scheduler import CosineAnnealingLR
from tinycnn.tensor import Tensor

# After so many steps the loss is looked at. A look waits for a graphics card to come to it, so that
# the card has nothing to do meanwhile.
LOOK = 10

# Symmetries are flips and quarter turns; the other two add to them.
AUGMENTATIONS = {
    "none": None,
    "symmetries": flips_and_quarter_turns,
    "shifts": compose(flips_and_quarter_turns, shifts(2)),
    "exposure": compose(flips_and_quarter_turns, gain_and_offset(0.2, 0.1)),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides, with the data, what a training run gives.

    Attributes:
        model: the network's name, see `tinycnn.models`.
        epochs: how often every patch is seen.
        seed: of the first weights, the order of the patches, augmentation and dropout.
        batch_size: patches a step.
        lr: the first learning rate; it falls to 0 along half a cosine.
        momentum: of SGD.
        weight_decay: of SGD.
        augment: a key of `AUGMENTATIONS`.

    Raises:
        InputError: a number out of its range or none at all, an unknown model or augmentation.
    """

    model: str = "exercise"
    epochs: int = 100
    seed: int = 0
    batch_size: int = 32
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-3
    augment: str = "shifts"

    def __post_init__(self) -> None:
        least = {"epochs": 1, "seed": 0, "batch_size": 1, "lr": 0, "momentum": 0, "weight_decay": 0}
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            fits = isinstance(value, int | float if kind is float else kind)
            # a NaN is not ≥ anything
            if not fits or (field.name in least and not value >= least[field.name]):
                raise InputError(f"{field.name} cannot be {value!r}")
        if self.augment not in AUGMENTATIONS:
            raise InputError(f"augment {self.augment!r}: there are {', '.join(AUGMENTATIONS)}")
        if self.model not in MODELS:
            raise InputError(f"model {self.model!r}: there are {', '.join(MODELS)}")


class Training:
    """A network on its way from its first weights to its last, an epoch at a time.

    Each epoch takes all its chance from the seed and its own number, so nothing but `state` is
    needed to go on after an interruption, and the bits at the end are the same.

    >>> from tinycnn.data.phantoms import phantoms
    >>> training = Training(Recipe(epochs=1), phantoms(64, seed=0))
    >>> sorted(training.run_epoch())
    ['epoch', 'lr', 'seconds', 'train_accuracy', 'train_loss']
    """

    def __init__(self, recipe: Recipe, patches: Patches, device: str = "cpu") -> None:
        random.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.model: Module = build(recipe.model, patches.images.shape[1:]).to(device)
        self.optimizer = SGD(
            self.model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.schedule = CosineAnnealingLR(self.optimizer, recipe.epochs)
        augment = AUGMENTATIONS[recipe.augment]
        self.loader = Loader(patches, recipe.batch_size, True, recipe.seed, augment)
        self.epoch = 0

    def run_epoch(
        self, after_batches: Callable[[int, float, float], Any] | None = None
    ) -> dict[str, Any]:
        """See every patch once; gives the epoch's number, learning rate, loss and accuracy.

        Args:
            after_batches: called now and then with how many batches there were since, and the
                mean loss and accuracy of the epoch so far.

        Raises:
            InputError: the loss is no longer finite.
        """
        began, lr = time.perf_counter(), self.optimizer.lr
        random.manual_seed((self.recipe.seed, self.epoch, 1))  # for dropout; the loader has its own
        self.model.train()
        results: list[tuple[Array, Array, int]] = []
        loss_sum = correct = seen = 0.0
        for number, (images, labels) in enumerate(self.loader.epoch(self.epoch), 1):
            results.append((*self._step(images, labels), len(labels)))
            if number % LOOK and number < len(self.loader):
                continue
            for loss, right, count in results:
                loss_sum += self._finite(loss.item()) * count
                correct, seen = correct + right.item(), seen + count
            if after_batches is not None:
                after_batches(len(results), loss_sum / seen, correct / seen)
            results.clear()
        self.epoch += 1
        self.schedule.step()
        return {
            "epoch": self.epoch,
            "lr": lr,
            "train_loss": loss_sum / seen,
            "train_accuracy": correct / seen,
            "seconds": time.perf_counter() - began,
        }

    def _step(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """One batch: forward, backward, and a step downhill. Gives the loss and how many are
        right, still where they were computed."""
        target = Tensor(to_device(labels.astype(np.float32)[:, None], self.device))
        logits = self.model(Tensor(to_device(images, self.device)))
        loss = binary_cross_entropy_with_logits(logits, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.array, ((logits.array > 0) == (target.array > 0.5)).sum()

    def _finite(self, loss: float) -> float:
        if not isfinite(loss):
            raise InputError(f"epoch {self.epoch + 1}: the loss is {loss}: it diverged")
        return loss

    def state(self) -> dict[str, Array]:
        """All arrays that the next epoch depends on, weights, buffers and velocities; NumPy's."""
        weights = {f"model.{k}": v.array for k, v in self.model.state_dict().items()}
        state = weights | {f"optimizer.{k}": v for k, v in self.optimizer.state_dict().items()}
        return {name: to_device(array, "cpu") for name, array in state.items()}

    def resume(self, state: dict[str, Array], epoch: int) -> None:
        """Go on from `state` after so many epochs.

        Raises:
            KeyError, TypeError, ValueError: the state is another network's.
        """
        parts: dict[str, dict[str, Array]] = {"model": {}, "optimizer": {}}
        for key, array in state.items():
            part, _, name = key.partition(".")
            parts[part][name] = array
        self.model.load_state_dict(parts["model"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.epoch = epoch
        self.schedule.resume(epoch)


def logits(model: Module, images: Array, batch_size: int = 128) -> Array:
    """A network's output for images (N, C, H, W), in evaluation mode: (N,) float32.

    Raises:
        InputError: it is not finite, as after a training that diverged.
    """
    model.eval()
    with no_grad():
        device = next(model.parameters()).device
        batches = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
        parts = [model(Tensor(to_device(batch, device))).array[:, 0] for batch in batches]
    output = np.concatenate([to_device(part, "cpu") for part in parts])
    if not np.isfinite(output).all():
        raise InputError("the network's output is NaN or infinite: its training diverged")
    return output


def probabilities(model: Module, images: Array) -> Array:
    """The probability of a cluster in each image: (N,) float64."""
    return _probability(logits(model, images))


def _probability(z: Array) -> Array:
    return sigmoid(Tensor(z.astype(np.float64))).array


def validate(model: Module, patches: Patches) -> dict[str, float]:
    """Loss, accuracy at 0.5 and AUC on patches the network is not trained on."""
    z = logits(model, patches.images)
    target = Tensor(patches.labels.astype(np.float64))
    loss = binary_cross_entropy_with_logits(Tensor(z.astype(np.float64)), target)
    return {
        "val_loss": loss.item(),
        "val_accuracy": float(((z > 0) == (patches.labels == 1)).mean()),
        "val_auc": metrics.auc(patches.labels, z),
    }
