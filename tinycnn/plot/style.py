"""What all figures share: colours, lines, fonts, the names of the classes, and how one is saved.

The colours are those of Okabe and Ito (Color Universal Design, 2008), which readers with any of
the common colour-vision deficiencies tell apart. Lines differ in dashes and markers as well, so
that a figure printed in grey still reads.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tinycnn.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = ("normal tissue", "microcalcifications")

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DASHES = ("-", "--", "-.", ":")
_DPI = 150

_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "figure.titlesize": 12,
    "axes.grid": False,
    "grid.color": "0.88",
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Makes a drawing function use this style, whatever the user's own Matplotlib settings are."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        from matplotlib import style

        with style.context(["default", _STYLE]):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, known to no window and to no `pyplot`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="compressed")


def line(number: int) -> dict[str, Any]:
    """Colour and dashes of a figure's line 0, 1, 2, …; the first 28 are all different."""
    return {"color": _COLOURS[number % 7], "linestyle": _DASHES[number % 4]}


def say(figure: Figure, text: str) -> Figure:
    """Writes a text into the middle of a figure that has nothing to show."""
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=13)
    return figure


@styled
def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure as PNG: the whole file or none, and the same bytes for the same figure.

    Raises:
        InputError: the file cannot be written; a file that was there before is then untouched.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(say(new_figure(2, 1), "hello"), Path(folder, "hello.png"))
    ...     Path(folder, "hello.png").read_bytes()[1:4]
    b'PNG'
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, png.getvalue())
