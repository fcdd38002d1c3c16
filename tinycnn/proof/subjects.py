"""Everything there is to prove, by name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from tinycnn.errors import InputError
from tinycnn.proof import cases
from tinycnn.proof.dress import dressed
from tinycnn.proof.functions import FUNCTIONS, Maker
from tinycnn.proof.inputs import Example, Inputs
from tinycnn.proof.layers import LAYERS
from tinycnn.proof.stacks import NETWORKS

SUBJECTS: dict[str, Maker] = {
    **{name: partial(cases.example, name) for name in cases.OPERATIONS},
    **FUNCTIONS,
    **LAYERS,
    **NETWORKS,
}

# Those that come to a kernel which the CPU backend has of its own. For all others the backends
# run the same lines, and to check them once is to check them on both.
OWN_KERNELS = frozenset(
    [
        *(f"activation.{name}" for name in ("sigmoid", "tanh", "relu", "relu_grad", "_softplus")),
        *("activation.elu", "activation.elu_grad", "nn.ELU"),
        *("block.fused", "block.add_relu"),
        *(f"convolution.{name}" for name in ("correlate", "conv2d_input_grad")),
        "loss.bernoulli_logit_surprise",
        "convolution.conv2d_weight_grad",
        *("matrix._matmul", "matrix._linear", "matmul", "linear", "nn.Linear"),
        "normalization.normalize",
        *(f"pooling.{name}" for name in ("pick_largest", "max_pool2d_scatter")),
        *(
            f"pooling.{name}"
            for name in ("max_pool2d_gather", "sum_pool2d", "sum_pool2d_input_grad")
        ),
        *("avg_pool2d", "adaptive_avg_pool2d", "nn.AvgPool2d", "nn.AdaptiveAvgPool2d"),
        *("conv2d", "max_pool2d", "adaptive_max_pool2d", "softplus", "batch_norm"),
        "binary_cross_entropy_with_logits",
        *(f"nn.{name}" for name in ("Conv2d", "BatchNorm2d", "MaxPool2d", "AdaptiveMaxPool2d")),
        *(f"nn.{name}" for name in ("ReLU", "Sigmoid", "Tanh", "Softplus", "BCEWithLogitsLoss")),
        *(f"nn.{name}" for name in ("Sequential", "Residual", "Concat")),
        *NETWORKS,
    ]
)


def drawn(name: str, a: Inputs) -> Example:
    """A case of the subject, in one of its guises."""
    return dressed(a, SUBJECTS[name](a))


def called(name: str) -> set[str]:
    """What a user may call a subject: its name, with or without the family before the dot and
    the remark behind the space, or the family alone.

    >>> sorted(called("nn.Dropout in use"))
    ['Dropout', 'nn', 'nn.Dropout', 'nn.Dropout in use']
    """
    plain = name.split(" ")[0]
    family, _, last = plain.rpartition(".")
    return {name, plain, last, family} - {""}


def chosen(wanted: Sequence[str]) -> list[str]:
    """The names of the subjects that the words stand for; all without any.

    Raises:
        InputError: a word stands for none.

    >>> chosen(["relu", "pooling.sum_pool2d"])
    ['activation.relu', 'pooling.sum_pool2d']
    """
    names = {word: [name for name in SUBJECTS if word in called(name)] for word in wanted}
    for word, found in names.items():
        if not found:
            known = set().union(*map(called, SUBJECTS))
            near = get_close_matches(word, sorted(known), 3, 0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(f"gradcheck: no operation or layer {word!r}{hint}")
    picked = set().union(*names.values()) if wanted else set(SUBJECTS)
    return [name for name in SUBJECTS if name in picked]
