"""Images, folders, phantoms, splits, loaders and augmentation: from files to batches."""

from tinycnn.data.audit import Audit, audit
from tinycnn.data.augment import (
    Augmentation,
    compose,
    flips,
    flips_and_quarter_turns,
    gain_and_offset,
    quarter_turns,
    shifts,
)
from tinycnn.data.folders import (
    CASE_PATTERN,
    evaluation_patches,
    read_folder,
    training_patches,
)
from tinycnn.data.images import read_image
from tinycnn.data.loader import Loader
from tinycnn.data.patches import Patches
from tinycnn.data.rules import one_number_rules
from tinycnn.data.split import folds, holdout

__all__ = [
    "CASE_PATTERN",
    "Audit",
    "Augmentation",
    "Loader",
    "Patches",
    "audit",
    "compose",
    "evaluation_patches",
    "flips",
    "flips_and_quarter_turns",
    "folds",
    "gain_and_offset",
    "holdout",
    "one_number_rules",
    "quarter_turns",
    "read_folder",
    "read_image",
    "shifts",
    "training_patches",
]
