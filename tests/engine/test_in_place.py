"""In-place changes: an error where a derivative needs the old values, harmless elsewhere."""

import numpy as np
import pytest

import tinycnn as tc


def leaf(*values):
    return tc.tensor(values, dtype=np.float64, requires_grad=True)


def add_(t):
    t.add_(1.0)


def set_item(t):
    t[0] = 5.0


def plus_equals(t):
    t += 1.0


def change_data(t):
    t.data -= 0.5


def replace_data(t):
    t.data = tc.tensor([7.0, 7.0], dtype=np.float64)


def change_detached(t):
    t.detach().mul_(2.0)


def change_view(t):
    t[1:].add_(1.0)


def change_view_of_view(t):
    t.reshape(2, 1).transpose(0, 1)[0].fill_(3.0)


CHANGES = [
    add_, set_item, plus_equals, change_data, replace_data, change_detached, change_view,
    change_view_of_view,
]  # fmt: skip
each_change = pytest.mark.parametrize("change", CHANGES)


@each_change
def test_changing_an_operand_that_a_derivative_needs_is_an_error_that_names_the_operation(change):
    p, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (p * x).sum()
    with tc.no_grad():
        change(p)
    with pytest.raises(RuntimeError, match=r"^mul: its derivative needs 'x', .*changed in place"):
        y.backward()


@pytest.mark.parametrize("change", [add_, set_item, plus_equals, change_data, change_view])
def test_changing_a_result_that_its_own_derivative_needs_is_an_error(change):
    y = tc.exp(leaf(1.0, 2.0))
    loss = y.sum()
    with tc.no_grad():
        change(y)
    with pytest.raises(RuntimeError, match=r"^exp: its derivative needs 'result'"):
        loss.backward()


@each_change
def test_changing_what_no_derivative_needs_is_fine(change):
    p, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (p + x).sum() + (p.reshape(2, 1) - 1).sum()
    with tc.no_grad():
        change(p)
    y.backward()
    np.testing.assert_array_equal(p.grad.array, [2, 2])
    np.testing.assert_array_equal(x.grad.array, [1, 1])


def test_changing_the_operand_whose_other_side_has_no_derivative_is_fine():
    p, constant = leaf(1.0, 2.0), tc.tensor([3.0, 4.0], dtype=np.float64)
    y = (p * constant).sum()  # the derivative needs the constant alone
    with tc.no_grad():
        p += 1
    y.backward()
    np.testing.assert_array_equal(p.grad.array, [3, 4])


def test_changing_a_parameter_after_backward_is_fine():
    p = leaf(1.0, 2.0)
    for _ in range(3):
        (p * p).sum().backward()
        p.data -= 0.1 * p.grad
        p.grad = None
    np.testing.assert_allclose(p.array, np.array([1, 2]) * 0.8**3)


def test_changing_the_base_of_a_view_that_a_derivative_needs_is_an_error():
    base = tc.tensor([1.0, 2.0, 3.0, 4.0], dtype=np.float64)
    x = leaf(1.0, 1.0)
    y = (x * base[:2]).sum()
    base[0] = 9.0
    with pytest.raises(RuntimeError, match=r"^mul: "):
        y.backward()


def test_a_copy_is_no_view():
    base = tc.tensor([1.0, 2.0], dtype=np.float64)
    x = leaf(1.0, 1.0)
    y = (x * base[[0, 1]]).sum() + (x * base.clone()).sum()
    base.zero_()
    y.backward()
    np.testing.assert_array_equal(x.grad.array, [2, 4])


@pytest.mark.parametrize(
    "alias",
    [
        lambda t: tc.pad(t, (0, 0)),
        lambda t: tc.clamp(t),
        lambda t: tc.dropout(t, 0.5, training=False),
        lambda t: t.to(np.float64),
        lambda t: tc.flatten(t),
        lambda t: tc.squeeze(t),
        lambda t: tc.broadcast_to(t, (2, 1)),
        lambda t: tc.split(t, 1)[0],
    ],
    ids=["pad", "clamp", "dropout", "to", "flatten", "squeeze", "broadcast_to", "split"],
)
def test_a_result_in_its_inputs_memory_counts_as_a_view(alias):
    base = tc.tensor([[1.0], [2.0]], dtype=np.float64)
    out = alias(base)
    assert not np.shares_memory(out.array, base.array) or out.changes is base.changes


def test_a_labels_or_indexes_change_that_a_derivative_needs_does_not_pass_unseen():
    def gradient(index):
        x = tc.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=np.float64, requires_grad=True)
        for y in (x[index], tc.gather(x, 1, index.unsqueeze(1)), tc.cross_entropy(x, index)):
            yield x, y.sum()

    expected = []
    for x, y in gradient(tc.tensor([0, 0])):
        y.backward()
        expected.append(x.grad.array.copy())
        x.grad = None
    index = tc.tensor([0, 0])
    pairs = list(gradient(index))
    index += 1
    for (x, y), e in zip(pairs, expected, strict=True):
        try:
            y.backward()
        except RuntimeError as error:
            assert "changed in place" in str(error)  # noqa: PT017
        else:
            np.testing.assert_array_equal(x.grad.array, e)
        x.grad = None


def test_a_tensor_whose_data_are_anothers_shares_its_changes():
    p, q = leaf(1.0), tc.tensor([5.0], dtype=np.float64)
    p.data = q
    y = (p * p).sum()
    q += 1
    if np.shares_memory(p.array, q.array):
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


# ---- while recording ----


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("add_", lambda p: p.add_(1)),
        ("add_", lambda p: p.__iadd__(1)),
        ("setitem", lambda p: p.__setitem__(0, 1.0)),
        ("zero_", lambda p: p.zero_()),
        ("copy_", lambda p: p.copy_(tc.zeros(2))),
    ],
)
def test_a_leaf_that_requires_a_gradient_is_not_changed_while_recording(name, change):
    p = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=rf"^{name}: an in-place change"):
        change(p)
    np.testing.assert_array_equal(p.array, [1, 2])


def test_plus_equals_on_a_result_means_a_new_result():
    x = leaf(1.0, 2.0)
    y = before = x * 2
    y += x
    assert y is not before
    y.sum().backward()
    np.testing.assert_array_equal(before.array, [2, 4])
    np.testing.assert_array_equal(x.grad.array, [3, 3])


def test_a_sum_is_gathered_with_plus_equals_from_a_plain_tensor():
    x, total = leaf(1.0, 2.0), tc.zeros(2, dtype=np.float64)
    for _ in range(3):
        total += x * x
    total.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [6, 12])


def test_plus_equals_changes_the_memory_outside_the_graph():
    t = same = tc.tensor([1.0, 2.0])
    t += 1
    t -= 3.0
    t *= tc.tensor([2.0, 4.0])
    t /= 2
    assert t is same
    np.testing.assert_array_equal(t.array, [-1, 0])
    assert t.dtype == np.float32
