"""Every command from its words to what it prints, and what goes to which stream."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinycnn import __version__
from tinycnn.cli import main
from tinycnn.microcalc import source
from tinycnn.models import MODELS

COMMANDS = ("train", "evaluate", "predict", "compare", "repeat", "audit", "summary")
KEYS = {"n", "auc", "accuracy", "sensitivity", "specificity", "confusion", "auc_interval"}


def strict_json(text):
    """JSON as other languages read it: without NaN."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_train_says_where_its_work_is_and_shows_progress_on_standard_error(
    tinycnn_says, data, tmp_path
):
    out = tmp_path / "a run"
    code, told, progress = tinycnn_says(
        *("train", "--data", data, "--model", "logistic"), *("--epochs", 2, "--out", out)
    )
    assert code == 0
    assert re.match(r"best epoch [12]: validation AUC [01]\.\d{3}, accuracy [01]\.\d{3}\n", told)
    assert f"{out}/weights.safetensors" in told
    assert "epoch 2/2" in progress
    assert "loss=" in progress
    assert "accuracy=" in progress


def test_without_data_phantoms_are_trained_on_and_judged(tinycnn_says, monkeypatch, tmp_path):
    monkeypatch.setattr(source, "PHANTOMS", 80)
    monkeypatch.setattr(source, "TEST_PHANTOMS", 24)
    run = tmp_path / "run"
    options = ("--model", "logistic", "--epochs", 1, "--out", run)
    assert tinycnn_says("train", *options)[0] == 0
    code, told, _ = tinycnn_says("evaluate", run, "--json")
    assert code == 0
    assert strict_json(told)["n"] == 24
    assert json.loads((run / "config.json").read_text())["data"]["patches"] == 80


def test_a_batch_is_as_large_as_asked(tinycnn_says, data, tmp_path):
    options = ("--model", "logistic", "--epochs", 1, "--batch-size", 7, "--out", tmp_path)
    assert tinycnn_says("train", "--data", data, *options)[0] == 0
    assert json.loads((tmp_path / "config.json").read_text())["recipe"]["batch_size"] == 7
    assert tinycnn_says("train", "--resume", "--batch-size", 7, "--out", tmp_path)[0] == 2


def test_phantoms_for_judging_are_not_those_trained_on(monkeypatch):
    monkeypatch.setattr(source, "PHANTOMS", 20)
    monkeypatch.setattr(source, "TEST_PHANTOMS", 20)
    trained, judged = source.for_training(None, None, 0), source.for_judging(None, None, 0)
    assert not {i.tobytes() for i in trained.images} & {i.tobytes() for i in judged.images}


def test_evaluate_prints_both_thresholds_and_the_one_number_rules(tinycnn_says, run, data):
    code, told, err = tinycnn_says("evaluate", run, "--data", data)
    assert (code, err) == (0, "")
    assert told.startswith("40 images of 20 cases")
    for word in ("AUC", "accuracy", "sensitivity", "specificity", "precision", "f1", "range"):
        assert word in told
    assert "at 0.500" in told
    assert "chosen on validation" in told


def test_evaluate_as_json_has_the_promised_keys_and_nothing_else_on_standard_output(
    tinycnn_says, run, data
):
    code, told, err = tinycnn_says("evaluate", run, "--data", data, "--json")
    assert (code, err) == (0, "")
    result = strict_json(told)
    assert result.keys() >= KEYS
    assert result["n"] == 40
    (tn, fp), (fn, tp) = result["confusion"]
    assert (tn + fp, fn + tp) == (20, 20)
    assert math.isclose(result["accuracy"], (tn + tp) / 40)
    low, high = result["auc_interval"]
    assert low <= result["auc"] <= high
    assert result["at_chosen_threshold"].keys() >= KEYS - {"auc_interval"}
    assert result["rules_auc"].keys() == {"mean", "standard deviation", "maximum", "range"}


def test_a_network_judged_on_what_it_was_trained_on_is_told_so(tinycnn_says, run, data):
    beware = f"Beware: {run} was trained on these very images"
    assert beware in tinycnn_says("evaluate", run, "--data", data)[1]
    assert beware in tinycnn_says("compare", run, "--data", data)[1]
    # another pattern for the cases, or other labels, makes no other images of them
    _, told, _ = tinycnn_says("evaluate", run, "--data", data, "--json", "--case-pattern", ".*")
    assert strict_json(told)["seen_in_training"] is True
    (data / "0/0003_1.pgm").unlink()
    code, told, _ = tinycnn_says("evaluate", run, "--data", data)
    assert code == 0
    assert "Beware" not in told


def test_predict_prints_a_probability_a_line_in_the_order_asked(tinycnn_says, run, data):
    images = [data / "1" / "0012_0.pgm", data / "0" / "0003_1.pgm", data / "1" / "0011_1.pgm"]
    code, told, err = tinycnn_says("predict", run, *images)
    assert (code, err) == (0, "")
    lines = [line.split("  ") for line in told.splitlines()]
    assert [path for _, path in lines] == [str(path) for path in images]
    assert all(0 <= float(p) <= 1 for p, _ in lines)
    alone = tinycnn_says("predict", run, images[1])[1]
    assert math.isclose(float(alone.split()[0]), float(lines[1][0]), abs_tol=2e-6)


def test_compare_puts_runs_side_by_side_and_draws_them(
    tinycnn_says, run, other_run, data, tmp_path
):
    figure = tmp_path / "missing folder" / "roc.png"
    code, told, err = tinycnn_says("compare", run, other_run, "--data", data, "--figure", figure)
    assert (code, err) == (0, f"ROC curves in {figure}\n")
    assert str(run) in told
    assert str(other_run) in told
    assert len(re.findall(r"^auc +\d\.\d{3} \[.*?\] +\d\.\d{3} \[.*?\]$", told, re.M)) == 1
    assert figure.read_bytes().startswith(b"\x89PNG")
    _, told, _ = tinycnn_says("compare", run, other_run, "--data", data, "--json")
    one, other = strict_json(told)
    _, alone, _ = tinycnn_says("evaluate", other_run, "--data", data, "--json")
    assert other == strict_json(alone)
    assert one["run"] == str(run)


def test_repeat_gives_mean_and_standard_deviation(tinycnn_says, data):
    options = ("--data", data, "--model", "logistic", "--epochs", 1, "--times", 3)
    code, told, _ = tinycnn_says("repeat", *options)
    assert code == 0
    *times, auc, _, _, _ = told.splitlines()
    assert [line.split()[0] for line in times] == ["1", "2", "3"]
    assert re.fullmatch(r"auc +\d\.\d{4} ± \d\.\d{4}", auc)
    code, told, err = tinycnn_says("repeat", *options, "--json")
    result = strict_json(told)
    aucs = [time["auc"] for time in result["times"]]
    assert math.isclose(result["auc"]["mean"], sum(aucs) / 3)
    assert f"{aucs[2]:.4f}" in err
    code, told, _ = tinycnn_says("repeat", *options[:-1], 1, "--json")
    assert strict_json(told)["auc"]["sd"] is None


def test_audit_tells_of_twins_and_classes(tinycnn_says, data):
    (data / "0" / "0000_2.pgm").write_bytes((data / "1" / "0010_0.pgm").read_bytes())
    code, told, _ = tinycnn_says("audit", data)
    assert code == 0
    assert "0/0000_2.pgm = 1/0010_0.pgm" in told
    code, told, _ = tinycnn_says("audit", data, "--json")
    assert strict_json(told)["twins"][0]["labels"] == [0, 1]


def test_summary_prints_the_table_for_the_usual_or_a_given_shape(tinycnn_says):
    code, told, _ = tinycnn_says("summary", "exercise")
    assert code == 0
    assert "21,701 parameters" in told
    told = tinycnn_says("summary", "logistic", "--shape", 1, 5, 7)[1]
    assert "(1, 35)" in told


def test_the_case_pattern_reaches_the_reader(complaint, tinycnn_says, data, run):
    assert "(--case-pattern)" in complaint("audit", data, "--case-pattern", "x(.*)")
    assert "case pattern" in complaint("evaluate", run, "--data", data, "--case-pattern", "(")
    told = tinycnn_says("evaluate", run, "--data", data, "--case-pattern", r"^\d{3}")[1]
    assert told.startswith("40 images of 2 cases")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: tinycnn {command}")
    assert "%%" not in told


def test_the_help_names_every_command_and_the_version_is_the_packages(capsys):
    for option, words in (("--help", COMMANDS), ("--version", (f"tinycnn {__version__}",))):
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        told = capsys.readouterr().out
        assert all(word in told for word in words)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["improve"],
        ["train", "--epochs", "0"],
        ["train", "--epochs", "many"],
        ["train", "--seed", "-1"],
        ["train", "--lr", "1"],
        ["repeat", "--times", "0"],
        ["evaluate"],
        ["predict", "run"],
        ["summary", "exercise", "--shape", "1", "60"],
        ["summary", "exercise", "--shape", "1", "-60", "60"],
    ],
)
def test_wrong_options_are_refused_with_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: tinycnn" in err


def test_an_unknown_model_is_answered_with_those_there_are(complaint, data, tmp_path):
    for arguments in (
        ("train", "--data", data, "--model", "resnet", "--out", tmp_path / "new"),
        ("repeat", "--data", data, "--model", "resnet"),
        ("summary", "resnet"),
    ):
        line = complaint(*arguments)
        assert "'resnet'" in line
        assert all(name in line for name in MODELS)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["train", "repeat"])
def test_a_device_that_is_not_there_is_one_line(command, complaint, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    where = ["--out", str(tmp_path / "run")] if command == "train" else []
    line = complaint(command, "--data", data, "--device", "cuda", *where)
    assert "device 'cuda': CuPy is missing" in line
    assert not (tmp_path / "run").exists()


def test_images_too_small_or_too_large_for_a_model_are_refused(complaint, data, tmp_path):
    out = tmp_path / "new"
    line = complaint("train", "--data", data, "--model", "alexnet", "--out", out)
    assert "alexnet" in line
    assert "24×24" in line
    assert not out.exists()
    assert "too large" in complaint("summary", "logistic", "--shape", 1, 10**6, 10**6)


# ---- as a process of its own -------------------------------------------------------------


def call(environment, *arguments, **how):
    command = [sys.executable, "-m", "tinycnn.cli", *map(str, arguments)]
    how = {"capture_output": True, "env": environment, "timeout": 60} | how
    return subprocess.run(command, **how)


def test_as_a_process_json_alone_is_on_standard_output(environment, run, data):
    done = call(environment, "evaluate", run, "--data", data, "--json")
    assert done.returncode == 0
    assert done.stderr == b""
    assert strict_json(done.stdout).keys() >= KEYS


def test_as_a_process_wrong_input_is_one_line_and_exit_code_2(environment, tmp_path):
    done = call(environment, "evaluate", tmp_path / "nowhere")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode() == f"tinycnn: {tmp_path / 'nowhere'}: no such run folder\n"


def test_letters_the_output_lacks_are_no_reason_to_stop(environment):
    done = call(environment | {"PYTHONIOENCODING": "ascii"}, "summary", "logistic")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"3,601 parameters" in done.stdout


def test_a_reader_that_stops_reading_is_no_trouble(environment):
    command = [sys.executable, "-m", "tinycnn.cli", "summary", "logistic"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_standard_output_on_a_full_disk_is_one_line_and_exit_code_2(environment):
    with open("/dev/full", "wb") as full:
        done = call(
            environment,
            *("summary", "logistic"),
            **{"capture_output": False, "stdout": full, "stderr": subprocess.PIPE},
        )
    assert done.returncode == 2
    assert done.stderr.decode() == "tinycnn: output: No space left on device\n"
