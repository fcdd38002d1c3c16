"""Draws the pictures of docs/gradient_checks.md: the error of numerical derivatives by their step.

    python docs/draw/step_size.py [folder]

The pictures go to docs/pictures or to the folder given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tinycnn.plot import style

FOLDER = Path(__file__).parents[1] / "pictures"
SMALLEST = 1e-17  # errors below are drawn here: a logarithm knows no 0

# A function of one number: of a float32 or float64, real or complex.
Function = Callable[[Any], Any]


# ---- the methods ---------------------------------------------------------------------------


def forward(f: Function, x: Any, h: Any) -> Any:
    """(f(x + h) − f(x)) / h: an error of order h."""
    return (f(x + h) - f(x)) / h


def central(f: Function, x: Any, h: Any) -> Any:
    """(f(x + h) − f(x − h)) / 2h: an error of order h²."""
    return (f(x + h) - f(x - h)) / (2 * h)


def richardson(f: Function, x: Any, h: Any) -> Any:
    """Central differences at h, h/2 and h/4, put together so that the errors h² and h⁴ cancel."""
    first, second, third = (central(f, x, h / k) for k in (1, 2, 4))
    better, best = (4 * second - first) / 3, (4 * third - second) / 3
    return (16 * best - better) / 15


def complex_step(f: Function, x: Any, h: Any) -> Any:
    """Im f(x + ih) / h: an error of order h², and nothing that cancels."""
    return f(x + 1j * h).imag / h


METHODS = {
    "forward difference": forward,
    "central difference": central,
    "Richardson": richardson,
    "complex step": complex_step,
}


# ---- the functions -------------------------------------------------------------------------


def smooth(x: Any) -> Any:
    """eˣ / (sin³x + cos³x), the example of Squire & Trapp (1998)."""
    return np.exp(x) / (np.sin(x) ** 3 + np.cos(x) ** 3)


def smooth_slope(x: Any) -> Any:
    """Its derivative."""
    sin, cos = np.sin(x), np.cos(x)
    inner = 3 * (sin**2 * cos - cos**2 * sin) / (sin**3 + cos**3)
    return smooth(x) * (1 - inner)


LAYERS = 30


def chain(x: Any) -> Any:
    """σ(σ(… σ(x) …)), 30 times."""
    for _ in range(LAYERS):
        x = 1 / (1 + np.exp(-x))
    return x


def chain_slope(x: Any) -> Any:
    """Its derivative: the product of σ′ = σ(1 − σ) at every layer."""
    slope = 1.0
    for _ in range(LAYERS):
        x = 1 / (1 + np.exp(-x))
        slope = slope * x * (1 - x)
    return slope


KINK = 1e-3


def kinked(x: Any) -> Any:
    """eˣ + max(x − 0.001, 0): smooth, but for a kink at a distance of 0.001 from 0."""
    return np.exp(x) + np.where(x.real > KINK, x - KINK, 0)


# ---- the pictures --------------------------------------------------------------------------


def errors(method: Any, f: Function, slope: Function, x: Any, steps: Any) -> Any:
    """The relative error of a method at each step: root mean square over the points x."""
    true = slope(x.astype(np.float64))
    found = np.array([method(f, x, h) for h in steps], np.float64)
    return np.maximum(np.sqrt(np.mean((found / true - 1) ** 2, 1)), SMALLEST)


def draw(axes: Axes, f: Function, slope: Function, x: Any, title: str) -> None:
    """One panel: every method's error against the step, in the precision of the points x."""
    steps = np.logspace(-20, 0, 201).astype(x.dtype)
    with np.errstate(all="ignore"):
        for number, (name, method) in enumerate(METHODS.items()):
            error = errors(method, f, slope, x, steps)
            axes.loglog(steps, error, label=name, **style.line(number))
    eps = np.finfo(x.dtype).eps
    axes.axhline(eps, color="0.6", linewidth=1)
    axes.annotate(f"ε of {x.dtype}", (1, eps), (0, -9), textcoords="offset points",
                  ha="right", color="0.3", fontsize=8)  # fmt: skip
    axes.set(xlabel="step h", title=title, ylim=(SMALLEST, 1e3))
    axes.grid(True)


def pair_of_panels() -> Any:
    """A figure with two panels beside each other."""
    figure = style.new_figure(9, 4)
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_ylabel("relative error of the derivative")
    return figure, left, right


def near(x: float, reach: float) -> Any:
    """25 points: one alone would meet roundings that happen to cancel."""
    return x + reach * np.linspace(-1, 1, 25)


@style.styled
def of_smooth() -> Any:
    """A smooth function, in both precisions."""
    figure, left, right = pair_of_panels()
    x = near(1.5, 0.02)
    draw(left, smooth, smooth_slope, x, "float64")
    draw(right, smooth, smooth_slope, x.astype(np.float32), "float32")
    left.legend(loc=(0.03, 0.2))
    return figure


@style.styled
def of_trouble() -> Any:
    """A vanished gradient, and a kink nearby, in float64."""
    figure, left, right = pair_of_panels()
    told = f"30 sigmoids: a derivative of {chain_slope(0.5):.0e}"
    draw(left, chain, chain_slope, near(0.5, 0.1), told)
    draw(right, kinked, np.exp, near(0, KINK / 20), "a kink at a distance of 0.001")
    right.axvline(KINK, color="0.6", linewidth=1)
    left.legend(loc=(0.03, 0.2))
    return figure


def main() -> None:
    """Draw all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    style.save(of_smooth(), folder / "step_size.png")
    style.save(of_trouble(), folder / "step_size_trouble.png")


if __name__ == "__main__":
    main()
