import json

import pytest

from benchmarks import plots
from benchmarks.__main__ import matches
from benchmarks.compare import Quartiles
from benchmarks.points import points
from benchmarks.results import as_json, limits_of, share_of_limit, speed_up_over_best
from benchmarks.table import markdown, page


def reached(results, number):
    return [point.reached for point in points(results) if point.number == number]


def with_time(results, group, name, side, factor):
    """The results with one side's times of a row multiplied."""
    rows = [
        row._replace(times=row.times | {side: Quartiles(*(factor * t for t in row.times[side]))})
        if (row.case.group, row.case.name) == (group, name)
        else row
        for row in results.rows
    ]
    return results._replace(rows=rows)


def test_the_best_of_pytorchs_modes_is_the_peer(results):
    row = next(row for row in results.rows if row.case.group == "training")
    assert speed_up_over_best(row) == 2
    slow = with_time(results, "training", row.case.name, "PyTorch", 10)
    assert speed_up_over_best(slow.rows[0]) == 4


def test_all_seven_points_are_judged(results):
    assert {point.number for point in points(results)} == set(range(1, 8))
    assert reached(results, 3) == [True, True, True]
    assert reached(results, 4) == [False, True]  # 2 ×, of 3 warm and 2 cold
    assert reached(results, 5) == [True]


def test_one_convolution_that_is_slower_is_short(results):
    case = next(row.case for row in results.rows if row.case.group == "convolution")
    slower = with_time(results, case.group, case.name, "tinycnn", 2.1)
    assert reached(slower, 3) == [False, True, True]


def test_more_memory_than_allowed_is_short(results):
    more = with_time(results, "memory", "100 epochs of 500 patches", "tinycnn", 1.3)
    assert reached(more, 5) == [False]


def test_other_weights_with_another_number_of_threads_are_short(results):
    assert reached(results, 7) == [True]
    assert reached(results._replace(weights={1: "a", 2: "b"}), 7) == [False]


def test_the_share_of_the_limit_is_of_what_bounds_the_row(results):
    row = results.of("training")[0]
    assert share_of_limit(row, results.limits) == pytest.approx(row.case.flop / 1e12 / 1e-3)
    assert share_of_limit(results.of("engine")[0], results.limits) is None
    limits = limits_of([row._replace(times={"machine": Quartiles(1, 2, 3)})])
    assert limits.flop == row.case.flop / 2


def test_the_page_shows_losing_rows_and_troubles(results):
    losing = with_time(results, "training", "batch 1", "tinycnn", 4)
    troubled = losing.rows[0]._replace(troubles={"JAX": "not installed"})
    text = page(losing._replace(rows=[troubled, *losing.rows[1:]]))
    assert "| batch 1 " in text
    assert "**short**" in text
    assert "JAX: not installed" in text


def test_a_page_of_few_rows_leaves_the_others_out(results):
    few = results._replace(rows=results.of("inference"), weights={})
    assert {point.number for point in points(few)} == {2}
    assert "3×3" not in page(few).split("Inference")[1]


def test_tables_line_up():
    lines = markdown([("a", "bcd"), ("xyz", "1")]).splitlines()
    assert lines == ["| a   | bcd |", "|-----|-----|", "| xyz | 1   |"]


def test_results_are_kept_as_json(results):
    kept = json.loads(as_json(results))
    assert len(kept["rows"]) == len(results.rows)
    assert kept["rows"][0]["times"]["tinycnn"] == [0.0009, 0.001, 0.0011]


def test_the_pictures_are_drawn(results, tmp_path):
    shown = plots.draw(results, tmp_path)
    for name in plots.PICTURES:
        assert (tmp_path / name).read_bytes()[1:4] == b"PNG"
        assert f"({name})" in shown
    assert plots.draw(results._replace(rows=[]), tmp_path) == ""


def test_rows_are_chosen_by_their_beginning(results):
    case = next(r.case for r in results.rows if r.case.name.startswith("3×3, 8→16"))
    assert matches(case, [])
    assert matches(case, ["engine", "convolution 3x3, 8-16"])
    assert not matches(case, ["training"])
