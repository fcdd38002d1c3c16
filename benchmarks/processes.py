"""Whole processes: from the first import to the last epoch, with the memory they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import patches, work
from benchmarks.cases import PATCH, Case
from benchmarks.compare import Row, quartiles
from benchmarks.machine import ROOT, environment
from benchmarks.networks import exercise

LIBRARIES = {"tinycnn": "tinycnn", "cold": "tinycnn", "PyTorch": "torch"}
BOTH = ("tinycnn", "PyTorch")
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
THREADS = (1, 2, 4)  # whose number must not change the weights
LEARNED = 0.8  # an accuracy that only a trained network has


class Training(NamedTuple):
    """What the script is asked to do, and the order in which the sides do it."""

    name: str
    epochs: int
    patches: int
    turns: tuple[str, ...]

    def flop(self) -> float:
        """Of all steps and evaluations."""
        network = exercise(PATCH)
        step = work.step_flop(network, PATCH, self.patches)
        return self.epochs * (step + work.inference_flop(network, PATCH, patches.TEST))


FIRST_STEP = Training(
    "one step and its evaluation", 1, patches.BATCH, (*BOTH, "cold", *BOTH, *BOTH)
)
WHOLE = Training("100 epochs of 500 patches", 100, patches.TRAIN, (*BOTH, "cold", *reversed(BOTH)))
SHORT = Training("10 epochs of 500 patches", 10, patches.TRAIN, (*BOTH, "cold"))


class Run(NamedTuple):
    """A process that has ended: its seconds, its largest memory in bytes, what it printed."""

    seconds: float
    memory: int
    printed: dict[str, Any]


def run(library: str, file: Path, epochs: int, count: int, environ: dict[str, str]) -> Run:
    """One process of `benchmarks.script`.

    Its memory is what the system counts of an ended child. That begins with this process's own
    size when it starts the child, so this one stays small: it imports no library that computes.
    """
    command = [sys.executable, "-m", "benchmarks.script", library, str(file)]
    command += ["--epochs", str(epochs), "--patches", str(count)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout as output:
        printed = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return Run(seconds, usage.ru_maxrss * UNIT, json.loads(printed))


def take_turns(training: Training, file: Path) -> dict[str, list[Run]]:
    """Every turn's process. A cold one finds nothing that was compiled before."""
    runs: dict[str, list[Run]] = {turn: [] for turn in training.turns}
    for turn in training.turns:
        with tempfile.TemporaryDirectory() as empty:
            environ = environment(compiled=empty if turn == "cold" else "")
            library = LIBRARIES[turn]
            runs[turn].append(run(library, file, training.epochs, training.patches, environ))
    return runs


def rows(training: Training, file: Path) -> Iterator[Row]:
    """Three rows: seconds warm and cold, and memory. PyTorch keeps nothing compiled, so its cold
    start is its warm one.
    """
    runs = take_turns(training, file)
    seconds = {turn: quartiles([r.seconds for r in runs[turn]]) for turn in runs}
    memory = {turn: quartiles([float(r.memory) for r in runs[turn]]) for turn in runs}
    troubles = {
        turn: f"accuracy {ended[-1].printed['accuracy']:.2f}"
        for turn, ended in runs.items()
        if training.epochs > 10 and ended[-1].printed["accuracy"] < LEARNED
    }
    for state, ours in (("warm", "tinycnn"), ("cold", "cold")):
        case = Case("processes", f"{training.name}, {state}", "", {}, BOTH, training.flop())
        yield Row(case, {"tinycnn": seconds[ours], "PyTorch": seconds["PyTorch"]}, troubles)
    case = Case("memory", training.name, "", {}, BOTH)
    yield Row(case, {side: memory[side] for side in BOTH}, {})


def weights_by_threads(file: Path) -> dict[int, str]:
    """A digest of the weights after three epochs, for each number of threads."""
    return {
        count: run("tinycnn", file, 3, patches.TRAIN, environment(count)).printed["weights"]
        for count in THREADS
    }
