"""Where patches come from: a folder of images, or the phantom generator."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from tinycnn.data import CASE_PATTERN, Patches, evaluation_patches, training_patches
from tinycnn.data.phantoms import phantoms
from tinycnn.kernels.types import Array

PHANTOMS = 2000  # patches to train on when no folder is given
TEST_PHANTOMS = 600
UNSEEN = 2**32  # added to a seed: phantoms that no training run of that seed has seen


def for_training(folder: str | None, case_pattern: str | None, seed: int) -> Patches:
    """The folder's training patches, or phantoms."""
    if folder is None:
        return phantoms(PHANTOMS, seed)
    return training_patches(folder, case_pattern or CASE_PATTERN)


def for_judging(folder: str | None, case_pattern: str | None, seed: int) -> Patches:
    """The folder's test patches (all, if it has no such part), or phantoms of another seed."""
    if folder is None:
        return phantoms(TEST_PHANTOMS, seed + UNSEEN)
    return evaluation_patches(folder, case_pattern or CASE_PATTERN)


def fingerprint(patches: Patches) -> str:
    """A short text that changes when an image, a label or a case does."""
    return _digest(patches.images, patches.labels, patches.cases)


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def trained_on(config: dict[str, Any], patches: Patches) -> bool:
    """Whether a run's configuration names these very images as what it learned from."""
    data = config.get("data")
    return isinstance(data, dict) and data.get("images") == _digest(patches.images)


def described(folder: str | None, case_pattern: str | None, patches: Patches) -> dict[str, Any]:
    """What to write down of the data."""
    return {
        "folder": None if folder is None else os.path.abspath(folder),
        "case_pattern": case_pattern,
        "patches": len(patches),
        "fingerprint": fingerprint(patches),
        "images": _digest(patches.images),
    }
