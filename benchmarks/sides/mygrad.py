"""MyGrad, a library on NumPy alone, made for teaching as well."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import mygrad
import numpy as np
from mygrad.nnet import relu
from mygrad.nnet.layers import batchnorm, conv_nd, max_pool

from benchmarks.networks import NETWORKS, Array, Network, Shape, starting_weights
from benchmarks.task import CHAIN, Task, change, labels, noise

LR, MOMENTUM, DECAY = 0.01, 0.9, 1e-3


def forward(network: Network, parameters: Iterator[Any], x: Any, rng: Any) -> Any:
    """Images through the exercise's network; without `rng` there is no dropout."""
    for kind, *arguments in network:
        if kind == "Conv2d":
            x = conv_nd(x, next(parameters), stride=arguments[3], padding=arguments[4])
            x = x + next(parameters).reshape(1, -1, 1, 1)
        elif kind == "BatchNorm2d":
            x = batchnorm(x, gamma=next(parameters), beta=next(parameters), eps=1e-5)
        elif kind == "MaxPool2d":
            even = tuple(side // 2 * 2 for side in x.shape[2:])  # it takes no others
            x = max_pool(x[:, :, : even[0], : even[1]], (2, 2), 2)
        elif kind == "Flatten":
            x = x.reshape(len(x), -1)
        elif kind == "Linear":
            x = x @ next(parameters).T + next(parameters)
        elif kind == "ReLU":
            x = relu(x)
        elif rng is not None:
            x = x * ((rng.random(x.shape) > arguments[0]) / np.float32(1 - arguments[0]))
    return x


def bce(logits: Any, target: Any) -> Any:
    """Binary cross-entropy of logits."""
    return mygrad.mean(mygrad.logaddexp(0, logits) - target * logits)


class MyGrad:
    """The cases MyGrad takes part in."""

    def step(self, network: str, shape: Shape, batch: int, arguments: list[int]) -> Task:
        """A step of training, the optimiser in NumPy as the library has none."""
        layers = NETWORKS[network](shape, *arguments)
        values = starting_weights(layers, np.random.default_rng(0))
        parameters = [mygrad.tensor(value) for value in values]
        velocities = [np.zeros_like(p.data) for p in parameters]
        images = mygrad.tensor(noise((batch, *shape)), constant=True)
        target, rng = labels(batch), np.random.default_rng(0)

        def step(rng: Any = rng) -> float:
            loss = bce(forward(layers, iter(parameters), images, rng), target)
            loss.backward()
            for p, v in zip(parameters, velocities, strict=True):
                v *= MOMENTUM
                v += p.grad + DECAY * p.data
                p.data -= LR * v
                p.null_grad()
            return float(loss)

        def results() -> Iterator[Array]:
            before = [p.data.copy() for p in parameters]
            yield np.array(step(None))
            yield change(before, [p.data for p in parameters])

        return Task(step, results)

    def engine(self, operation: str, shape: Shape, both: bool) -> Task:
        """A row of operations on tiny arrays, forward and backward."""
        x = mygrad.tensor(noise(shape))
        unary = operation == "relu"
        function = relu if unary else getattr(operator, operation)
        second = (np.eye(shape[0]) if operation == "matmul" else np.ones(shape)).astype(np.float32)
        leaves = [mygrad.tensor(second, constant=not both) for _ in range(CHAIN)]

        def call() -> None:
            y = x
            for leaf in leaves:
                y = function(y) if unary else function(y, leaf)
            y.sum().backward()

        def results() -> Iterator[Array]:
            call()
            yield np.asarray(x.grad)

        return Task(call, results)


def side(mode: str) -> MyGrad:
    """There is one mode."""
    return MyGrad()
