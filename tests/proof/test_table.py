"""The proof table: what is run, how it is told, and the command that prints it."""

import json
import os

import pytest
from hypothesis import given, settings

from tinycnn.cli import main
from tinycnn.errors import InputError
from tinycnn.gradcheck import assert_gradients
from tinycnn.proof import table
from tinycnn.proof.prove import Row
from tinycnn.proof.stacks import layer_stack
from tinycnn.proof.subjects import SUBJECTS, chosen

WRONG = Row(
    "arithmetic.exp",
    "both",
    3,
    {"complex step": 3},
    1.0,
    0.0,
    0.5,
    2,
    0,
    1,
    "exp(float64[])\nx: wrong",
)
RIGHT = Row(
    "nn.ReLU", "cpu", 4, {"complex step": 3, "differences": 1}, 2e-16, 0.0, 0.5, 2, 0, 0, ""
)


def run(capsys, *words):
    code = main([str(word) for word in ("gradcheck", *words)])
    told = capsys.readouterr()
    return code, told.out, told.err


# ---- names ----


def test_a_name_alone_its_family_or_both_choose_a_subject():
    assert chosen(["exp"]) == chosen(["arithmetic.exp"]) == ["arithmetic.exp"]
    assert chosen(["Dropout"]) == ["nn.Dropout", "nn.Dropout in use"]
    assert set(chosen(["nn"])) == {name for name in SUBJECTS if name.startswith("nn.")}
    assert len(chosen(["network"])) == 4
    assert chosen([]) == list(SUBJECTS)


def test_each_subject_is_chosen_once_and_in_its_order():
    assert chosen(["relu", "exp", "arithmetic.exp"]) == ["arithmetic.exp", "activation.relu"]


def test_an_unknown_name_is_refused_with_names_that_are_near():
    with pytest.raises(InputError, match=r"no operation or layer 'conv2'; did you mean conv2d or"):
        chosen(["conv2"])
    with pytest.raises(InputError, match=r"no operation or layer '12345'$"):
        chosen(["12345"])


# ---- guises ----


@given(case=layer_stack())
@settings(deadline=None, derandomize=True, max_examples=5, database=None)
def test_random_networks_have_right_gradients(case):
    assert_gradients(*case)


# ---- the table ----


def test_only_what_differs_between_backends_is_proved_on_each():
    assert table.plan(["shape.join"], None, 8) == [("shape.join", "both", 8)]
    assert table.plan(["shape.join"], "cpu", 8) == [("shape.join", "cpu", 8)]
    assert [job[1] for job in table.plan(["conv2d"], None, 8)] == ["reference", "cpu"]
    assert table.plan(["network of a chain"], "cpu", 10) == [("network of a chain", "cpu", 2)]


def test_a_row_tells_what_was_found():
    assert table.cells(RIGHT)[3:] == (
        "complex step 3, differences 1",
        "2e-16",
        "0",
        "0.5 ulp",
        "2",
        "0",
    )
    assert table.as_markdown(table.cells(WRONG)).startswith("| arithmetic.exp | both | 3 | complex")
    assert table.verdict([RIGHT, WRONG]) == "2 subjects, 7 cases: 1 with a wrong gradient"
    assert table.verdict([RIGHT]) == "1 subject, 4 cases: every gradient right"


def test_rows_come_in_order_from_processes_that_leave_the_environment_as_it_was():
    before = dict(os.environ)
    todo = [("arithmetic.exp", "both", 3), ("nn.ReLU", "reference", 2), ("nn.ReLU", "cpu", 2)]
    found = list(table.rows(todo))
    assert [(row.name, row.backend, row.cases, row.ok) for row in found] == [
        (name, backend, cases, True) for name, backend, cases in todo
    ]
    assert dict(os.environ) == before


# ---- the command ----


def test_the_command_prints_a_table_and_its_verdict(capsys):
    code, told, err = run(capsys, "exp", "--cases", 2)
    assert (code, err) == (0, "")
    head, row, _, verdict = told.splitlines()
    assert head.split()[:3] == ["subject", "backend", "cases"]
    assert row.split()[:3] == ["arithmetic.exp", "both", "2"]
    assert verdict == "1 subject, 2 cases: every gradient right"


@pytest.fixture
def _one_wrong(monkeypatch):
    monkeypatch.setattr(table, "rows", lambda todo: iter([RIGHT, WRONG]))


@pytest.mark.usefixtures("_one_wrong")
def test_a_wrong_gradient_is_exit_code_1_and_told(capsys):
    code, told, _ = run(capsys)
    assert code == 1
    assert told.endswith("7 cases: 1 with a wrong gradient\n\nexp(float64[])\nx: wrong\n")


@pytest.mark.usefixtures("_one_wrong")
def test_the_table_in_markdown_and_in_json(capsys):
    code, told, _ = run(capsys, "--markdown")
    lines = told.splitlines()
    assert code == 1
    assert [line.count("|") for line in lines[:4]] == [10] * 4
    assert lines[1] == "|---|---|---|---|---|---|---|---|---|"
    code, told, _ = run(capsys, "--json")
    right, wrong = json.loads(told)
    assert (code, right["method"], wrong["failures"]) == (
        1,
        {"complex step": 3, "differences": 1},
        1,
    )


def test_a_wrong_word_is_one_line_and_exit_code_2(capsys):
    code, told, err = run(capsys, "Conv3d")
    assert (code, told) == (2, "")
    assert err.startswith("tinycnn: gradcheck: no operation or layer 'Conv3d'; did you mean Conv2d")
    assert err.count("\n") == 1
