"""The figures of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinycnn import metrics, plot
from tinycnn.data import Patches
from tinycnn.data.phantoms import PIXEL_MM
from tinycnn.grad_mode import no_grad
from tinycnn.kernels.types import Array
from tinycnn.nn import ELU, Conv2d, LeakyReLU, Module, ReLU, Sigmoid, Tanh
from tinycnn.tensor import Tensor
from tinycnn.train import probabilities

ACTIVATIONS = (ELU, LeakyReLU, ReLU, Sigmoid, Tanh)


def draw(
    folder: Path,
    model: Module,
    validation: Patches,
    history: list[dict[str, Any]],
    threshold: float,
) -> None:
    """Draw everything about a trained network on its validation patches, as PNG files."""
    images, labels = validation.images, validation.labels
    p = probabilities(model, images)
    confusion = metrics.judge(labels, p, validation.cases, threshold).confusion
    apart = f"{len(labels)} validation patches, which chose epoch and threshold"
    figures = {
        "samples": plot.samples(images, labels, pixel_mm=PIXEL_MM),
        "learning_curves": plot.learning_curves(history),
        "roc": plot.roc_curve(labels, p, validation.cases, threshold, title=apart),
        "confusion": plot.confusion_matrix(
            confusion, title=f"{len(labels)} validation patches, threshold {threshold:.3g}"
        ),
        "misclassified": plot.misclassified(
            images, labels, p, validation.names, threshold, pixel_mm=PIXEL_MM
        ),
    }
    first = next((m for m in model.modules() if isinstance(m, Conv2d)), None)
    if first is not None:
        figures["kernels"] = plot.kernels(first.weight.numpy())
        surest = images[np.argmax(np.where(labels == 1, p, -1))]
        maps = activation_maps(model, surest)
        figures["activations"] = plot.activation_maps(surest[0], maps, pixel_mm=PIXEL_MM)
    for name, figure in figures.items():
        plot.save(figure, folder / f"{name}.png")


def activation_maps(model: Module, image: Array, most: int = 5) -> list[tuple[str, Array]]:
    """What the activations behind the convolutions make of one image (C, H, W): a few of them,
    evenly chosen over the depth, as (name, maps (C, H, W)).
    """
    maps: list[tuple[str, Array]] = []

    def keep(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.ndim == 4:
            maps.append((f"{type(module).__name__} {len(maps) + 1}", output.array[0]))

    chosen = [m for m in model.modules() if isinstance(m, ACTIVATIONS)]
    handles = [module.register_forward_hook(keep) for module in chosen]
    with no_grad():
        model.eval()(Tensor(image[None]))
    for handle in handles:
        handle.remove()
    picked = np.linspace(0, len(maps) - 1, min(most, len(maps))).round().astype(int)
    return [maps[i] for i in picked]
