"""The run folder: what a training run leaves behind.

    config.json          the recipe, and what the run was trained on
    history.json         a record for each epoch
    weights.safetensors  the best epoch's weights, with all that is needed to use them
    state.safetensors    where to go on: weights, velocities and history after the last epoch
    figures/             pictures

Every file is written whole or not at all. An epoch counts once `state.safetensors` is renamed into
its place; killed before that, the run goes on from the epoch before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn.errors import InputError
from tinycnn.files import read_json, write_bytes, write_json
from tinycnn.kernels.types import Array
from tinycnn.models import build
from tinycnn.nn import Module


def save_tensors(path: Path, tensors: dict[str, Array], about: dict[str, Any]) -> None:
    """Write named arrays and a JSON-ready description as one safetensors file."""
    from safetensors.numpy import save

    # safetensors writes an array's memory as it lies
    whole = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()}
    write_bytes(path, save(whole, metadata={"tinycnn": json.dumps(about)}))


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        InputError: no such file, or one that is no safetensors file of tinycnn's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            about = (file.metadata() or {}).get("tinycnn")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is no sound safetensors file: {error}") from error
    if about is None:
        raise InputError(f"{path}: was not written by tinycnn")
    return tensors, json.loads(about)


class Run:
    """A run folder, read or written file by file."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.weights = self.folder / "weights.safetensors"
        self.state = self.folder / "state.safetensors"
        self.figures = self.folder / "figures"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / "config.json").exists()

    def save_config(self, config: dict[str, Any]) -> None:
        """Begin: write down what the run is."""
        write_json(self.folder / "config.json", config)

    def config(self) -> dict[str, Any]:
        """What the run is."""
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such run folder")
        config = read_json(self.folder / "config.json")
        if not isinstance(config, dict):
            raise InputError(f"{self.folder / 'config.json'}: is no run's configuration")
        return config

    def save_weights(self, model: Module, about: dict[str, Any]) -> None:
        """Keep these weights as the best."""
        save_tensors(self.weights, {k: v.array for k, v in model.state_dict().items()}, about)

    def load_model(self) -> tuple[Module, dict[str, Any]]:
        """The network with the best epoch's weights, and what was said about them: `model`,
        `shape` of an image, `threshold`, `epoch`.

        Raises:
            InputError: no folder, no weights, or weights of another model.
        """
        config = self.config()
        if not self.weights.exists():
            raise InputError(f"{self.folder}: has no weights (no epoch was finished)")
        tensors, about = load_tensors(self.weights)
        try:
            model = build(config["recipe"]["model"], tuple(config["shape"]))
            model.load_state_dict(tensors)
            return model, {name: about[name] for name in ("model", "shape", "threshold", "epoch")}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.weights}: are not the weights of the run's model: {_brief(error)}"
            ) from error

    def save_state(self, tensors: dict[str, Array], history: list[dict[str, Any]]) -> None:
        """An epoch is over: from here the run can go on."""
        write_json(self.folder / "history.json", history)
        save_tensors(self.state, tensors, {"history": history})

    def load_state(self) -> tuple[dict[str, Array], list[dict[str, Any]]]:
        """What the last `save_state` wrote."""
        tensors, about = load_tensors(self.state)
        return tensors, about["history"]


def _brief(error: Exception) -> str:
    """An error in one line of bearable length."""
    text = str(error.args[0] if error.args else error).replace("\n", " ")
    return text if len(text) <= 160 else text[:157] + "…"
