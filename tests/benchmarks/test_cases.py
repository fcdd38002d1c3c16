import numpy as np
import pytest

import tinycnn as tc
from benchmarks import work
from benchmarks.cases import GROUPS, PATCH, all_cases
from benchmarks.networks import NETWORKS, build, starting_weights
from benchmarks.sides.tinycnn import side
from tinycnn import models, nn

SHAPES = {"exercise": (1, 24, 16), "lenet5": (1, 20, 28), "resnet20": (3, 8, 8)}


@pytest.mark.parametrize("name", SHAPES)
def test_the_networks_are_those_of_the_library(name):
    shape = SHAPES[name]
    layers = NETWORKS[name](shape)
    ours, theirs = models.build(name, shape).eval(), build(layers, nn).eval()
    values = list(starting_weights(layers, np.random.default_rng(0)))
    for model in (ours, theirs):
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.array[...] = value.reshape(parameter.shape)
    images = tc.tensor(np.random.default_rng(1).standard_normal((2, *shape)).astype("f"))
    with tc.no_grad():
        assert np.array_equal(ours(images).numpy(), theirs(images).numpy())


def test_the_arithmetic_of_the_exercises_network_is_counted():
    # 3×3 convolutions at 60, 30 and 15 pixels, and two linear layers
    first, rest = 2 * 9 * 8 * 3600, 2 * (9 * 8 * 16 * 900 + 9 * 16 * 32 * 225 + 15680 + 10)
    network = NETWORKS["exercise"](PATCH)
    assert work.inference_flop(network, PATCH, 32) == 32 * (first + rest)
    assert work.step_flop(network, PATCH, 32) == 32 * (2 * first + 3 * rest)


@pytest.mark.parametrize("name", SHAPES)
def test_the_arithmetic_agrees_with_the_summary_of_the_network(name):
    shape = SHAPES[name]
    rows = tc.summary(models.build(name, shape), shape).rows
    counted = sum(row.multiply_adds for row in rows if row.kind in ("Conv2d", "Linear"))
    assert work.inference_flop(NETWORKS[name](shape), shape, 1) == 2 * counted


def test_every_row_has_a_name_of_its_own_and_a_table():
    names = [(case.group, case.name) for case in all_cases()]
    assert len(set(names)) == len(names)
    assert {group for group, _ in names} == set(GROUPS) - {"processes", "memory"}


def test_every_kind_of_row_can_be_prepared():
    library = side("")
    for case in all_cases():
        assert callable(getattr(library, case.kind))


def test_backward_passes_can_be_repeated():
    sizes = {"operation": "conv2d", "inputs": [(2, 1, 5, 5), (3, 1, 3, 3), (3,)]}
    task = side("").gradients(**sizes, arguments=[1, 1, 1, 1])
    first, second = (list(task.results()) for _ in range(2))
    assert [g.shape for g in first] == sizes["inputs"]
    assert all(map(np.array_equal, first, second))
