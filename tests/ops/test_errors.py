"""A wrong call names the operation, what it got and what it needs."""

import numpy as np
import pytest

import tinycnn as tc
import tinycnn.nn.functional as F

IMAGES = tc.zeros(2, 3, 5, 5)
WRONG = [
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 1, 3, 3)),
        "conv2d: input has 3 channels, but weight (8, 1, 3, 3) expects 1",
    ),
    (
        lambda: tc.conv2d(tc.zeros(3, 5, 5), tc.zeros(8, 3, 3, 3)),
        "conv2d: input has shape (3, 5, 5), needs (N, C, H, W)",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 3)),
        "conv2d: weight has shape (8, 3, 3), needs (O, C, kh, kw)",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 3, 3), tc.zeros(7)),
        "conv2d: bias has shape (7,), needs (8,)",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 6, 3)),
        "conv2d: the window of 6×3 is larger than the padded input of 5×5",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 1, 3, 3), groups=2),
        "conv2d: 3 input and 8 output channels do not divide into 2 groups",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 3, 3), stride=2, padding="same"),
        "conv2d: padding 'same' needs stride 1, not (2, 2)",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 3, 3), padding="full"),
        "conv2d: padding is a size, 'same' or 'valid', not 'full'",
    ),
    (
        lambda: tc.conv2d(IMAGES, tc.zeros(8, 3, 3, 3), stride=0),
        "conv2d: stride must be one or two integers of at least 1, not 0",
    ),
    (
        lambda: tc.conv2d(IMAGES.double(), tc.zeros(8, 3, 3, 3)),
        "conv2d: input is float64, but a parameter float32",
    ),
    (
        lambda: tc.max_pool2d(IMAGES, 6),
        "max_pool2d: the window of 6×6 is larger than the padded input of 5×5",
    ),
    (
        lambda: tc.max_pool2d(IMAGES, 2, padding=2),
        "max_pool2d: padding 2 is more than half the window (2, 2)",
    ),
    (
        lambda: tc.avg_pool2d(tc.zeros(5, 5), 2),
        "avg_pool2d: input has shape (5, 5), needs (N, C, H, W)",
    ),
    (
        lambda: tc.matmul(tc.zeros(2, 3), tc.zeros(4, 2)),
        "matmul: shapes (2, 3) and (4, 2) do not fit",
    ),
    (lambda: tc.zeros(2, 3) @ tc.zeros(3).double(), "matmul: float32 and float64; convert one"),
    (
        lambda: tc.linear(tc.zeros(2, 3), tc.zeros(5, 4)),
        "linear: input has 3 features, but weight (5, 4) expects 4",
    ),
    (
        lambda: tc.batch_norm(IMAGES, tc.zeros(2), tc.ones(2), tc.ones(2), tc.zeros(2)),
        "batch_norm: input has shape (2, 3, 5, 5), needs (N, 2, H, W)",
    ),
    (
        lambda: tc.batch_norm(
            tc.ones(1, 1, 1, 1), tc.zeros(1), tc.ones(1), tc.ones(1), tc.zeros(1), True
        ),
        "batch_norm: training needs more than one value a channel",
    ),
    (
        lambda: tc.cat([tc.zeros(2, 3), tc.zeros(3, 3)], 1),
        "cat: shapes (2, 3) and (3, 3) differ outside axis 1",
    ),
    (lambda: tc.cat([]), "cat: no tensors"),
    (lambda: tc.split(tc.zeros(5), [2, 2]), "split: lengths [2, 2] do not add up to 5"),
    (
        lambda: tc.maxout(tc.zeros(2, 5), 2),
        "maxout: 5 channels do not divide into groups of 2",
    ),
    (
        lambda: tc.pad(tc.zeros(2, 2), (2, 0), "reflect"),
        "pad: (2, 0) is more than an image of 2×2 can reflect",
    ),
    (
        lambda: tc.pad(tc.zeros(2, 2), (1, 1), "mirror"),
        "pad: mode 'mirror' is none of constant, reflect, replicate, circular",
    ),
    (lambda: tc.dropout(IMAGES, 1.5), "dropout: p is a probability, not 1.5"),
    (
        lambda: tc.cross_entropy(tc.zeros(2, 3), tc.tensor([0, 3])),
        "cross_entropy: a target is none of the 3 classes",
    ),
    (
        lambda: tc.cross_entropy(tc.zeros(2, 3), tc.tensor([0.0, 1.0])),
        "cross_entropy: targets are class numbers, not float32",
    ),
    (
        lambda: tc.cross_entropy(tc.zeros(2, 3), tc.tensor([0])),
        "cross_entropy: input (N, C, …) has shape (2, 3), target (1,), needs (2,)",
    ),
    (
        lambda: F.mse_loss(tc.zeros(2, 1), tc.zeros(2)),
        "mse_loss: input has shape (2, 1), target (2,)",
    ),
    (
        lambda: F.mse_loss(tc.zeros(2), tc.zeros(2), "average"),
        "mse_loss: reduction is 'mean', 'sum' or 'none', not 'average'",
    ),
    (lambda: tc.tensor([1, 2]).mean(), "mean: of int64 numbers; make them floating-point"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_call_says_what_is_wrong(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("add", lambda: tc.zeros(2) + tc.zeros(3)),
        ("mul", lambda: tc.zeros(2) * np.zeros(3, np.float32)),
        ("reshape", lambda: tc.zeros(6).reshape(4)),
        ("permute", lambda: tc.zeros(2, 3).permute(0, 1, 2)),
        ("sum", lambda: tc.zeros(6).sum(3)),
        ("getitem", lambda: tc.zeros(6)[7]),
        ("broadcast_to", lambda: tc.zeros(3).expand(2, 4)),
        ("linear", lambda: tc.linear(tc.zeros(2, 3), tc.zeros(4, 3), tc.zeros(5))),
        ("linear", lambda: tc.linear(tc.zeros(2, 3), tc.zeros(4, 3), tc.zeros(2, 4))),
    ],
)
def test_shapes_that_do_not_fit_are_told_with_the_name_of_the_operation(operation, call):
    with pytest.raises((ValueError, IndexError), match=f"^{operation}: "):
        call()


@pytest.mark.parametrize("other", ["1", None, [1.0]])
def test_arithmetic_with_what_is_no_number_is_an_error_that_says_so(other):
    with pytest.raises(TypeError, match="arithmetic takes tensors, arrays and numbers, not"):
        tc.zeros(1) + other


def test_an_argument_that_an_operation_does_not_have_is_an_error():
    with pytest.raises(TypeError, match="alpha"):
        tc.add(tc.ones(1), tc.ones(1), alpha=2)
    with pytest.raises(TypeError, match="inplace"):
        tc.relu(tc.ones(1), inplace=True)


def test_a_float_added_in_place_to_integers_is_not_cut_off_in_silence():
    n = tc.tensor([1, 2])
    with pytest.raises((TypeError, ValueError), match="add_"):
        n += 0.5


def test_a_comparison_with_none_is_no_crash():
    assert not np.any(tc.tensor([1.0]) == None)  # noqa: E711
