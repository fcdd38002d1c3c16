"""Judging trained networks: on a set of patches, side by side, and on single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn import metrics
from tinycnn.checkpoint import Run
from tinycnn.data import Patches, one_number_rules, read_image
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array
from tinycnn.metrics import Judgement
from tinycnn.microcalc import source
from tinycnn.nn import Module
from tinycnn.train import probabilities

FIGURES = ("auc", *metrics.RATES)


@dataclass(frozen=True)
class Evaluation:
    """One network judged on one set of patches.

    Attributes:
        run: its folder.
        at_half: the judgement at the threshold 0.5.
        at_chosen: at the threshold that was best on the validation patches.
        rules: AUC of the one-number rules on the same patches, by name.
        seen: whether the network learned from these very patches, which proves nothing.
        labels, probabilities: (N,) each, what the judgement is made of.
    """

    run: str
    at_half: Judgement
    at_chosen: Judgement
    rules: dict[str, float]
    seen: bool
    labels: Array
    probabilities: Array

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the judgement at 0.5, with the other under `at_chosen_threshold`."""
        return {
            "run": self.run,
            **self.at_half.as_dict(),
            "at_chosen_threshold": self.at_chosen.as_dict(),
            "rules_auc": self.rules,
            "seen_in_training": self.seen,
        }

    def __str__(self) -> str:
        """A table, with 95 % intervals."""
        half, chosen = self.at_half, self.at_chosen
        thresholds = f"at {half.threshold:.3f}", f"at {chosen.threshold:.3f}, chosen on validation"
        lines = [
            f"{half.n} images of {half.cases} cases, with 95 % intervals over the cases",
            f"AUC          {interval(half, 'auc')}",
            f"{'':12} {thresholds[0]:24} {thresholds[1]}",
        ]
        lines += [f"{f:12} {interval(half, f):24} {interval(chosen, f)}" for f in FIGURES[1:]]
        lines += ["", f"{'':12} {'called normal, cluster':24} called normal, cluster"]
        for row, truth in enumerate(("normal", "cluster")):
            counts = [f"{j.confusion[row][0]:6d} {j.confusion[row][1]:8d}" for j in (half, chosen)]
            lines.append(f"{truth:12} {counts[0]:24} {counts[1]}")
        lines += ["", "One-number rules, by the grey levels alone:"]
        lines += [f"{rule:20} AUC {auc:.3f}" for rule, auc in self.rules.items()]
        lines += _warnings([self])
        return "\n".join(lines)


def interval(judgement: Judgement, figure: str) -> str:
    """`0.912 [0.880, 0.941]`."""
    low, high = judgement.intervals[figure]
    return f"{getattr(judgement, figure):.3f} [{low:.3f}, {high:.3f}]"


def evaluate(
    run: str | Path, data: str | None = None, case_pattern: str | None = None
) -> Evaluation:
    """Judge a run on a folder's patches, or on phantoms it was not trained on."""
    return compare([run], data, case_pattern)[0]


def compare(
    runs: Sequence[str | Path], data: str | None = None, case_pattern: str | None = None
) -> list[Evaluation]:
    """Judge several runs on the same patches."""
    loaded = [(run, *Run(run).load_model()) for run in runs]
    patches = source.for_judging(data, case_pattern, seed=0)
    for run, _, about in loaded:
        shape = list(patches.images.shape[1:])
        if shape != about["shape"]:
            raise InputError(f"{run}: was trained on images of {_size(about)}, not {_size(shape)}")
    return [_judge(run, model, about, patches) for run, model, about in loaded]


def _judge(run: str | Path, model: Module, about: dict[str, Any], patches: Patches) -> Evaluation:
    p = probabilities(model, patches.images)
    at_half, at_chosen = (
        metrics.judge(patches.labels, p, patches.cases, threshold)
        for threshold in (0.5, about["threshold"])
    )
    rules = {
        name: metrics.auc(patches.labels, scores)
        for name, scores in one_number_rules(patches.images).items()
    }
    seen = source.trained_on(Run(run).config(), patches)
    return Evaluation(str(run), at_half, at_chosen, rules, seen, patches.labels, p)


def side_by_side(evaluations: Sequence[Evaluation]) -> str:
    """A table with a column a network."""
    width = max(24, *(len(e.run) + 2 for e in evaluations))
    first = evaluations[0].at_half
    lines = [
        f"{first.n} images of {first.cases} cases, at the threshold 0.5, with 95 % intervals",
        " " * 13 + "".join(e.run.ljust(width) for e in evaluations),
    ]
    for figure in FIGURES:
        cells = (interval(e.at_half, figure).ljust(width) for e in evaluations)
        lines.append(f"{figure:12} " + "".join(cells).rstrip())
    return "\n".join(lines + _warnings(evaluations))


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    """A line for each network that was asked what it had been told."""
    return [
        f"\nBeware: {e.run} was trained on these very images; this is no proof of its skill"
        for e in evaluations
        if e.seen
    ]


def predict(run: str | Path, images: Sequence[str | Path]) -> Array:
    """The probability of a cluster in each image file: (N,)."""
    model, about = Run(run).load_model()
    read = []
    for path in images:
        image = read_image(path)
        if list(image.shape) != about["shape"][1:]:
            raise InputError(f"{path}: has {_size(image.shape)}, the network takes {_size(about)}")
        read.append(image[None])
    return probabilities(model, np.stack(read))


def _size(shape: Any) -> str:
    height, width = (shape["shape"] if isinstance(shape, dict) else shape)[-2:]
    return f"{height}×{width} pixels"
