"""What a training step on a graphics card must cost, by its launches, bytes and arithmetic.

They are counted on the emulated card, which does the same work at no meaningful speed:

    tests/gpu/emulated/run.sh python -m benchmarks.gpu_floor > docs/benchmarks/gpu_floor.md
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

# read when CuPy is loaded: the emulated card tells what it does, and a stream's work can wait
os.environ |= {"FAKEHIP_TRACE": "1", "FAKEHIP_LAZY": "1"}

import tinycnn as tc
from tinycnn import nn
from tinycnn.kernels.cuda import launch
from tinycnn.models import build
from tinycnn.optim import SGD

BATCHES = 32, 128
TOLD = b"[floor] "
UPDATED = {"sgd_step"}  # kernels that also read what they write
# multiplications and additions, by the arguments; of other kernels a few an element: not counted
FLOPS: dict[str, Callable[..., int]] = {
    "correlate_3x3": lambda x, w, b, y, *_: 2 * y.size * w.size // y.shape[1],
    "conv2d_weight_grad": lambda g, x, partial, *_: 2 * g.size * prod(partial.shape[2:]),
    "matmul": lambda x, y, partial, m, k, n, *_: 2 * int(m) * int(k) * int(n),
}


class Card(NamedTuple):
    """Its memory's speed in bytes/s, its float32 arithmetic's in FLOP/s, and who says so."""

    name: str
    bandwidth: float
    flops: float
    source: str


CARDS = (
    Card(
        "H100 SXM",
        3.35e12,
        67e12,
        "[data sheet](https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html)",
    ),
    Card(
        "RTX 4060 Laptop",
        128 / 8 * 16e9,
        3072 * 2 * 2.37e9,
        "[128 bit at 16 Gbit/s, and 3072 lanes at 2.37 GHz, where it is given 115 W]"
        "(https://data-check.eu/en/nvidia-geforce-rtx-4060-laptop-gpu/)",
    ),
)
# 80 short kernels one by one and as a graph: https://cuda.juliagpu.org/dev/usage/graphs/
ALONE, IN_GRAPH = 260e-6 / 80, 70e-6 / 80


class Launch(NamedTuple):
    """What a launch takes from memory and gives to it, in bytes, and its arithmetic."""

    kernel: str
    read: int
    written: int
    flops: int


def training_step(batch: int) -> Callable[[], None]:
    """A step of the exercise's network on so many patches."""
    model = build("exercise", (1, 60, 60)).to("cuda")
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
    loss_of = nn.BCEWithLogitsLoss()
    images, labels = tc.zeros(batch, 1, 60, 60).to("cuda"), tc.zeros(batch, 1).to("cuda")

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(images), labels).backward()
        optimizer.step()

    return step


def told(work: Callable[[], None]) -> list[str]:
    """What is written to the standard error meanwhile."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            work()
        finally:
            os.dup2(kept, 2)
        file.seek(0)
        return file.read().decode().splitlines()


def telling(run: Callable[..., None]) -> Callable[..., None]:
    """`launch._run`, which first says what the kernel's arrays are."""
    outputs = {
        kernel["name"]: ["const" not in text for text in kernel["parameters"].split(",")]
        for kernel in launch._KERNEL.finditer(launch.SOURCE)
    }

    def tell_and_run(expression: str, device: Any, blocks: int, given: tuple[Any, ...]) -> None:
        kernel = expression.partition("<")[0]
        sizes = [0, 0]
        for argument, output in zip(given, outputs[kernel], strict=True):
            if not isinstance(argument, np.generic):  # an array
                sizes[output] += argument.nbytes
                sizes[0] += argument.nbytes if output and kernel in UPDATED else 0
        flops = FLOPS[kernel](*given) if kernel in FLOPS else 0
        os.write(2, TOLD + json.dumps([kernel, *sizes, flops]).encode() + b"\n")
        run(expression, device, blocks, given)

    return tell_and_run


def launches(lines: list[str]) -> Iterator[Launch]:
    """What the card did. Own kernels have told their arrays just before; of CuPy's the name and
    the number of threads say how large they are at most (of a sum, about)."""
    own = None
    for line in lines:
        if line.startswith(TOLD.decode()):
            own = Launch(*json.loads(line[len(TOLD) :]))
        elif match := re.search(r"gemm m=(\d+) n=(\d+) k=(\d+) batch=(\d+)", line):
            m, n, k, batch = map(int, match.groups())
            yield Launch(
                "cuBLAS", 4 * batch * (m + n) * k, 4 * batch * m * n, 2 * batch * m * n * k
            )
        elif match := re.search(r"memcpy kind=3 n=(\d+)", line):
            yield Launch("copy", int(match[1]), int(match[1]), 0)
        elif match := re.search(r"launch (\S+) grid=(.*) block=(.*) smem", line):
            threads = prod(map(int, re.findall(r"\d+", match[2] + match[3])))
            yield own or elementwise(match[1], threads)
            own = None


def elementwise(kernel: str, threads: int) -> Launch:
    """One of CuPy's: `cupy_add__float32_float_float32` takes an array, a number, and gives an
    array."""
    words = kernel.partition("__")[2].split("_") if "__" in kernel else ["float32", "float32"]
    *taken, given = (0 if w in ("int", "float") else np.dtype(w).itemsize for w in words)
    return Launch("CuPy's own", threads * sum(taken), threads * given, 0)


def counted(batch: int) -> list[Launch]:
    """The launches of a step, the second: the first one makes the optimizer's memory."""

    def two_steps() -> None:
        step = training_step(batch)
        step()
        os.write(2, b"second\n")
        step()

    with patch.object(launch, "_run", telling(launch._run)):
        lines = told(two_steps)
    return list(launches(lines[lines.index("second") :]))


def host_seconds(batch: int) -> float:
    """How long this computer takes to launch a step, the emulated card doing nothing yet."""
    import cupy

    times = []

    def steps() -> None:
        with cupy.cuda.Stream(non_blocking=True) as stream:
            step = training_step(batch)
            for _ in range(5):
                stream.synchronize()
                began = time.perf_counter()
                step()
                times.append(time.perf_counter() - began)
            stream.synchronize()

    told(steps)
    return min(times)


def by_kernel(step: list[Launch]) -> Iterator[str]:
    """A table's lines: each kernel's launches, bytes and operations, and those of all."""
    yield "| kernel | launches | kB read | kB written | MFLOP |\n|---|--:|--:|--:|--:|"
    groups = {
        name: [one for one in step if one.kernel == name] for name in {k.kernel for k in step}
    }
    for name, group in sorted(groups.items(), key=lambda item: -moved(item[1])):
        yield row(name, group)
    yield row("all", step)


def row(name: str, group: list[Launch]) -> str:
    """A line of the table."""
    read, written = sum(one.read for one in group), sum(one.written for one in group)
    flops = sum(one.flops for one in group)
    return (
        f"| {name} | {len(group)} | {read / 1e3:,.0f} | {written / 1e3:,.0f} | {flops / 1e6:,.1f} |"
    )


def moved(group: list[Launch]) -> int:
    """Bytes to and from memory."""
    return sum(one.read + one.written for one in group)


def floors(card: Card, batch: int, step: list[Launch]) -> str:
    """A line: the time that each of the three takes alone, and the longest of them."""
    memory, arithmetic = moved(step) / card.bandwidth, sum(one.flops for one in step) / card.flops
    bounds = []
    for cost in (ALONE, IN_GRAPH):
        parts = {"launches": len(step) * cost, "bytes": memory, "arithmetic": arithmetic}
        longest = max(parts, key=parts.__getitem__)
        bounds.append(f"{parts[longest] * 1e6:.0f} ({longest})")
    alone, in_graph = (len(step) * cost for cost in (ALONE, IN_GRAPH))
    times = [f"{t * 1e6:.0f}" for t in (memory, arithmetic, alone, in_graph)]
    return "| " + " | ".join([card.name, str(batch), *times, *bounds]) + " |"


PAGE = """# What a training step on a graphics card must cost

A step of the exercise's network (60 × 60 patches, float32), counted on the emulated card by
`benchmarks/gpu_floor.py`, which writes this page:

```sh
tests/gpu/emulated/run.sh python -m benchmarks.gpu_floor > docs/benchmarks/gpu_floor.md
```

No card was timed. A step takes at least the longest of

- **bytes**: every array that a launch is given, read or written once, at the full speed of the
  card's memory. (What still lies in the cache comes quicker; the H100 has 50 MB of it.)
- **arithmetic**: the convolutions' and matrix products' multiplications and additions, at the full
  speed of float32 without tensor cores. Other kernels do a few operations an element.
- **launches**: {alone:.2f} µs each one by one, {graph:.2f} µs in a CUDA graph, as
  [CUDA.jl measured](https://cuda.juliagpu.org/dev/usage/graphs/) with 80 short kernels.

Without a graph, Python comes on top: it and CuPy took {host:.1f} ms for a step's launches, on one
core of the computer that wrote this page. That, not the card, is then what a step waits for.

| card | batch | bytes, µs | arithmetic, µs | launches, µs | in a graph, µs | floor, µs | with a \
graph, µs |
|---|--:|--:|--:|--:|--:|--:|--:|
{floors}

{cards}

Not counted: filling arrays with zeros, and the batch on its way to the card
({sent}).
"""


def main() -> None:
    """Print the page."""
    steps = {batch: counted(batch) for batch in BATCHES}
    cards = [
        f"- {card.name}: {card.bandwidth / 1e9:,.0f} GB/s, {card.flops / 1e12:.1f} TFLOP/s: "
        f"{card.source}."
        for card in CARDS
    ]
    lines = [floors(card, batch, step) for card in CARDS for batch, step in steps.items()]
    sent = ", ".join(f"{batch * 3601 * 4 / 1e3:,.0f} kB at {batch}" for batch in BATCHES)
    told = {
        "alone": ALONE * 1e6,
        "graph": IN_GRAPH * 1e6,
        "sent": sent,
        "host": host_seconds(BATCHES[0]) * 1e3,
    }
    print(PAGE.format(**told, floors="\n".join(lines), cards="\n".join(cards)), end="")
    for batch, step in steps.items():
        print(f"\n## Batch of {batch}\n\n" + "\n".join(by_kernel(step)))


if __name__ == "__main__":
    main()
