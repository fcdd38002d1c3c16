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
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn.device import to_device
from tinycnn.errors import InputError
from tinycnn.files import read_json, write_bytes, write_json
from tinycnn.kernels.types import Array
from tinycnn.models import build
from tinycnn.nn import Module

# what is known of an epoch
_RECORD = {"epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_auc"}


def save_tensors(path: Path, tensors: dict[str, Array], about: dict[str, Any]) -> None:
    """Write named arrays and a JSON-ready description as one safetensors file."""
    from safetensors.numpy import save

    # safetensors writes an array's memory as it lies
    whole = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()}
    write_bytes(path, save(whole, metadata={"tinycnn": json.dumps(about)}))


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        InputError: no such file, one that is no safetensors file of tinycnn's, or a NaN in it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            about = json.loads((file.metadata() or {}).get("tinycnn", "null"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: is no sound safetensors file: {brief(error)}") from error
    if not isinstance(about, dict):
        raise InputError(f"{path}: was not written by tinycnn")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} holds a NaN or infinity")
    return tensors, about


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
        weights = {k: to_device(v.array, "cpu") for k, v in model.state_dict().items()}
        save_tensors(self.weights, weights, about)

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
        model = self._build(config)
        try:
            _check_description(about, config)
            model.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.weights}: are not the weights of the run's model: {brief(error)}"
            ) from error
        return model, about

    def _build(self, config: dict[str, Any]) -> Module:
        """The run's network, with its first weights."""
        try:
            channels, height, width = (index(side) for side in config["shape"])
            return build(config["recipe"]["model"], (channels, height, width))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.folder / 'config.json'}: describes no network: {brief(error)}"
            ) from error

    def save_state(self, tensors: dict[str, Array], history: list[dict[str, Any]]) -> None:
        """An epoch is over: from here the run can go on."""
        write_json(self.folder / "history.json", history)
        save_tensors(self.state, tensors, {"history": history})

    def load_state(self) -> tuple[dict[str, Array], list[dict[str, Any]]]:
        """What the last `save_state` wrote.

        Raises:
            InputError: missing, or not a run's state.
        """
        tensors, about = load_tensors(self.state)
        history = about.get("history")
        if not isinstance(history, list) or not all(map(_is_record, history)):
            raise InputError(f"{self.state}: holds no history of a run")
        return tensors, history


def _is_record(record: Any) -> bool:
    """Whether this tells of an epoch."""
    return (
        isinstance(record, dict)
        and record.keys() >= _RECORD
        and all(isinstance(record[name], int | float) for name in _RECORD)
    )


def _check_description(about: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse weights that are said to be of another model than the run's."""
    for name, own in (("model", config["recipe"]["model"]), ("shape", config["shape"])):
        if about[name] != own:
            raise ValueError(f"their {name} is {about[name]!r}, the run's {own!r}")
    threshold = about["threshold"]
    if not isinstance(threshold, float) or not 0 <= threshold <= 1:
        raise ValueError(f"their threshold is {threshold!r}, no probability")


def brief(error: Exception) -> str:
    """An error in one line of bearable length; a missing key's says that it is missing."""
    text = " ".join(str(error.args[0] if error.args else error).split())
    if isinstance(error, KeyError) and " " not in text:
        text = f"{text!r} is missing"
    return text if len(text) <= 160 else text[:157] + "…"
