"""The main job: from patches to a trained, judged and pictured network in a run folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinycnn import __version__, metrics
from tinycnn.checkpoint import Run, brief
from tinycnn.data import Patches, holdout
from tinycnn.device import check_device
from tinycnn.errors import InputError
from tinycnn.microcalc import pictures, source
from tinycnn.microcalc.progress import progress_bar
from tinycnn.train import Recipe, Training, probabilities, validate

VALIDATION = 0.2  # of the cases, kept apart to choose the best epoch and the threshold by

Record = dict[str, Any]


def train(
    out: str | Path,
    recipe: Recipe,
    data: str | None = None,
    case_pattern: str | None = None,
    device: str = "cpu",
) -> Record:
    """Train a network into a new run folder; gives the best epoch's record.

    Args:
        out: the run folder, which must not hold a run yet.
        recipe: the network, the epochs, the seed, ….
        data: a folder of images; phantoms by default.
        case_pattern: how to read an image's case from its name.
        device: where the network is trained; see `tinycnn.device`.

    Raises:
        InputError: something about the folder or the data is wrong, or there is no such device.
    """
    check_device(device)
    run = Run(out)
    if run.exists():
        raise InputError(
            f"{out}: holds a run already; go on with --resume, or choose another --out"
        )
    patches = source.for_training(data, case_pattern, recipe.seed)
    training, validation = _split(recipe, patches, device)
    run.save_config(
        {
            "tinycnn": __version__,
            "recipe": asdict(recipe),
            "data": source.described(data, case_pattern, patches),
            "shape": list(patches.images.shape[1:]),
        }
    )
    return _go_on(run, training, validation, [])


def resume(out: str | Path, device: str = "cpu") -> Record:
    """Go on with a run that was interrupted; ends with the bits of one that was not.

    Raises:
        InputError: there is no such run, a file of it is damaged, its data have changed, or there
            is no such device.
    """
    check_device(device)
    run = Run(out)
    recipe, patches = _begun_with(run)
    training, validation = _split(recipe, patches, device)
    if not run.state.exists():
        return _go_on(run, training, validation, [])
    state, history = run.load_state()
    try:
        training.resume(state, len(history))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{run.state}: is no state of this run: {brief(error)}") from error
    run.load_model()  # unsound weights are better refused now than after the last epoch
    return _go_on(run, training, validation, history)


def _begun_with(run: Run) -> tuple[Recipe, Patches]:
    """The recipe and the data a run was begun with."""
    config = run.config()
    try:
        recipe, data = Recipe(**config["recipe"]), config["data"]
        folder, pattern, known = data["folder"], data["case_pattern"], data["fingerprint"]
        if not all(text is None or isinstance(text, str) for text in (folder, pattern)):
            raise TypeError(f"folder {folder!r}, case_pattern {pattern!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run.folder / 'config.json'}: describes no run: {brief(error)}"
        ) from error
    patches = source.for_training(folder, pattern, recipe.seed)
    if source.fingerprint(patches) != known:
        raise InputError(f"{run.folder}: the data are no longer those the run was begun with")
    return recipe, patches


def _split(recipe: Recipe, patches: Patches, device: str) -> tuple[Training, Patches]:
    """A network on its patches, and the patches kept apart."""
    chosen, apart = holdout(patches.labels, patches.cases, VALIDATION, recipe.seed)
    return Training(recipe, patches[chosen], device), patches[apart]


def _go_on(run: Run, training: Training, validation: Patches, history: list[Record]) -> Record:
    """Run the epochs that are left; keep the best, and a state after each; draw the figures."""
    with progress_bar(training) as show:
        while training.epoch < training.recipe.epochs:
            record = training.run_epoch(show)
            record |= validate(training.model, validation)
            history.append(record)
            if best_of(history) is record:
                _keep(run, training, validation)
            run.save_state(training.state(), history)
    model, about = run.load_model()
    pictures.draw(run.figures, model, validation, history, about["threshold"])
    return best_of(history)


def _keep(run: Run, training: Training, validation: Patches) -> None:
    p = probabilities(training.model, validation.images)
    about = {
        "model": training.recipe.model,
        "shape": list(validation.images.shape[1:]),
        "threshold": metrics.best_threshold(validation.labels, p),
        "epoch": training.epoch,
    }
    run.save_weights(training.model, about)


def best_of(history: list[Record]) -> Record:
    """The epoch of the highest validation AUC; of equal ones that of the lowest loss."""
    return max(history, key=lambda record: (record["val_auc"], -record["val_loss"]))
