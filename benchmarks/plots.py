"""Pictures of the results: cost against size, and every 3×3 convolution beside PyTorch's best."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cases import PYTORCH
from benchmarks.compare import SIDES, Row
from benchmarks.points import CONVOLUTION_MEDIAN
from benchmarks.results import Results, speed_up_over_best
from tinycnn.plot import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"PyTorch": "PyTorch, default", **{mode: f"PyTorch, {mode}" for mode in PYTORCH[1:]}}
MARKERS = dict(zip(SIDES, "os^vDPX", strict=True))
PANELS = {  # groups, what they vary, and the label of the axis
    ("training", "batch"): ("images a batch (60×60)", "exercise's network by batch"),
    ("side",): ("side of the image / pixel (batch 8)", "exercise's network by image"),
    ("depth",): ("convolutions (8 channels, 30×30, batch 32)", "by depth"),
}
RATIOS = (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50)
TICKS = {
    "training": (1, 4, 16, 64, 256),
    "side": (15, 30, 60, 120, 240),
    "depth": (1, 4, 16),
}


def size(row: Row) -> int:
    """The first number of a row's name."""
    found = re.search(r"\d+", row.case.name)
    assert found is not None
    return int(found[0])


def draw_panel(axes: Axes, rows: Sequence[Row], rate: float) -> None:
    """One line a side, with its quartiles, and what the arithmetic alone would take."""
    for number, side in enumerate(SIDES):
        taken = sorted((size(row), row.times[side]) for row in rows if side in row.times)
        if not taken:
            continue
        sizes, times = zip(*taken, strict=True)
        low, median, high = ([1e3 * t for t in column] for column in zip(*times, strict=True))
        look = style.line(number)
        axes.plot(sizes, median, label=NAMES.get(side, side), marker=MARKERS[side], **look)
        axes.fill_between(sizes, low, high, color=look["color"], alpha=0.15, linewidth=0)
    needed = sorted((size(row), 1e3 * row.case.flop / rate) for row in rows)
    axes.plot(*zip(*needed, strict=True), color="0.55", linewidth=1, zorder=0,
              label="its arithmetic at the rate\nof a matrix product")  # fmt: skip


@style.styled
def of_sizes(results: Results) -> Figure:
    """Time of a training step against batch, side and depth."""
    figure = style.new_figure(12, 4.6)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (groups, (label, title)) in zip(panels, PANELS.items(), strict=True):
        draw_panel(axes, results.of(*groups), results.limits.flop)
        axes.set(xscale="log", yscale="log", xlabel=label, title=title)
        ticks = TICKS[groups[0]]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(True)
    panels[0].set_ylabel("time of a training step / ms")
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def draw_ratios(axes: Axes, rows: Sequence[Row]) -> None:
    """A marker a convolution: its channels to the right, a shape and colour for its side."""
    words = [row.case.name.split(", ") for row in rows]  # "3×3, 8→16, 30×30, forward"
    channels = list(dict.fromkeys(word[1] for word in words))
    for number, side in enumerate(dict.fromkeys(word[2] for word in words)):
        chosen = [(word[1], row) for word, row in zip(words, rows, strict=True) if word[2] == side]
        places = [channels.index(channel) + 0.18 * (number - 1) for channel, _ in chosen]
        ratios = [speed_up_over_best(row) for _, row in chosen]
        look = {"color": style.line(number)["color"], "markersize": 6}
        axes.plot(places, ratios, "osD"[number], label=f"{side} pixels", **look)
    axes.set_xticks(range(len(channels)), channels)


@style.styled
def of_convolutions(results: Results) -> Figure:
    """How many times faster than PyTorch's best mode."""
    figure = style.new_figure(11, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("forward", "gradients"), strict=True):
        rows = [row for row in results.of("convolution") if row.case.kind == kind]
        draw_ratios(axes, rows)
        axes.axhline(1, color="0.3", linewidth=1.2, label="as fast")
        axes.axhline(CONVOLUTION_MEDIAN, color="0.5", linestyle=":", label="the median asked for")
        axes.set(yscale="log", title=f"3×3 convolution, {kind}", xlabel="channels in→out")
        axes.grid(True, axis="y")
    panels[0].set_ylabel("time of PyTorch's best mode / tinycnn's")
    panels[0].set_yticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
    panels[0].set_yticks([], minor=True)
    ends = [end for axes in panels for end in axes.dataLim.intervaly]
    panels[0].set_ylim(0.9 * min(ends), 1.1 * max(ends))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


PICTURES: dict[str, tuple[tuple[str, ...], Callable[[Results], Any], str]] = {
    "sizes.png": (("training", "batch", "side", "depth"), of_sizes, "time of a step by size"),
    "convolutions.png": (("convolution",), of_convolutions, "3×3 convolutions, ratios"),
}


def draw(results: Results, folder: Path) -> str:
    """Write every picture whose rows were measured; gives the Markdown that shows them."""
    text = ""
    for name, (groups, picture, told) in PICTURES.items():
        if all(results.of(group) for group in groups):
            style.save(picture(results), folder / name)
            text += f"\n![{told}]({name})\n"
    return text
