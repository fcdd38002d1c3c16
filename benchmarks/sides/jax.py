"""JAX: each case one compiled function. Images are NCHW: on CPUs NHWC was as fast or slower."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.networks import NETWORKS, Array, Network, Shape, starting_weights
from benchmarks.task import Task, change, labels, noise

LR, MOMENTUM, DECAY = 0.01, 0.9, 1e-3


def convolve(x: Any, weight: Any, stride: int, padding: int, dilation: int, groups: int) -> Any:
    """PyTorch's conv2d without a bias."""
    border = [(padding, padding)] * 2
    return lax.conv_general_dilated(
        x,
        weight,
        (stride, stride),
        border,
        rhs_dilation=(dilation, dilation),
        feature_group_count=groups,
    )


def pool(x: Any, size: int, start: float, combine: Any) -> Any:
    """Windows of size × size, side by side."""
    window = (1, 1, size, size)
    return lax.reduce_window(x, start, combine, window, window, "VALID")


def by_channel(numbers: Any) -> Any:
    """(C,) to (C, 1, 1), to go with images."""
    return numbers[:, None, None]


class Forward:
    """One way of images through a network.

    Attributes:
        statistics: running means and variances; new ones after a pass in training.
    """

    def __init__(self, statistics: list[Any], training: bool, key: Any, rate: Any) -> None:
        self.statistics = statistics
        self.training, self.key, self.rate = training, key, rate

    def run(self, network: Network, parameters: Iterator[Any], x: Any) -> Any:
        """Layer by layer."""
        for kind, *arguments in network:
            if kind == "Residual":
                body, shortcut = (self.run(branch, parameters, x) for branch in arguments)
                x = body + shortcut
            elif kind == "Conv2d":
                stride, padding = (*arguments[3:], 1, 0)[:2]
                x = convolve(x, next(parameters), stride, padding, 1, 1)
                x = x if len(arguments) > 7 else x + by_channel(next(parameters))
            elif kind == "Linear":
                x = x @ next(parameters).T + next(parameters)
            elif kind == "BatchNorm2d":
                x = self.normalise(x, next(parameters), next(parameters))
            else:
                x = self.simple(kind, arguments, x)
        return x

    def normalise(self, x: Any, scale: Any, shift: Any) -> Any:
        """Batch normalisation; in training the running statistics move to the end of the list."""
        mean, variance = self.statistics.pop(0)
        if self.training:
            batch, spread = x.mean((0, 2, 3)), x.var((0, 2, 3))
            count = x.size // x.shape[1]
            unbiased = spread * count / (count - 1)
            self.statistics.append((0.9 * mean + 0.1 * batch, 0.9 * variance + 0.1 * unbiased))
            mean, variance = batch, spread
        scale = by_channel(scale * lax.rsqrt(variance + 1e-5))
        return (x - by_channel(mean)) * scale + by_channel(shift)

    def simple(self, kind: str, arguments: list[int], x: Any) -> Any:
        """The layers without parameters."""
        if kind == "Flatten":
            return x.reshape(len(x), -1)
        if kind == "Dropout":
            if not self.training:
                return x
            self.key, key = jax.random.split(self.key)
            return x * jax.random.bernoulli(key, 1 - self.rate, x.shape) / (1 - self.rate)
        if kind == "MaxPool2d":
            return pool(x, arguments[0], -jnp.inf, lax.max)
        if kind == "AvgPool2d":
            return pool(x, arguments[0], 0.0, lax.add) / arguments[0] ** 2
        if kind == "AdaptiveAvgPool2d":
            return x.mean((2, 3), keepdims=True)
        return {"ReLU": jax.nn.relu, "Tanh": jnp.tanh, "Identity": lambda x: x}[kind](x)


def first_statistics(network: Network) -> Iterator[Any]:
    """Means 0 and variances 1, in the order of the layers."""
    for kind, *arguments in network:
        if kind == "Residual":
            for branch in arguments:
                yield from first_statistics(branch)
        elif kind == "BatchNorm2d":
            yield jnp.zeros(arguments[0]), jnp.ones(arguments[0])


def bce(logits: Any, target: Any) -> Any:
    """Binary cross-entropy of logits."""
    return jnp.mean(jnp.logaddexp(0, logits) - target * logits)


def stepper(layers: Network) -> Any:
    """The compiled training step: (parameters, velocities, statistics), key, … → loss, the same."""

    def loss_of(parameters: Any, statistics: Any, key: Any, rate: Any, x: Any, t: Any) -> Any:
        way = Forward(list(statistics), True, key, rate)
        return bce(way.run(layers, iter(parameters), x), t), way.statistics

    def step(state: Any, key: Any, rate: Any, images: Any, target: Any) -> Any:
        parameters, velocities, statistics = state
        key, now = jax.random.split(key)
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), grads = gradient(parameters, statistics, now, rate, images, target)
        velocities = [
            MOMENTUM * v + g + DECAY * p
            for v, g, p in zip(velocities, grads, parameters, strict=True)
        ]
        parameters = [p - LR * v for p, v in zip(parameters, velocities, strict=True)]
        return loss, (parameters, velocities, statistics), key

    return jax.jit(step, donate_argnums=0)


class JAX:
    """The cases JAX takes part in."""

    def step(self, network: str, shape: Shape, batch: int, arguments: list[int]) -> Task:
        """A step of training."""
        layers = NETWORKS[network](shape, *arguments)
        run = stepper(layers)
        images = jnp.asarray(noise((batch, *shape)))
        target = jnp.asarray(labels(batch))
        parameters = [jnp.asarray(w) for w in starting_weights(layers, np.random.default_rng(0))]
        state = parameters, [jnp.zeros_like(p) for p in parameters], list(first_statistics(layers))
        key = jax.random.key(0)

        def step(rate: float = 0.2) -> float:
            nonlocal state, key
            loss, state, key = run(state, key, rate, images, target)
            return float(loss)

        def results() -> Iterator[Array]:
            before = [np.array(p) for p in state[0]]
            yield np.array(step(0.0))
            yield change(before, map(np.asarray, state[0]))

        return Task(step, results)

    def inference(self, network: str, shape: Shape, batch: int, arguments: list[int]) -> Task:
        """Images in, logits out."""
        layers = NETWORKS[network](shape, *arguments)
        images = jnp.asarray(noise((batch, *shape)))
        parameters = [jnp.asarray(w) for w in starting_weights(layers, np.random.default_rng(0))]
        statistics = list(first_statistics(layers))

        @jax.jit
        def infer(parameters: Any, statistics: Any, images: Any) -> Any:
            way = Forward(list(statistics), False, None, 0.0)
            return way.run(layers, iter(parameters), images)

        def call() -> Any:
            return infer(parameters, statistics, images).block_until_ready()

        return Task(call, lambda: [np.asarray(call())])

    def _convolution(self, inputs: list[Shape], arguments: list[int]) -> tuple[Any, list[Any]]:
        tensors = [jnp.asarray(noise(shape)) for shape in inputs]
        return lambda x, w, b: convolve(x, w, *arguments) + by_channel(b), tensors

    def forward(self, operation: str, inputs: list[Shape], arguments: list[int]) -> Task:
        """A convolution."""
        function, tensors = self._convolution(inputs, arguments)
        compiled = jax.jit(function)

        def call() -> Any:
            return compiled(*tensors).block_until_ready()

        return Task(call, lambda: [np.asarray(call())])

    def gradients(self, operation: str, inputs: list[Shape], arguments: list[int]) -> Task:
        """A convolution's backward pass; the compiler leaves out the forward one."""
        function, tensors = self._convolution(inputs, arguments)
        g = jnp.asarray(noise(jax.eval_shape(function, *tensors).shape, seed=2))
        compiled = jax.jit(lambda g, *tensors: jax.vjp(function, *tensors)[1](g))

        def call() -> Any:
            return jax.block_until_ready(compiled(g, *tensors))

        return Task(call, lambda: map(np.asarray, call()))


def side(mode: str) -> JAX:
    """There is one mode."""
    return JAX()
