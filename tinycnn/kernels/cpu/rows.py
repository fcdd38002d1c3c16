"""An image as one long row.

All channels of a zero-padded image lie behind each other in one row of memory, `pitch` elements
from one line of the image to the next. There a kernel element (c, i, j) is nothing but an offset,
(c · lines + i · dilation) · pitch + j · dilation, and a convolution is

    y[o, t] = b[o] + Σ over kernel elements k of w[o, k] · row[t + offset[k]]

with t = p · pitch + q running over the whole image at once. The zeros right of one line are also
those left of the next, so few positions t lie between the lines of the result, and those are left
out when it is copied. That is a few per cent more arithmetic, for loops that never stop at the
right edge of a small image.

With a stride s the image is laid out as s · s images of every s-th line and column, one behind the
other: there the neighbouring positions of the result meet neighbouring elements again.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.jit import inner, part
from tinycnn.kernels.cpu.vector import REGISTER_BYTES, copy, lanes, load, store
from tinycnn.kernels.types import Array, Geometry, Pair, Shape

LANES = 16  # of the longest vector
FEW = 8  # channels for which spreading tiles is too much
LINE = 4 * LANES  # so much may be read or written behind the end: vectors are not cut to fit


class Plan(NamedTuple):
    """How a convolution of some shape runs over long rows.

    Attributes:
        top, left: the padding before the image's pixels.
        down, right: the stride.
        lines: of one channel of the image, or of one of its s · s parts.
        pitch: from line to line.
        size: of the row.
        height, width: of the result.
        length: from its first position to behind its last.
        offsets: of the kernel's elements, in the order of the weight, filled up to a multiple of
            three with such that nobody wants.
        by_tiles: whether `winograd.py` gets it done sooner.
        windows: the length of a line of 2×2 windows, filled up to whole vectors; there is room for
            half a window at its end.
    """

    top: int
    left: int
    down: int
    right: int
    lines: int
    pitch: int
    size: int
    height: int
    width: int
    length: int
    offsets: Array
    by_tiles: bool
    windows: int


@lru_cache(maxsize=1024)
def plan(shape: Shape, kernel: Pair, geometry: Geometry, pitch: int = 0) -> Plan:
    """For images of a shape (C, H, W), with lines at least `pitch` apart."""
    (down, right), (top, bottom, left, behind), dilation, _ = geometry
    channels, height, width = shape
    size = reference.output_size((1, *shape), kernel, *geometry[:3])
    # with a stride, padding is not shared by neighbouring lines
    apart = width + max(left, behind) if right == 1 else -(-(width + left + behind) // right)
    pitch = max(pitch, apart, size[1])
    tiles = kernel == (3, 3) and (down, right, *dilation) == (1, 1, 1, 1)
    pitch += pitch % 2 if tiles else 0  # they are two columns wide
    lines = -(-(height + top + bottom) // down)
    # a vector that begins in one channel's last line finds zeros behind it, not the next channel
    lines = max(lines, -(-((height - 1) * pitch + width + LANES) // pitch))
    c, i, j = np.indices((channels, *kernel)).reshape(3, -1)
    i, j = i * dilation[0], j * dilation[1]
    part = (c * down + i % down) * right + j % right
    offsets = (part * lines + i // down) * pitch + j // right
    filled = np.pad(offsets, (0, -len(offsets) % 3))
    end = channels * down * right * lines * pitch + left + behind + LINE
    end += 2 * pitch if tiles else 0  # a tile may begin in the last line
    end = -(-end // LINE) * LINE
    place, length = (top, left, down, right, lines, pitch, end), (size[0] - 1) * pitch + size[1]
    n = REGISTER_BYTES // 4
    windows = -(-size[1] // (2 * n)) * n
    tiles = tiles and channels >= FEW and _spare_work(windows, size[0], length)
    return Plan(*place, *size, length, filled, tiles, windows)


def _spare_work(in_line: int, height: int, length: int) -> bool:
    """Whether tiles of 16 multiplications, a vector of them in a line at least, are so few that
    spreading and gathering them, another quarter, pays off."""
    return 1.25 * 16 * in_line * -(-height // 2) < 9 * length


@inner
def lay_out(image: Any, way: Any, row: Any) -> None:
    """Copy an image (C, H, W) into a row of zeros."""
    channels, height, width = image.shape
    pixels, plane = image.reshape(image.size), way.lines * way.pitch
    for c in range(channels):
        for i in range(height):
            down, at = i + way.top, (c * height + i) * width
            part = (c * way.down + down % way.down) * way.right
            start = part * plane + down // way.down * way.pitch
            if way.right == 1:
                _line(pixels, at, row, start + way.left, width)
                continue
            for first in range(min(way.right, width)):  # of the columns of one part
                column = first + way.left
                to = start + column % way.right * plane + column // way.right
                for j in range((width - first + way.right - 1) // way.right):
                    row[to + j] = pixels[at + first + j * way.right]


@inner
def take(rows: Any, pitch: int, image: Any) -> None:
    """Copy an image (C, H, W) from rows of its channels, without what lies between its lines."""
    channels, height, width = image.shape
    flat, pixels = rows.reshape(rows.size), image.reshape(image.size)
    for c in range(channels):
        for i in range(height):
            at = c * rows.shape[1] + i * pitch
            _line(flat, at, pixels, (c * height + i) * width, width)


@inner
def spread(plane: Any, pitch: int, row: Any) -> None:
    """Copy a plane (H, W) to a row, its lines `pitch` apart."""
    height, width = plane.shape
    pixels = plane.reshape(plane.size)
    for i in range(height):
        _line(pixels, i * width, row, i * pitch, width)


@part
def _line(source: Any, at: int, target: Any, to: int, width: int) -> None:
    """Copy it, in vectors of which the last overlaps with the one before."""
    n = lanes(source)
    if width < n:
        copy(source, at, target, to, width)
    else:
        for j in range(0, width - n, n):
            store(target, to + j, load(source, at + j))
        store(target, to + width - n, load(source, at + width - n))
