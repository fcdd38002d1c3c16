"""The cases as both PyTorch and tinycnn are written: the same lines for both libraries."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, Array, Network, Shape, starting_weights
from benchmarks.task import CHAIN, Task, change, labels, noise


class Torchlike(ABC):
    """A library with PyTorch's names.

    Attributes:
        library: its package, imported.
        functional: its functions.
    """

    def __init__(self, library: Any, functional: Any) -> None:
        self.library, self.functional = library, functional

    @abstractmethod
    def tensor(self, array: Array, requires_grad: bool = False) -> Any:
        """A leaf of these numbers, in the memory format that is timed."""

    @abstractmethod
    def gradients_of(self, y: Any, inputs: list[Any], g: Any) -> Any:
        """The gradients of y at the inputs for the cotangent g; the graph is kept."""

    @abstractmethod
    def network(self, name: str, shape: Shape, layers: Network) -> Any:
        """A network of this name."""

    def tuned(self, function: Any) -> Any:
        """A function or network as it is called: compiled, for instance."""
        return function

    # ---- networks --------------------------------------------------------------------------

    def _model(self, network: str, shape: Shape, arguments: list[int]) -> Any:
        layers = NETWORKS[network](shape, *arguments)
        model = self.network(network, shape, layers)
        names = [name for name, _ in model.named_parameters()]
        values = starting_weights(layers, np.random.default_rng(0))
        first = dict(zip(names, map(self.tensor, values), strict=True))
        model.load_state_dict({**model.state_dict(), **first})
        return model

    def step(self, network: str, shape: Shape, batch: int, arguments: list[int]) -> Task:
        """A step of training."""
        model = self._model(network, shape, arguments)
        called = self.tuned(model)
        nn, optim = self.library.nn, self.library.optim
        images, target = self.tensor(noise((batch, *shape))), self.tensor(labels(batch))
        optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
        loss_of = nn.BCEWithLogitsLoss()

        def step() -> float:
            loss = loss_of(called(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.item())

        def results() -> Iterator[Array]:
            dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout)]
            if dropouts and called is not model:
                return  # without dropout it would be compiled a second time
            for dropout in dropouts:
                dropout.eval()
            before = [self.numpy(p).copy() for p in model.parameters()]
            yield np.array(step())
            yield change(before, map(self.numpy, model.parameters()))
            model.train()

        return Task(step, results)

    def inference(self, network: str, shape: Shape, batch: int, arguments: list[int]) -> Task:
        """Images in, logits out."""
        model = self._model(network, shape, arguments).eval()
        called, images = self.tuned(model), self.tensor(noise((batch, *shape)))

        def infer() -> Any:
            with self.library.no_grad():
                return called(images)

        return Task(infer, lambda: [self.numpy(infer())])

    # ---- single operations -----------------------------------------------------------------

    def _operation(self, name: str, shape: Shape, arguments: list[Any]) -> Any:
        operation = getattr(self.functional, name)
        if name != "batch_norm":
            return self.tuned(lambda *inputs: operation(*inputs, *arguments))
        mean, variance = (self.tensor(f(shape[1], np.float32)) for f in (np.zeros, np.ones))
        return self.tuned(lambda x, weight, bias: operation(x, mean, variance, weight, bias, True))

    def forward(self, operation: str, inputs: list[Shape], arguments: list[Any]) -> Task:
        """One operation, nothing kept for a backward pass."""
        function = self._operation(operation, inputs[0], arguments)
        tensors = [self.tensor(noise(shape)) for shape in inputs]

        def call() -> Any:
            with self.library.no_grad():
                return function(*tensors)

        return Task(call, lambda: [self.numpy(call())])

    def gradients(self, operation: str, inputs: list[Shape], arguments: list[Any]) -> Task:
        """The backward pass of one operation, by all its inputs."""
        function = self._operation(operation, inputs[0], arguments)
        leaves = [self.tensor(noise(shape), requires_grad=True) for shape in inputs]
        y = function(*leaves)
        g = self.tensor(noise(tuple(y.shape), seed=2))

        def call() -> Any:
            return self.gradients_of(y, leaves, g)

        return Task(call, lambda: map(self.numpy, call()))

    def sgd(self, network: str, shape: Shape) -> Task:
        """The optimiser's part of a step."""
        model = self._model(network, shape, [])
        parameters = list(model.parameters())
        optimizer = self.library.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=1e-3)
        sum((p * p).sum() for p in parameters).backward()

        def after() -> Iterator[Array]:
            before = [self.numpy(p).copy() for p in parameters]
            optimizer.step()
            optimizer.step()
            yield change(before, map(self.numpy, parameters))

        return Task(optimizer.step, after)

    def engine(self, operation: str, shape: Shape, both: bool) -> Task:
        """`CHAIN` operations in a row on tiny arrays, forward and backward, by the first input or
        by both.
        """
        x = self.tensor(noise(shape), requires_grad=True)
        unary = operation == "relu"
        function = self.functional.relu if unary else getattr(operator, operation)
        second = (np.eye(shape[0]) if operation == "matmul" else np.ones(shape)).astype(np.float32)
        leaves = [self.tensor(second, requires_grad=both) for _ in range(CHAIN)]

        def call() -> None:
            y = x
            for leaf in leaves:
                y = function(y) if unary else function(y, leaf)
            y.sum().backward()

        def timed() -> None:
            x.grad = None
            for leaf in leaves:
                leaf.grad = None
            call()

        def results() -> Iterator[Array]:
            timed()
            yield self.numpy(x.grad)

        return Task(timed, results)

    def numpy(self, tensor: Any) -> Array:
        """Its numbers."""
        return np.asarray(tensor.detach().numpy())
