"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tinycnn.errors import InputError


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all: into a temporary file of the same folder, flushed to the
    disk, then renamed.

    Raises:
        InputError: the disk is full, the folder can't be written to, …; an older file is intact.
    """
    path = Path(path)
    # always the same name: what a killed process leaves, the next one overwrites and renames
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: str | Path, content: Any) -> None:
    """Write something as indented JSON."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: there is none, or it is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
