"""Run folders whose config.json is damaged or forged, met through the command line."""

import math

import pytest


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b"[]", b"3", b"null", b'"config"', b"{}", b"[" * 100_000, b"\0" * 99],
)
def test_a_damaged_configuration_is_named(text, complaint, run, using):
    path = run / "config.json"
    path.write_bytes(text)
    for command in [*using, ("train", "--resume", "--out", run)]:
        assert f"{path}: " in complaint(*command)


@pytest.mark.parametrize(
    "shape",
    [
        *(None, 24, "abc", [], [24], [1, 24], [1, 24, 24, 24]),
        *([1, 24.0, 24.0], ["1", "24", "24"], [1, None, 24], [1, 0, 24], [-1, -24, 24]),
        *([1, 10**9, 10**9], [10**9, 1, 1], [1, 60_000, 60_000], [1, 2**70, 2**70], {"1": 2}),
    ],
)
def test_a_shape_that_no_image_has_is_told_before_memory_is_taken(
    shape, complaint, run, using, set_up
):
    set_up(shape=shape)
    for command in using:
        line = complaint(*command)
        assert f"{run / 'config.json'}: describes no network" in line
        assert "memory" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("recipe__model", None), ("recipe__model", "resnet"), ("recipe__model", [])),
        *(("recipe", None), ("recipe", []), ("recipe", {})),
    ],
)
def test_a_model_there_is_not_is_told(name, value, complaint, run, using, set_up):
    set_up(**{name: value})
    for command in using:
        assert f"{run / 'config.json'}: describes no network" in complaint(*command)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("recipe__epochs", value) for value in ("x", 0, -1, None, 2.5, [])),
        *(("recipe__seed", value) for value in (-1, "a", 0.5, None)),
        *(("recipe__lr", value) for value in (-1, "a", None, math.nan)),
        *(("recipe__batch_size", value) for value in (0, 1.5, "8")),
        *(("recipe__augment", value) for value in ("mirror", [], None)),
        *(("recipe__model", value) for value in ("resnet", [], None)),
        *(("recipe__momentum", -1), ("recipe__weight_decay", "a"), ("recipe__colour", "red")),
        *(("recipe", value) for value in (None, [], "abc", [1])),
        *(("data", value) for value in (None, [], "abc", {})),
        *(("data__folder", 5), ("data__folder", []), ("data__case_pattern", 5)),
    ],
)
def test_a_configuration_that_describes_no_run_is_not_resumed(name, value, complaint, run, set_up):
    set_up(**{name: value})
    line = complaint("train", "--resume", "--out", run)
    assert f"{run / 'config.json'}: describes no run" in line
