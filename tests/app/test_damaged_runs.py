"""Run folders that are incomplete, damaged or forged, met through the command line."""

import json
import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.checkpoint import load_tensors, save_tensors
from tinycnn.cli import main

# ---- what is missing ----------------------------------------------------------------


def test_a_folder_that_is_no_run_is_told(complaint, data, image, tmp_path):
    nowhere = tmp_path / "nowhere"
    for folder, trouble in (
        (nowhere, f"{nowhere}: no such run folder"),
        (image, f"{image}: no such run folder"),
        (data, f"{data / 'config.json'}: cannot be read: No such file"),
    ):
        assert trouble in complaint("evaluate", folder, "--data", data)
        assert trouble in complaint("predict", folder, image)
        assert trouble in complaint("compare", folder, "--data", data)
        assert trouble in complaint("train", "--resume", "--out", folder)
    assert not nowhere.exists()
    assert not (data / "figures").exists()


def test_a_run_without_weights_is_told(complaint, run, using):
    (run / "weights.safetensors").unlink()
    for command in [*using, ("train", "--resume", "--out", run)]:
        assert f"{run}: has no weights" in complaint(*command)


def test_weights_of_another_model_are_told(complaint, run, other_run, using):
    shutil.copy(other_run / "weights.safetensors", run)
    for command in using:
        line = complaint(*command)
        assert f"{run / 'weights.safetensors'}: are not the weights of the run's model" in line


def test_a_state_of_another_model_is_told(complaint, run, other_run):
    shutil.copy(other_run / "state.safetensors", run)
    line = complaint("train", "--resume", "--out", run)
    assert f"{run / 'state.safetensors'}: is no state of this run" in line


def test_weights_for_images_of_another_size_are_told(complaint, run, using):
    tensors, about = load_tensors(run / "weights.safetensors")
    save_tensors(run / "weights.safetensors", tensors, about | {"shape": [1, 25, 24]})
    for command in using:
        assert "their shape is [1, 25, 24], the run's [1, 24, 24]" in complaint(*command)


# ---- safetensors files that lie -------------------------------------------------------------


def forged(header, body=b"", length=None):
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(start, end, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def about(text):
    return {"__metadata__": {"tinycnn": text}}


LIES = {
    "nothing": b"",
    "shorter than a length": b"\1\2\3",
    "random bytes": np.random.default_rng(0).bytes(500),
    "a header of 2⁶³ bytes": forged(b"{}", length=2**63),
    "a header of 2⁶⁴ − 1 bytes": forged(b"{}", length=2**64 - 1),
    "a header of 50 MB that is not there": forged(b"{}", length=50_000_000),
    "a header beyond the file": forged(b"{}", length=3),
    "a header that is not JSON": forged(b"{'a': 1}"),
    "a header that is a list": forged([]),
    "a header nested without end": forged(b"[" * 100_000),
    "a header of bytes that are no text": forged(b"\xff\xfe{}"),
    "offsets beyond the file": forged({"a": entry(0, 8)}, bytes(4)),
    "offsets of 2⁶³": forged({"a": entry(2**63, 2**63 + 8)}, bytes(8)),
    "offsets that run backwards": forged({"a": entry(8, 0)}, bytes(8)),
    "negative offsets": forged({"a": entry(-8, 0)}, bytes(8)),
    "two tensors that overlap": forged({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "a hole between tensors": forged({"a": entry(0, 8), "b": entry(12, 20)}, bytes(20)),
    "bytes of no tensor": forged({"a": entry(0, 8)}, bytes(99)),
    "a dtype that does not fit the bytes": forged({"a": entry(0, 8, "F64")}, bytes(8)),
    "a shape that does not fit the bytes": forged({"a": entry(0, 8, shape=(3,))}, bytes(8)),
    "a shape that overflows": forged({"a": entry(0, 8, shape=(2**62, 2**62))}, bytes(8)),
    "an unknown dtype": forged({"a": entry(0, 8, "F7")}, bytes(8)),
    "a dtype NumPy lacks": forged(about("{}") | {"a": entry(0, 4, "BF16")}, bytes(4)),
    "a dtype of 8 bits": forged(about("{}") | {"a": entry(0, 2, "F8_E4M3")}, bytes(2)),
    "no metadata": forged({"a": entry(0, 8)}, bytes(8)),
    "metadata of another program": forged({"__metadata__": {"format": "pt"}}),
    "metadata that is no text": forged({"__metadata__": {"tinycnn": 3}}),
    "metadata that is not JSON": forged(about("{")),
    "metadata nested without end": forged(about("[" * 100_000)),
    "metadata that is a list": forged(about("[]")),
    "metadata that is a number": forged(about("3")),
    "metadata that is null": forged(about("null")),
    "metadata that is empty": forged(about("{}")),
    "a NaN": forged(about("{}") | {"a": entry(0, 8)}, struct.pack("<ff", 1, math.nan)),
    "an infinity": forged(about("{}") | {"a": entry(0, 8)}, struct.pack("<ff", math.inf, 1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_weights_file_is_named(lie, complaint, run, using, set_up):
    path = run / "weights.safetensors"
    path.write_bytes(LIES[lie])
    set_up(recipe__epochs=3)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    for command in [*using, ("train", "--resume", "--out", run)]:
        assert f"{path}: " in complaint(*command)
    # not even the epoch that is left was run
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_state_file_is_named(lie, complaint, run, set_up):
    path = run / "state.safetensors"
    path.write_bytes(LIES[lie])
    set_up(recipe__epochs=3)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert f"{path}: " in complaint("train", "--resume", "--out", run)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("part", [0.001, 0.3, 0.99])
@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors"])
def test_a_truncated_file_is_named(name, part, complaint, run):
    path = run / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert f"{path}: is no sound safetensors file" in complaint("train", "--resume", "--out", run)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "config.json"])
def test_a_folder_in_a_files_place_is_told(name, complaint, run):
    (run / name).unlink()
    (run / name).mkdir()
    assert str(run / name) in complaint("train", "--resume", "--out", run)


# ---- sound files with the wrong things in them ------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": "0.5"},
        {"threshold": None},
        {"threshold": math.nan},
        {"threshold": 7.0},
        {"shape": 24},
        {"shape": []},
        {"shape": "abc"},
        {"model": 7},
        {"model": "exercise"},
    ],
)
def test_a_forged_description_of_the_weights_is_told(change, complaint, run, using):
    path = run / "weights.safetensors"
    tensors, about = load_tensors(path)
    save_tensors(path, tensors, about | change)
    for command in using:
        line = complaint(*command)
        assert f"{path}: are not the weights of the run's model" in line
        assert next(iter(change)) in line


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "dtype"])
def test_weights_that_do_not_fit_the_model_are_told(change, complaint, run, using):
    path = run / "weights.safetensors"
    tensors, about = load_tensors(path)
    weight = tensors.pop("1.weight")
    if change == "unknown":
        tensors |= {"1.weight": weight, "2.weight": weight}
    elif change == "shape":
        tensors["1.weight"] = weight[:, :-1]
    elif change == "dtype":
        tensors["1.weight"] = weight.astype(np.int32)
    save_tensors(path, tensors, about)
    for command in using:
        line = complaint(*command)
        assert f"{path}: are not the weights of the run's model" in line
        assert ("2" if change == "unknown" else "1") + ".weight" in line


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors"])
def test_a_nan_among_the_numbers_is_told(name, wrong, complaint, run, image):
    path = run / name
    tensors, about = load_tensors(path)
    key = next(key for key in tensors if key.endswith("1.weight"))
    tensors[key][0, 7] = wrong
    save_tensors(path, tensors, about)
    resume = ("train", "--resume", "--out", run)
    for command in [resume] if name.startswith("state") else [resume, ("predict", run, image)]:
        assert f"{path}: {key} holds a NaN or infinity" in complaint(*command)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.1.weight", lambda a: None),
        ("model.1.weight", lambda a: a[:, :5]),
        ("model.1.weight", lambda a: a.astype(np.int32)),
        ("optimizer.0.velocity", lambda a: a[:, :5]),
        ("optimizer.0.velocity", lambda a: a[0, 0]),
        ("optimizer.0.velocity", lambda a: a.astype(np.int32)),
        ("optimizer.0.velocity", lambda a: a.astype(np.float64)),
        ("optimizer.9.velocity", lambda a: np.zeros(3)),
        ("optimizer.x.velocity", lambda a: np.zeros(3)),
        ("model.7.weight", lambda a: np.zeros(3)),
        ("schedule.epoch", lambda a: np.zeros(3)),
        ("nothing", lambda a: np.zeros(3)),
    ],
)
def test_a_state_that_does_not_fit_the_run_is_told(name, change, complaint, run, set_up):
    path = run / "state.safetensors"
    tensors, about = load_tensors(path)
    tensors[name] = change(tensors.get(name))
    save_tensors(path, {k: v for k, v in tensors.items() if v is not None}, about)
    set_up(recipe__epochs=3)
    assert f"{path}: is no state of this run" in complaint("train", "--resume", "--out", run)


@pytest.mark.parametrize(
    "history",
    [
        5,
        None,
        "ab",
        {},
        [1],
        [{}],
        [[]],
        [{"val_auc": 1.0, "val_loss": 1.0}],
        "wrong type",
        "absent",
    ],
)
def test_a_forged_history_is_told(history, complaint, run, set_up):
    path = run / "state.safetensors"
    tensors, about = load_tensors(path)
    if history == "wrong type":
        history = [about["history"][0] | {"val_auc": "high"}]
    save_tensors(path, tensors, {} if history == "absent" else {"history": history})
    set_up(recipe__epochs=3)
    assert f"{path}: holds no history of a run" in complaint("train", "--resume", "--out", run)


def test_a_damaged_history_file_is_no_loss_for_it_is_only_there_to_be_read(
    tinycnn_says, run, set_up
):
    (run / "history.json").write_text("{")
    set_up(recipe__epochs=3)
    assert tinycnn_says("train", "--resume", "--out", run)[0] == 0
    assert len(json.loads((run / "history.json").read_text())) == 3


# ---- whatever else may happen to a file -----------------------------------------------------


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "config.json"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(flips=st.lists(st.tuples(st.integers(0, 700), st.integers(1, 255)), min_size=1, max_size=3))
def test_flipped_bytes_never_make_a_traceback(name, sound_runs, sound_data, flips):
    run = Path(sound_runs / "logistic")
    path = run / name
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for position, change in flips:
        damaged[position % len(whole)] ^= change
    image = sound_data / "0" / "0000_0.pgm"
    try:
        path.write_bytes(damaged)
        commands = [["predict", str(run), str(image)]]
        if name != "weights.safetensors":
            commands.append(["train", "--resume", "--out", str(run)])
        for command in commands:
            assert main(command) in (0, 2)
    finally:
        path.write_bytes(whole)
