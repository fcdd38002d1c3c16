"""Faults planted into `kernels.cu`, each of which the checks of `test_cuda_kernels_on_host.py` must
find: checks that miss the mistakes one makes prove nothing."""

import re

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tinycnn.kernels.cuda import launch as launching
from tinycnn.kernels.cuda import products

from .cuda_cases import (
    CASES,
    assert_right,
    assert_right_at_the_edges,
    assert_right_mask,
    assert_right_product,
    kernel_of,
)
from .host import host_modules_or_skip, on_the_host

host_modules_or_skip()

BARRIER = "__syncthreads();\n"

# What is wrong; the function of `kernels.cu`, the text in it and what stands there instead; and
# the cases that must show it.
FAULTS = [
    # sums of a block
    ("no barrier between steps", "block_sums", f"{BARRIER}        if (t < half)", "if (t < half)",
     "moments"),
    ("no barrier before a sum is read", "block_sums", f"{BARRIER}    for", "for", "moments"),
    ("half of the threads at a barrier", "block_sums", f"{BARRIER}        if (t < half)",
     f"if (t < half) {BARRIER} if (t < half)", "moments"),
    ("half of the threads left out", "block_sums", "THREADS / 2", "THREADS / 4",
     "batch_norm_grad"),
    ("the last step left out", "block_sums", "half > 0", "half > 1", "batch_norm_grad"),
    ("the first slice left out", "sum_slices", "s = 0", "s = 1", "many_conv2d_weight_grad"),
    # activations
    ("NaN becomes 0", "relu", "x[i] <= 0 ? T(0) : x[i]", "x[i] > 0 ? x[i] : T(0)", "relu"),
    ("NaN of a sum becomes 0", "add_relu", "x[i] + y[i] <= 0 ? T(0) : x[i] + y[i]",
     "x[i] + y[i] > 0 ? x[i] + y[i] : T(0)", "add_relu"),
    ("NaN's gradient becomes 0", "relu_grad", "x[i] <= 0 ? T(0) : g[i]",
     "x[i] > 0 ? g[i] : T(0)", "relu_grad"),
    # convolution
    ("groups forgotten", "conv2d", "group * channels + c", "c", "conv2d"),
    ("dilation forgotten", "conv2d", "i * dh", "i", "conv2d"),
    ("the right edge not masked", "padded", " && within(column, W)", "", "conv2d"),
    ("stride for columns only", "conv2d", "row * sh", "row", "conv2d"),
    ("outputs between strides met", "window_at", "begins && exists", "exists",
     "conv2d_input_grad"),
    ("outputs beyond the last met", "window_at", "begins && exists", "begins",
     "max_pool2d_scatter"),
    ("a group's channels not counted from 0", "conv2d_input_grad", "c % channels", "c",
     "conv2d_input_grad"),
    # the 3x3 kernel
    ("no barrier before the tile is read", "correlate_3x3", f"{BARRIER}#pragma unroll",
     "\n#pragma unroll", "conv2d_3x3"),
    ("no barrier before the next channel", "correlate_3x3", "__syncthreads();  //", "//",
     "conv2d_3x3"),
    ("the tile's tail not filled", "correlate_3x3", "i < SIDE * SIDE", "i < THREADS",
     "conv2d_3x3"),
    ("the tile lacks its border", "correlate_3x3", "SIDE = TILE + 2", "SIDE = TILE + 1",
     "conv2d_3x3"),
    ("the tile begins a column late", "correlate_3x3", "before + i % SIDE - left",
     "before + i % SIDE - left + 1", "conv2d_3x3"),
    ("the last channels not masked", "correlate_3x3", "if (first + k < O)", "if (true)",
     "conv2d_3x3"),
    ("the last columns not masked", "correlate_3x3", " || column >= OW", "", "conv2d_3x3"),
    ("kernels not turned", "correlate_3x3", "8 - tap", "tap", "conv2d_input_grad_3x3"),
    ("infinite weights meet the padding", "correlate_3x3", "if (TURNED &&", "if (false &&",
     "edges"),
    # the weight's gradient
    ("the last slice runs on", "conv2d_weight_grad", "min((s + 1) * slice, count)",
     "(s + 1) * slice", "many_conv2d_weight_grad"),
    ("positions skipped", "conv2d_weight_grad", "p += THREADS", "p += THREADS + 1",
     "conv2d_weight_grad"),
    ("a slice's last position left out", "conv2d_weight_grad", "p < end", "p < end - 1",
     "conv2d_weight_grad"),
    ("every chunk has the first taps", "conv2d_weight_grad", "(first + k) % kw", "k % kw",
     "conv2d_weight_grad"),
    ("taps beyond the kernel written", "conv2d_weight_grad", " && first + t < taps", "",
     "conv2d_weight_grad"),
    # matrix products
    ("windows start at the edge", "im2col", " - top", "", "products"),
    ("of an element's copies one comes back", "col2im", "sum += ", "sum = ", "products"),
    ("a slice without an end", "matmul", "min((s + 1) * slice, K)", "K", "matmul"),
    ("no mask at the slice's end", "matmul", "row < M && k + j < end", "row < M", "matmul"),
    ("tiles replaced too early", "matmul", "__syncthreads();  // before the next tiles", "//",
     "matmul"),
    ("a transposed matrix taken for another", "matmul", "column * y_across", "column", "matmul"),
    # pooling
    ("one thread too many", "max_pool2d", "o >= size", "o > size", "max_pool2d"),
    ("the last maximum wins a tie", "wins", "challenger <= best", "challenger < best",
     "max_pool2d"),
    ("a number wins against NaN", "wins", "best == best && ", "", "max_pool2d"),
    ("the padding is 0", "max_pool2d", "-__int_as_float(0x7f800000)", "0", "max_pool2d"),
    ("of two windows one counts", "max_pool2d_scatter", "sum += ", "sum = ",
     "max_pool2d_scatter"),
    ("a window's rows and columns exchanged", "max_pool2d_scatter", "i * kw + j", "j * kw + i",
     "max_pool2d_scatter"),
    ("an index's row is its column", "max_pool2d_gather", "index[o] / kw", "index[o] % kw",
     "max_pool2d_gather"),
    # batch normalisation
    ("the distance of slices forgotten", "moments",
     " + d * d * before * more / (before + more)", "", "many_moments"),
    ("slices not counted", "moments", "before += more;", "", "many_moments"),
    ("an image's channels run on", "batch_norm", "i / P % C", "i / P", "batch_norm"),
    ("a sum for a mean", "batch_norm_input_grad", "sums[c] / count", "sums[c]",
     "batch_norm_grad"),
    # behind a convolution
    ("the mean not taken away", "Channel", "mean = means[c]", "mean = 0", "conv_block"),
    ("NaN stops at ReLU", "stops", "norm(y) <= 0", "!(norm(y) > 0)", "edges"),
    ("ReLU where there is none", "stops", "relu && ", "", "conv_block"),
    ("the largest before the norm", "largest",
     "wins(channel.norm(window[place]), channel.norm(window[winner]))",
     "wins(window[place], window[winner])", "conv_block"),
    ("a window of one column", "largest", "k % SIDE", "0", "conv_block"),
    ("a window's last element left out", "largest", "k < SIDE * SIDE", "k < SIDE * SIDE - 1",
     "conv_block"),
    ("windows overlap", "norm_relu_pool", "column * SIDE", "column", "conv_block_inference"),
    ("images' channels run on", "norm_relu_pool", "plane % C", "plane", "conv_block_inference"),
    ("a slice of windows runs on", "norm_relu_pool_vector_grads",
     "min((s + 1) * slice, N * OH * OW)", "(s + 1) * slice", "many_conv_block"),
    ("the weight's gradient not scaled", "norm_relu_pool_vector_grads",
     "inv_std ? inv_std[c] : T(1)", "T(1)", "conv_block"),
    ("of two sums one written", "norm_relu_pool_vector_grads", "threadIdx.x < 2",
     "threadIdx.x < 1", "conv_block"),
    ("an edge in no window takes part", "norm_relu_pool_input_grad", "row < OH && column < OW && ",
     "", "conv_block"),
    ("a whole window gets the cotangent", "norm_relu_pool_input_grad",
     "p == first + largest<SIDE>(y + first, W, channel)", "true", "conv_block"),
    ("ReLU forgotten on the way back", "norm_relu_pool_input_grad", " && !channel.stops(y[p])", "",
     "conv_block"),
    ("statistics that are constants", "norm_relu_pool_input_grad", "if (sums)", "if (false)",
     "conv_block"),
    ("a norm where there is none", "norm_relu_pool_input_grad", "if (sums)", "if (true)",
     "conv_block"),
    ("the scale forgotten on the way back", "norm_relu_pool_input_grad", " * channel.scale", "",
     "conv_block"),
    # optimisation and chance
    ("Nesterov does not look ahead", "sgd_step", "nesterov ? slope + momentum * v[i] : v[i]",
     "v[i]", "sgd_step"),
    ("the device's rate not read", "sgd_step", "rate ? T(*rate) : lr", "lr", "sgd_step"),
    ("a velocity that is missing", "sgd_step", "if (v)", "if (true)", "sgd_step"),
    ("the counter begins at 0", "dropout_mask", "block + 1ull", "block + 0ull", "dropout_mask"),
    ("the upper half first", "dropout_mask", "k % 2 * 32", "(1 - k % 2) * 32", "dropout_mask"),
    ("nine rounds", "dropout_mask", "round < 10", "round < 9", "dropout_mask"),
    ("the last numbers left out", "dropout_mask", "(size + 7) / 8", "size / 8", "dropout_mask"),
    ("the last numbers not masked", "dropout_mask", "if (8 * block + k < size)", "",
     "dropout_mask"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "text", "instead", "cases"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)
def test_a_planted_fault_is_found(function, text, instead, cases, monkeypatch):
    monkeypatch.setattr(launching, "SLICE", 300)
    right = re.search(rf"\b{function}\(.*?\n}}\n", launching.SOURCE, re.S)[0]
    assert right.count(text) == 1, "the source has changed"
    source = launching.SOURCE.replace(right, right.replace(text, instead))
    with on_the_host(source), pytest.raises((AssertionError, RuntimeError)) as found:
        check(cases, monkeypatch)
    assert "compilation failed" not in str(found.value)


def check(cases, monkeypatch):
    """As in `test_cuda_kernels_on_host.py`, but content with the first example that fails."""
    if cases == "edges":
        assert_right_at_the_edges()
    elif cases == "dropout_mask":
        assert_right_mask()
    elif cases == "products":
        monkeypatch.setattr(products, "MANY", 1)
        generated("conv2d")
        generated("conv2d_input_grad")
    elif cases == "matmul":
        assert_right_product()
    else:
        generated(cases)


def generated(case):
    @settings(
        max_examples=20,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        deadline=None,
        derandomize=True,
    )
    @given(data=st.data())
    def run(data):
        assert_right(kernel_of(case), data.draw(CASES[case](np.float64)))

    run()
