"""From folders of images to labelled patches.

Two layouts are read, `ROOT/{Train,Test}/{0,1}/*` (either or both of Train and Test) and
`ROOT/{0,1}/*`, where 0 holds normal tissue and 1 microcalcification clusters. Upper and lower
case are the same. Other entries of ROOT are not looked at. In a class folder every file is
read in the order of the names; only hidden ones are passed over (a leading dot, and what Windows
hides: Thumbs.db, desktop.ini), and anything else that is not an image is an error.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from tinycnn.data.images import read_image
from tinycnn.data.patches import Patches
from tinycnn.errors import InputError
from tinycnn.kernels.types import Array

# The leading digits of a name, as in 0011n1_3_0.pgm_4.pgm.
CASE_PATTERN = r"^\d+"

_HIDDEN_BY_WINDOWS = {"thumbs.db", "desktop.ini"}


def read_folder(
    root: str | os.PathLike[str], case_pattern: str = CASE_PATTERN
) -> dict[str, Patches]:
    r"""Read every split there is: {"Train": …, "Test": …}, or {"all": …} without such folders.

    Args:
        root: the folder.
        case_pattern: a regular expression, searched for in the file's name. The case is its first
            group if it has one, else all it matches.

    Returns:
        `Patches` by the name of their split; the images' names are paths relative to `root`.

    Raises:
        InputError: one line that names the folder or file: no such folder, neither layout or both,
            a class missing or empty, an image that cannot be read or has another size than its
            neighbours, a name without a case.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for label in "01":
    ...         Path(folder, label).mkdir()
    ...         _ = Path(folder, label, f"000{label}_a.pgm").write_bytes(b"P5 1 1 255\n\xff")
    ...     everything = read_folder(folder)["all"]
    >>> everything.cases.tolist(), everything.labels.tolist(), everything.images.shape
    (['0000', '0001'], [0, 1], (2, 1, 1, 1))
    """
    root = Path(root)
    splits = {
        name: _read_split(root, folder, case_pattern)
        for name, folder in _split_folders(root).items()
    }
    (first, *others) = splits.values()
    for other in others:
        _check_same_size(
            root / other.names[0], other.images[0, 0], root / first.names[0], first.images[0, 0]
        )
    return splits


def training_patches(root: str | os.PathLike[str], case_pattern: str = CASE_PATTERN) -> Patches:
    """Read what is there for training: Train if there is one, else everything.

    Args and errors are those of `read_folder`; and if there is only a Test folder. Test is not
    opened.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for place in ("Train/0", "Train/1", "Test/0", "Test/1"):
    ...         Path(folder, place).mkdir(parents=True)
    ...         _ = Path(folder, place, "0007.pgm").write_bytes(b"P5 1 1 255\\n\\xff")
    ...     training_patches(folder).names.tolist()
    ['Train/0/0007.pgm', 'Train/1/0007.pgm']
    """
    root = Path(root)
    folders = _split_folders(root)
    name = "Train" if "Train" in folders else "all"
    if name not in folders:
        raise InputError(f"{root}: has a folder Test but no Train: nothing to train on")
    return _read_split(root, folders[name], case_pattern)


def evaluation_patches(root: str | os.PathLike[str], case_pattern: str = CASE_PATTERN) -> Patches:
    """Read what is there to be judged on: Test if there is one, else all there is.

    Args and errors are those of `read_folder`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for place in ("Train/0", "Train/1", "Test/0", "Test/1"):
    ...         Path(folder, place).mkdir(parents=True)
    ...         _ = Path(folder, place, "0007.pgm").write_bytes(b"P5 1 1 255\\n\\xff")
    ...     evaluation_patches(folder).names.tolist()
    ['Test/0/0007.pgm', 'Test/1/0007.pgm']
    """
    root = Path(root)
    folders = _split_folders(root)
    (name, *_) = (name for name in ("Test", "Train", "all") if name in folders)
    return _read_split(root, folders[name], case_pattern)


def _split_folders(root: Path) -> dict[str, Path]:
    """Tell the layout: {"Train": folder, "Test": folder}, one of them, or {"all": root}."""
    splits = {name: folder for name in ("Train", "Test") if (folder := _subfolder(root, name))}
    is_flat = any(_subfolder(root, label) for label in "01")
    if splits and is_flat:
        raise InputError(f"{root}: has class folders both in itself and in {' and '.join(splits)}")
    if not splits and not is_flat:
        raise InputError(f"{root}: has neither folders Train or Test nor folders 0 and 1")
    return splits or {"all": root}


def _subfolder(folder: Path, name: str) -> Path | None:
    found = [path for path in _listing(folder) if path.name.lower() == name.lower()]
    found = [path for path in found if os.path.isdir(path)]
    if len(found) > 1:
        raise InputError(f"{folder}: has two folders of one name, {found[0].name}, {found[1].name}")
    return found[0] if found else None


def _listing(folder: Path) -> list[Path]:
    """Everything in a folder that is not hidden, by name."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from error
    return [
        path
        for path in paths
        if not path.name.startswith(".") and path.name.lower() not in _HIDDEN_BY_WINDOWS
    ]


def _read_split(root: Path, folder: Path, case_pattern: str) -> Patches:
    pattern = _compile(case_pattern)
    files = _labelled_files(folder)
    cases = [_case(path, pattern) for path, _ in files]
    images: list[Array] = []
    for path, _ in files:
        image = read_image(path)
        if images:
            _check_same_size(path, image, files[0][0], images[0])
        images.append(image)
    return Patches(
        images=np.stack(images)[:, np.newaxis],
        labels=np.array([label for _, label in files], np.int64),
        cases=np.array(cases),
        names=np.array([path.relative_to(root).as_posix() for path, _ in files]),
    )


def _labelled_files(folder: Path) -> list[tuple[Path, int]]:
    """Each file of the two class folders with its label, the folder's name."""
    missing = [label for label in "01" if not os.path.isdir(folder / label)]
    if missing:
        raise InputError(f"{folder}: one class only: there is no folder {' and no '.join(missing)}")
    files: list[tuple[Path, int]] = []
    for label in (0, 1):
        found = _listing(folder / str(label))
        if not found:
            raise InputError(f"{folder / str(label)}: no images in this class folder")
        files += [(path, label) for path in found]
    return files


def _compile(case_pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(case_pattern)
    except re.error as error:
        raise InputError(f"case pattern {case_pattern!r}: {error}") from error


def _case(path: Path, pattern: re.Pattern[str]) -> str:
    found = pattern.search(path.name)
    case = found[1 if pattern.groups else 0] if found else None
    # An empty case would be shared by every image.
    if not case:
        raise InputError(
            f"{path}: the case pattern {pattern.pattern!r} finds nothing in this name;"
            " give one that does (--case-pattern)"
        )
    return case


def _check_same_size(path: Path, image: Array, other: Path, its_image: Array) -> None:
    if image.shape != its_image.shape:
        (height, width), (its_height, its_width) = image.shape, its_image.shape
        raise InputError(
            f"{path}: {width} × {height} pixels, but {other} has {its_width} × {its_height}"
        )
