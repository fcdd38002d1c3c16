"""The array that remembers: making one, NumPy beside it, indexing, random numbers."""

import copy
import subprocess
import sys

import numpy as np
import pytest

import tinycnn as tc


@pytest.fixture
def x():
    return tc.tensor([1.0, 2.0], requires_grad=True)


def test_python_numbers_become_float32_int64_and_bool():
    assert tc.tensor([1.0, 2.0]).dtype == tc.tensor(1.0).dtype == np.float32
    assert tc.tensor([1, 2]).dtype == np.int64
    assert tc.tensor([True]).dtype == np.bool_
    assert tc.tensor(np.ones(2)).dtype == np.float64
    assert tc.tensor(np.ones(2), dtype=np.float32).dtype == np.float32


def test_tensor_copies_what_it_is_given():
    array = np.ones(2, np.float32)
    t = tc.tensor(array)
    array[0] = 5
    assert t[0].item() == 1
    assert not np.shares_memory(tc.tensor(t).array, t.array)


@pytest.mark.parametrize("number", [np.float64(2.0), np.float32(2.0)])
def test_a_numpy_number_makes_a_tensor_like_any_other(number):
    t = tc.tensor(number, requires_grad=True)
    assert t.dtype == number.dtype
    (t * 3.0 + t).backward()
    assert t.grad.item() == 4
    t.numpy()


def test_ragged_data_are_refused():
    with pytest.raises((TypeError, ValueError)):
        tc.tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match="not numbers"):
        tc.tensor(["a", None])


# ---- NumPy ----


def test_an_array_on_the_left_gives_a_recorded_tensor(x):
    a = np.array([3.0, 4.0], np.float32)
    for out, expected in [
        (a + x, [4, 6]),
        (a - x, [2, 2]),
        (a * x, [3, 8]),
        (a / x, [3, 2]),
        (a**x, [3, 16]),
        (np.float32(2) * x, [2, 4]),
        (np.float64(2) - x, [1, 0]),
    ]:
        assert isinstance(out, tc.Tensor)
        assert out.requires_grad
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out.array, expected)
    assert (a @ x).item() == 11
    assert (a > x).array.all()
    (a * x).sum().backward()
    np.testing.assert_array_equal(x.grad.array, a)


def test_numpy_reads_a_tensor_and_cannot_write_to_it(x):
    view = x.numpy()
    assert np.shares_memory(view, x.array)
    for read in (view, np.asarray(x)):
        with pytest.raises(ValueError, match="read-only"):
            read[0] = 1
    np.testing.assert_array_equal(np.asarray(x), [1, 2])
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    written = np.array(x)
    written[0] = 9
    assert x[0].item() == 1


def test_numpy_functions_take_a_tensor_through_its_array(x):
    assert np.mean(np.asarray(x)) == 1.5
    np.testing.assert_array_equal(np.stack([x, x]), [[1, 2], [1, 2]])


@pytest.mark.parametrize("question", [tc.isfinite, tc.isnan, tc.argmax, tc.all, tc.any, tc.amax])
def test_a_single_number_is_an_array_without_axes(question):
    out = question(tc.tensor(1.0))
    assert isinstance(out.array, np.ndarray)
    assert out.numpy().shape == ()


def test_a_single_number_is_a_python_number_where_one_is_needed():
    t = tc.tensor(2)
    assert (t.item(), int(t), float(t), bool(t), [0, 1, 2][t]) == (2, 2, 2.0, True, 2)
    assert tc.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert f"{tc.tensor(0.5):.2f}" == "0.50"
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tc.tensor([1, 2]))


def test_a_tensor_says_what_it_is(x):
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], made_by=mul)"
    assert repr(tc.tensor(np.array([1.0]))) == "tensor([1.], dtype=float64)"
    assert (x.ndim, x.dim(), x.shape, x.size(), x.size(0), x.numel()) == (1, 1, (2,), (2,), 2, 2)
    assert len(tc.zeros(3, 2)) == 3
    assert [row.shape for row in tc.zeros(3, 2)] == [(2,)] * 3


def test_a_tensor_is_its_own_key(x):
    other = tc.tensor([1.0, 2.0])
    assert len({x: 1, other: 2}) == 2
    assert (x == other).array.all()


def test_a_copied_leaf_has_memory_of_its_own(x):
    again = copy.deepcopy(x)
    again.data += 1
    np.testing.assert_array_equal(x.array, [1, 2])
    assert again.requires_grad


# ---- indexing ----


def _as_numpy(index):
    if isinstance(index, tuple):
        return tuple(_as_numpy(part) for part in index)
    return index.numpy() if isinstance(index, tc.Tensor) else index


@pytest.mark.parametrize(
    "index",
    [
        [0, 0, 2],
        (np.array([0, 0, 2]),),
        tc.tensor([0, 0, 2]),
        ((0, 0, 2),),
        np.array([[0, 0], [2, 2]]),
        (tc.tensor([0, 0]), tc.tensor([1, 1])),
        range(3),
        tc.tensor([True, False, True]),
        (..., None, 1),
        np.int64(1),
        slice(None, None, -2),
    ],
    ids=repr,
)
def test_the_gradient_of_a_part_counts_how_often_each_element_was_taken(index):
    x = tc.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    x[index].sum().backward()
    taken = np.arange(6).reshape(3, 2)[_as_numpy(index)]
    np.testing.assert_array_equal(
        x.grad.array.reshape(-1), np.bincount(taken.reshape(-1), minlength=6)
    )


# ---- chance ----


def test_the_same_seed_gives_the_same_numbers():
    def draw():
        tc.manual_seed(3)
        return [tc.randn(3), tc.rand(2, 2), tc.dropout(tc.ones(20), 0.5)]

    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first.array, second.array)
    assert not (tc.randn(3) == tc.randn(3)).array.any()


def test_a_generator_that_is_passed_in_is_used_and_the_default_left_alone():
    tc.manual_seed(3)
    expected = tc.randn(3)
    tc.manual_seed(3)
    a = tc.randn(3, generator=np.random.default_rng(7))
    b = tc.randn(3, generator=np.random.default_rng(7))
    np.testing.assert_array_equal(a.array, b.array)
    np.testing.assert_array_equal(tc.randn(3).array, expected.array)


# ---- importing ----


def test_importing_tinycnn_imports_nothing_beyond_numpy():
    code = (
        "import sys, tinycnn, tinycnn.nn, tinycnn.nn.functional\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = "numba llvmlite scipy sklearn PIL matplotlib tqdm safetensors pydicom torch cupy"
    assert not set(unwanted.split()) & set(done.stdout.split())
