"""What a data set could fool its user with, looked for before anything is trained on it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tinycnn.data.patches import Patches
from tinycnn.data.rules import one_number_rules
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array


@dataclass(frozen=True)
class Twins:
    """Images that are equal in every pixel, under several names."""

    names: list[str]
    labels: list[int]
    cases: list[str]
    splits: list[str]


@dataclass(frozen=True)
class ClassSummary:
    """One class of one split.

    Attributes:
        patches: how many.
        cases: how many cases they come from.
        mean: of the patches' mean grey levels.
        mean_spread: standard deviation of the patches' mean grey levels, between patches.
        contrast: mean of the patches' standard deviations, within a patch.
    """

    patches: int
    cases: int
    mean: float
    mean_spread: float
    contrast: float


@dataclass(frozen=True)
class Shift:
    """How far the grey levels of one class differ between two splits.

    Attributes:
        mean: Kolmogorov–Smirnov distance of the patches' mean grey levels, 0 (same) to 1 (apart).
        contrast: the same of their standard deviations.
    """

    splits: tuple[str, str]
    label: int
    mean: float
    contrast: float


@dataclass(frozen=True)
class Audit:
    """The findings of `audit`; as text by `str`, ready for JSON by `as_dict`.

    Attributes:
        twins: groups of identical images.
        shared_cases: cases that occur in more than one split.
        classes: split → class ("0" or "1") → its summary.
        shifts: grey-level shifts between each two splits, class by class.
        rules: split → one-number rule → its AUC.
    """

    twins: list[Twins]
    shared_cases: list[str]
    classes: dict[str, dict[str, ClassSummary]]
    shifts: list[Shift]
    rules: dict[str, dict[str, float]]

    def as_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, strings and numbers."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [self._twins_text(), self._cases_text(), self._classes_text()]
        parts += [self._shifts_text()] if self.shifts else []
        return "\n\n".join([*parts, self._rules_text()])

    def _twins_text(self) -> str:
        if not self.twins:
            return "Identical images: none"
        across = {
            what: sum(len(set(getattr(group, what))) > 1 for group in self.twins)
            for what in ("labels", "cases", "splits")
        }
        lines = [
            f"Identical images: {len(self.twins)} groups, {across['labels']} across classes,"
            f" {across['cases']} across cases, {across['splits']} across splits"
        ]
        return "\n  ".join(lines + [" = ".join(group.names) for group in self.twins])

    def _cases_text(self) -> str:
        return f"Cases in more than one split: {', '.join(self.shared_cases) or 'none'}"

    def _classes_text(self) -> str:
        lines = ["Classes (grey levels in 0..1):"]
        lines += [
            f"{split} {label}: {c.patches:5d} patches of {c.cases:3d} cases,"
            f" mean {c.mean:.3f} ± {c.mean_spread:.3f} between patches,"
            f" standard deviation {c.contrast:.3f} within"
            for split, classes in self.classes.items()
            for label, c in classes.items()
        ]
        return "\n  ".join(lines)

    def _shifts_text(self) -> str:
        lines = ["Grey-level shift between splits (Kolmogorov–Smirnov distance, 0 to 1):"]
        lines += [
            f"{' and '.join(s.splits)}, class {s.label}: mean {s.mean:.2f},"
            f" standard deviation {s.contrast:.2f}"
            for s in self.shifts
        ]
        return "\n  ".join(lines)

    def _rules_text(self) -> str:
        lines = ["AUC of one number of a patch (0.5 tells nothing, 1 tells all):"]
        lines += [
            f"{split}: " + ", ".join(f"{rule} {auc:.2f}" for rule, auc in aucs.items())
            for split, aucs in self.rules.items()
        ]
        return "\n  ".join(lines)


def audit(splits: dict[str, Patches]) -> Audit:
    """Look for leaks, imbalance and shortcuts in the splits of a data set.

    Args:
        splits: patches by the name of their split, as `read_folder` gives them.

    Raises:
        InputError: a split lacks a class.

    >>> rng = np.random.default_rng(0)
    >>> images = rng.random((4, 1, 8, 8), dtype=np.float32)
    >>> images[3] = images[0]
    >>> found = audit({"all": Patches(images, np.array([0, 0, 1, 1]), np.array(list("aabb")),
    ...                               np.array(["a1", "a2", "b1", "b2"]))})
    >>> found.twins
    [Twins(names=['a1', 'b2'], labels=[0, 1], cases=['a', 'b'], splits=['all', 'all'])]
    """
    for split, patches in splits.items():
        if set(patches.labels.tolist()) != {0, 1}:
            raise InputError(f"{split}: one class only, or labels other than 0 and 1")
    return Audit(
        twins=_twins(splits),
        shared_cases=_shared_cases(splits),
        classes={
            split: {str(label): _summary(_of_class(patches, label)) for label in (0, 1)}
            for split, patches in splits.items()
        },
        shifts=[
            _shift((one, other), label, splits)
            for one, other in combinations(splits, 2)
            for label in (0, 1)
        ],
        rules={split: _rule_aucs(patches) for split, patches in splits.items()},
    )


def _twins(splits: dict[str, Patches]) -> list[Twins]:
    """Group the images by a hash of their bytes."""
    groups: dict[bytes, Twins] = defaultdict(lambda: Twins([], [], [], []))
    for split, patches in splits.items():
        for i, image in enumerate(patches.images):
            group = groups[hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()]
            group.names.append(str(patches.names[i]))
            group.labels.append(int(patches.labels[i]))
            group.cases.append(str(patches.cases[i]))
            group.splits.append(split)
    return [group for group in groups.values() if len(group.names) > 1]


def _shared_cases(splits: dict[str, Patches]) -> list[str]:
    shared: set[str] = set()
    for one, other in combinations(splits.values(), 2):
        shared |= set(one.cases.tolist()) & set(other.cases.tolist())
    return sorted(shared)


def _of_class(patches: Patches, label: int) -> Patches:
    return patches[patches.labels == label]


def _means_and_contrasts(patches: Patches) -> tuple[Array, Array]:
    """Mean and standard deviation of each patch's grey levels, (N,) each."""
    scores = one_number_rules(patches.images)
    return scores["mean"], scores["standard deviation"]


def _summary(patches: Patches) -> ClassSummary:
    means, contrasts = _means_and_contrasts(patches)
    return ClassSummary(
        patches=len(patches),
        cases=len(np.unique(patches.cases)),
        mean=float(means.mean()),
        mean_spread=float(means.std()),
        contrast=float(contrasts.mean()),
    )


def _shift(names: tuple[str, str], label: int, splits: dict[str, Patches]) -> Shift:
    one, other = (_means_and_contrasts(_of_class(splits[name], label)) for name in names)
    return Shift(names, label, _distance(one[0], other[0]), _distance(one[1], other[1]))


def _distance(one: Array, other: Array) -> float:
    """Kolmogorov–Smirnov distance: the largest gap between two cumulative distributions."""
    everywhere = np.concatenate([one, other])
    below_one = np.searchsorted(np.sort(one), everywhere, side="right") / len(one)
    below_other = np.searchsorted(np.sort(other), everywhere, side="right") / len(other)
    return float(np.abs(below_one - below_other).max())


def _rule_aucs(patches: Patches) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    scores = one_number_rules(patches.images)
    return {rule: float(roc_auc_score(patches.labels, score)) for rule, score in scores.items()}
