"""Optimisers' states, schedules at their boundaries, early stopping."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import nn
from tinycnn.optim import SGD, Adam, EarlyStopping
from tinycnn.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, Schedule, StepLR
from tinycnn.optim.optimizer import Optimizer

KINDS = {
    "SGD": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.1, 0.9, 0.1, 1e-2),
    "Nesterov": lambda p: SGD(p, 0.1, 0.9, nesterov=True),
    "Adam": lambda p: Adam(p, 0.1, weight_decay=1e-2),
}


def parameters():
    rng = np.random.default_rng(0)
    return [nn.Parameter(tc.tensor(rng.random(shape, np.float32))) for shape in ((3, 4), (4,))]


def step(optimizer, number):
    rng = np.random.default_rng(number)
    for parameter in optimizer.parameters:
        parameter.grad = tc.tensor(rng.standard_normal(parameter.shape, np.float32))
    optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_state_goes_on_with_the_same_bits(kind):
    whole = KINDS[kind](parameters())
    for number in range(6):
        step(whole, number)
    first = KINDS[kind](parameters())
    for number in range(3):
        step(first, number)
    second = KINDS[kind]([nn.Parameter(tc.tensor(p.numpy().copy())) for p in first.parameters])
    second.load_state_dict(first.state_dict())
    for number in range(3, 6):
        step(second, number)
    for mine, other in zip(second.parameters, whole.parameters, strict=True):
        assert mine.numpy().tobytes() == other.numpy().tobytes()
    assert {k: v.tobytes() for k, v in second.state_dict().items()} == {
        k: v.tobytes() for k, v in whole.state_dict().items()
    }


def test_a_loaded_state_is_a_copy():
    first, second = (SGD(parameters(), 0.1, 0.9) for _ in range(2))
    step(first, 0)
    second.load_state_dict(first.state_dict())
    kept = second.state_dict()["0.velocity"].copy()
    step(first, 1)
    np.testing.assert_array_equal(second.state_dict()["0.velocity"], kept)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("2.velocity", np.zeros((3, 4), np.float32)),
        ("x.velocity", np.zeros((3, 4), np.float32)),
        ("velocity", np.zeros((3, 4), np.float32)),
        ("0.velocity", np.zeros((4, 3), np.float32)),
        ("0.velocity", np.zeros((), np.float32)),
        ("0.velocity", np.zeros((3, 4), np.int32)),
        ("0.velocity", np.zeros((3, 4))),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(key, value):
    optimizer = SGD(parameters(), 0.1, 0.9)
    step(optimizer, 0)
    before = {k: v.copy() for k, v in optimizer.state_dict().items()}
    with pytest.raises(ValueError, match=f"SGD: '{key}'"):
        optimizer.load_state_dict(optimizer.state_dict() | {key: value})
    assert optimizer.state_dict().keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(optimizer.state_dict()[name], array)


def test_frozen_parameters_and_those_without_a_gradient_stay():
    still, frozen, moved = (nn.Parameter(tc.ones(2)) for _ in range(3))
    frozen.requires_grad_(False)
    optimizer = SGD([still, frozen, moved], 0.1, weight_decay=0.1)
    frozen.grad = tc.ones(2)
    moved.grad = tc.ones(2)
    optimizer.step()
    assert still.tolist() == frozen.tolist() == [1, 1]
    np.testing.assert_allclose(moved.numpy(), 1 - 0.1 * 1.1, rtol=1e-6)
    optimizer.zero_grad()
    assert moved.grad is None


@pytest.mark.parametrize(
    ("make", "trouble"),
    [
        (lambda: SGD([], 0.1), "no parameters"),
        (lambda: SGD(parameters(), -0.1), "learning rate of -0.1"),
        (lambda: SGD(parameters(), math.nan), "learning rate of nan"),
        (lambda: SGD(parameters(), 0.1, momentum=-1), "at least 0"),
        (lambda: SGD(parameters(), 0.1, weight_decay=-1), "at least 0"),
        (lambda: SGD(parameters(), 0.1, nesterov=True), "Nesterov"),
        (lambda: SGD(parameters(), 0.1, 0.9, 0.5, nesterov=True), "Nesterov"),
        (lambda: Adam(parameters(), betas=(0.9, 1.0)), "betas"),
        (lambda: StepLR(SGD(parameters()), 0), "step_size of 0"),
        (lambda: CosineAnnealingLR(SGD(parameters()), 0), "T_max of 0"),
        (lambda: ReduceLROnPlateau(SGD(parameters()), "best"), "not 'best'"),
        (lambda: ReduceLROnPlateau(SGD(parameters()), factor=1.0), "factor of 1.0"),
        (lambda: EarlyStopping(3, "best"), "not 'best'"),
        (lambda: EarlyStopping(0), "patience of 0"),
    ],
)
def test_settings_without_sense_are_refused(make, trouble):
    with pytest.raises(ValueError, match=trouble):
        make()


def test_what_only_kinds_of_it_can_do_says_so():
    with pytest.raises(TypeError, match="Optimizer does not define update"):
        step(Optimizer(parameters(), 0.1), 0)
    with pytest.raises(TypeError, match="Schedule does not define rate"):
        Schedule(SGD(parameters(), 0.1)).step()


# ---- schedules -------------------------------------------------------------------------------


def rates(schedule, epochs):
    told = [schedule.optimizer.lr]
    for _ in range(epochs):
        schedule.step()
        told.append(schedule.optimizer.lr)
    return told


def test_steps_fall_after_exactly_their_number_of_epochs():
    schedule = StepLR(SGD(parameters(), 1.0), step_size=3, gamma=0.5)
    assert rates(schedule, 7) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_the_cosine_begins_at_the_first_rate_and_ends_at_the_last():
    told = rates(CosineAnnealingLR(SGD(parameters(), 1.0), 4, eta_min=0.2), 4)
    assert told[0] == 1
    assert told[4] == 0.2
    np.testing.assert_allclose(told[2], 0.6)
    assert told == sorted(told, reverse=True)


@settings(deadline=None, derandomize=True)
@given(epoch=st.integers(0, 50))
def test_a_schedule_resumed_is_where_one_that_walked_is(epoch):
    for make in (
        lambda: CosineAnnealingLR(SGD(parameters(), 0.3), 50),
        lambda: StepLR(SGD(parameters(), 0.3), 7, 0.3),
    ):
        walked, jumped = make(), make()
        walked_rate = rates(walked, epoch)[-1]
        jumped.resume(epoch)
        assert jumped.optimizer.lr == walked_rate
        assert rates(jumped, 1)[-1] == rates(walked, 1)[-1]


def plateau(figures, **settings):
    schedule = ReduceLROnPlateau(SGD(parameters(), 1.0), factor=0.5, **settings)
    told = []
    for figure in figures:
        schedule.step(figure)
        told.append(schedule.optimizer.lr)
    return told


def test_on_a_plateau_the_rate_falls_after_more_than_patience_epochs():
    assert plateau([1, 1, 1, 1, 1, 1], patience=2) == [1, 1, 1, 0.5, 0.5, 0.5]
    assert plateau([1, 1, 0.9, 1, 1, 1], patience=2) == [1, 1, 1, 1, 1, 0.5]
    assert plateau([1, 1, 1], patience=0) == [1, 0.5, 0.25]
    assert plateau([0.5, 0.6, 0.6, 0.6], patience=1, mode="max") == [1, 1, 1, 0.5]


def test_a_plateaus_threshold_cooldown_and_least_rate_hold():
    assert plateau([1, 0.95, 0.95], patience=0, threshold=0.1) == [1, 0.5, 0.25]
    assert plateau([1, 0.85, 0.8], patience=0, threshold=0.1) == [1, 1, 0.5]
    assert plateau([1] * 6, patience=0, cooldown=2) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert plateau([1] * 4, patience=0, min_lr=0.3) == [1, 0.5, 0.3, 0.3]
    assert plateau([math.nan] * 3, patience=1) == [1, 0.5, 0.5]


# ---- early stopping --------------------------------------------------------------------------


def test_early_stopping_stops_after_patience_epochs_without_a_better_figure():
    def stops(figures, **settings):
        stopping = EarlyStopping(**settings)
        return [stopping.step(figure) for figure in figures]

    assert stops([3, 2, 2, 1, 1, 1], patience=2) == [False, False, False, False, False, True]
    assert stops([0.5, 0.6, 0.6], patience=1, mode="max") == [False, False, True]
    assert stops([math.nan, math.nan], patience=2) == [False, True]


def test_early_stopping_remembers_the_best():
    stopping = EarlyStopping(patience=5, mode="max")
    for figure in (0.5, 0.9, 0.7, 0.9):
        stopping.step(figure)
    assert stopping.best == 0.9
    assert stopping.bad_epochs == 2
