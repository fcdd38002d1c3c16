"""Recording or not: no_grad, enable_grad, detach."""

import threading

import numpy as np
import pytest

import tinycnn as tc
from tinycnn.grad_mode import complex_too


@pytest.fixture
def x():
    return tc.tensor([1.0, 2.0], requires_grad=True)


def recorded(x):
    return (x * 2).requires_grad


def test_nothing_is_recorded_in_no_grad(x):
    with tc.no_grad():
        y = x * 2
        assert not tc.is_grad_enabled()
    assert not y.requires_grad
    assert y.is_leaf
    assert tc.is_grad_enabled()
    assert recorded(x)


def test_modes_nest(x):
    with tc.no_grad():
        with tc.enable_grad():
            assert recorded(x)
            with tc.no_grad():
                assert not recorded(x)
            assert recorded(x)
        assert not recorded(x)
    assert recorded(x)


def test_modes_decorate_functions(x):
    assert not tc.no_grad()(recorded)(x)
    with tc.no_grad():
        assert tc.enable_grad()(recorded)(x)
        assert not recorded(x)
    assert recorded(x)


def test_a_decorated_function_may_call_itself(x):
    @tc.no_grad()
    def countdown(n):
        return countdown(n - 1) if n else recorded(x)

    assert not countdown(3)
    assert recorded(x)


def test_a_mode_is_restored_after_an_exception(x):
    with pytest.raises(KeyError), tc.no_grad():
        raise KeyError
    assert recorded(x)


def test_a_mode_may_be_entered_again(x):
    off = tc.no_grad()
    for _ in range(2):
        with off:
            assert not recorded(x)
        assert recorded(x)


def test_complex_numbers_are_not_recorded_in_no_grad_either():
    with complex_too():
        z = tc.tensor([1j], requires_grad=True)
        with tc.no_grad():
            assert not recorded(z)
            with tc.enable_grad():
                assert recorded(z)
        assert recorded(z)
    with tc.no_grad(), complex_too():
        assert not recorded(z)
    assert not recorded(z)


def test_a_mode_belongs_to_its_thread(x):
    found = []
    with tc.no_grad():
        thread = threading.Thread(target=lambda: found.append(recorded(x)))
        thread.start()
        thread.join()
    assert found == [True]


def test_two_threads_leave_a_decorated_function_in_the_order_they_entered(x):
    entered, left = threading.Event(), threading.Event()
    after = {}

    @tc.no_grad()
    def work(entering, waiting):
        entering.set()
        waiting.wait(5)

    def first():  # recording outside
        work(threading.Event(), entered)
        after["first"] = tc.is_grad_enabled()
        left.set()

    def second():  # not recording outside
        with tc.no_grad():
            work(entered, left)
            after["second"] = tc.is_grad_enabled()

    started = threading.Thread(target=first)
    started.start()
    other = threading.Thread(target=second)
    other.start()
    started.join()
    other.join()
    assert after == {"first": True, "second": False}


def test_backward_leaves_the_mode_as_it_was(x):
    for create_graph in (False, True):
        (x * x).sum().backward(create_graph=create_graph)
        assert tc.is_grad_enabled()
    y = (x * x).sum()
    with tc.no_grad():
        y.backward()
        assert not tc.is_grad_enabled()


def test_a_detached_tensor_is_cut_from_the_graph_and_shares_memory(x):
    y = x * 2
    d = y.detach()
    assert d.is_leaf
    assert not d.requires_grad
    assert np.shares_memory(d.array, y.array)
    (y * d).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [4, 8])


def test_requires_grad_is_taken_back_from_leaves_only(x):
    with pytest.raises(ValueError, match=r"use detach\(\)"):
        (x * 2).requires_grad_(False)
    assert not recorded(x.requires_grad_(False))
