"""What a training run leaves behind."""

import json
import math

import numpy as np
import pytest

from tinycnn import files
from tinycnn.checkpoint import Run, load_tensors
from tinycnn.data import training_patches
from tinycnn.data.phantoms import phantoms
from tinycnn.errors import InputError
from tinycnn.microcalc import job
from tinycnn.models import build
from tinycnn.train import Recipe, Training, probabilities, validate

FIGURES = {
    *("samples", "learning_curves", "roc", "confusion", "misclassified"),
    *("kernels", "activations"),
}


def test_a_run_folder_holds_what_is_promised(with_figures, tinycnn_says, data, tmp_path):
    out = tmp_path / "run"
    assert tinycnn_says("train", "--data", data, "--epochs", 1, "--out", out)[0] == 0
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    pictures = {f"figures/{name}.png" for name in FIGURES}
    kept = {"config.json", "history.json", "weights.safetensors", "state.safetensors"}
    assert found == kept | pictures
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_the_configuration_tells_the_recipe_and_the_data(run):
    config = json.loads((run / "config.json").read_text())
    assert Recipe(**config["recipe"]) == Recipe(model="logistic", epochs=2)
    assert config["shape"] == [1, 24, 24]
    assert config["data"]["patches"] == 40


def test_the_history_has_a_record_an_epoch(run):
    history = json.loads((run / "history.json").read_text())
    assert [record["epoch"] for record in history] == [1, 2]
    names = {"lr", "seconds", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_auc"}
    assert all(record.keys() == names | {"epoch"} for record in history)
    assert history[0]["lr"] == Recipe().lr
    assert math.isclose(history[1]["lr"], Recipe().lr / 2)


def test_the_weights_are_a_plain_safetensors_file_with_torchvisions_names(other_run):
    from safetensors.numpy import load_file

    weights = load_file(other_run / "weights.safetensors")
    model = build("exercise", (1, 24, 24))
    assert weights.keys() == model.state_dict().keys()
    assert {"0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked"} <= weights.keys()
    assert weights["0.weight"].dtype == np.float32
    model.load_state_dict(weights)


def test_the_validation_patches_are_whole_cases_of_both_classes(
    tinycnn_says, drawn, data, tmp_path
):
    options = ("--data", data, "--model", "logistic", "--epochs", 1)
    apart = []
    for seed in range(3):
        tinycnn_says("train", *options, "--seed", seed, "--out", tmp_path / f"run{seed}")
        apart.append(set(drawn[-1][2].cases))
        validation, every = drawn[-1][2], training_patches(data)
        trained_on = ~np.isin(every.names, validation.names)
        assert not set(every.cases[trained_on]) & set(validation.cases)
        assert set(validation.labels) == set(every.labels[trained_on]) == {0, 1}
        assert 4 <= len(validation) <= 12
    assert apart[0] != apart[1] or apart[1] != apart[2]


def test_the_best_epoch_by_validation_auc_is_kept(monkeypatch, drawn, data, tmp_path):
    figures = iter([(0.6, 0.5), (0.9, 0.5), (0.9, 0.4), (0.9, 0.45), (0.7, 0.1)])
    snapshots = []

    def judged(model, patches):
        snapshots.append({k: v.numpy().copy() for k, v in model.state_dict().items()})
        auc, loss = next(figures)
        return {"val_loss": loss, "val_accuracy": 0.5, "val_auc": auc}

    monkeypatch.setattr(job, "validate", judged)
    best = job.train(tmp_path / "run", Recipe(model="logistic", epochs=5), str(data))
    assert best["epoch"] == 3  # of equal AUCs the lowest loss
    weights, about = load_tensors(tmp_path / "run/weights.safetensors")
    assert about["epoch"] == 3
    for name, array in weights.items():
        np.testing.assert_array_equal(array, snapshots[2][name])
    assert not np.array_equal(weights["1.weight"], snapshots[4]["1.weight"])


def test_the_weights_loaded_again_give_the_figures_of_the_best_epoch(drawn, data, tmp_path):
    best = job.train(tmp_path / "run", Recipe(epochs=4), str(data))
    model, about = Run(tmp_path / "run").load_model()
    _, _, validation, history, threshold = drawn[0]
    assert about["epoch"] == best["epoch"]
    assert validate(model, validation) == {k: best[k] for k in best if k.startswith("val_")}
    assert len(history) == 4
    assert about["threshold"] == threshold
    called = probabilities(model, validation.images) >= threshold
    assert 0 < called.mean() < 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(bits, data, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        job.train(tmp_path / name, Recipe(epochs=2, seed=seed), str(data))
    assert bits(tmp_path / "a") == bits(tmp_path / "b")
    assert bits(tmp_path / "a")[0] != bits(tmp_path / "c")[0]


def test_a_recipe_refuses_what_cannot_be_followed():
    for wrong in (
        {"epochs": 0},
        {"epochs": 2.5},
        {"epochs": None},
        {"seed": -1},
        {"batch_size": 0},
        {"lr": -0.1},
        {"lr": float("nan")},
        {"lr": "fast"},
        {"momentum": -1},
        {"augment": "mirror"},
        {"augment": []},
        {"model": "resnet"},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Recipe(**wrong)
    assert Recipe(lr=1).lr == 1


@pytest.mark.parametrize(
    ("batch_size", "trouble"), [(8, "epoch 1: the loss is"), (32, "output is")]
)
def test_a_diverging_training_is_told_as_such(batch_size, trouble, tmp_path, data):
    recipe = Recipe(epochs=3, lr=1e30, batch_size=batch_size)
    with np.errstate(all="ignore"), pytest.raises(InputError, match=f"{trouble}.*diverged"):
        job.train(tmp_path / "run", recipe, str(data))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


# ---- writing ------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "a.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_what_a_killed_process_left_half_written_is_overwritten(tmp_path):
    (tmp_path / ".a.bin.part").write_bytes(b"half of something much longer")
    files.write_bytes(tmp_path / "a.bin", b"whole")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.bin": b"whole"}


def test_a_written_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    files.write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_in_the_files_place_is_an_input_error_that_names_it(tmp_path):
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(InputError, match=r"a\.bin: cannot be written: Is a directory"):
        files.write_bytes(tmp_path / "a.bin", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_the_loss_is_looked_at_now_and_then_and_every_batch_counts():
    patches = phantoms(25 * 2, seed=0)
    training = Training(Recipe(epochs=1, batch_size=2), patches)
    told = []
    record = training.run_epoch(lambda *figures: told.append(figures))
    assert [count for count, _, _ in told] == [10, 10, 5]
    assert told[-1][1:] == (record["train_loss"], record["train_accuracy"])
