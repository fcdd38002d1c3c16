"""Schedules: the learning rate over the epochs. Call `step()` after each."""

from __future__ import annotations

import math

from tinycnn.optim.optimizer import Optimizer


class Schedule:
    """Sets the optimiser's learning rate as a function of how many epochs are over."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.epoch = 0

    def rate(self, epoch: int) -> float:
        """The learning rate after so many epochs; each schedule says it."""
        raise TypeError(f"{type(self).__name__} does not define rate()")

    def step(self) -> None:
        """An epoch is over."""
        self.resume(self.epoch + 1)

    def resume(self, epoch: int) -> None:
        """Go on as if so many epochs were over."""
        self.epoch = epoch
        self.optimizer.lr = self.rate(epoch)


class StepLR(Schedule):
    """The rate times `gamma` every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        if step_size < 1:
            raise ValueError(f"StepLR: a step_size of {step_size} epochs")
        self.step_size, self.gamma = step_size, gamma

    def rate(self, epoch: int) -> float:
        """The learning rate after so many epochs."""
        return float(self.base_lr * self.gamma ** (epoch // self.step_size))


class CosineAnnealingLR(Schedule):
    """Down to `eta_min` in `T_max` epochs along half a cosine. Loshchilov & Hutter (2017), eq. 5.

    >>> import tinycnn as tc
    >>> optimizer = tc.optim.SGD([tc.nn.Parameter(tc.zeros(1))], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(2): schedule.step()
    >>> round(optimizer.lr, 6)
    0.5
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        super().__init__(optimizer)
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: a T_max of {T_max} epochs")
        self.T_max, self.eta_min = T_max, eta_min

    def rate(self, epoch: int) -> float:
        """The learning rate after so many epochs."""
        share = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (self.base_lr - self.eta_min) * share


class ReduceLROnPlateau:
    """The rate times `factor` when a figure has not become better for more than `patience` epochs.

    Args:
        optimizer: whose rate is set.
        mode: 'min' if less is better, as a loss; 'max' if more is, as an AUC.
        factor: of the reduction.
        patience: epochs without improvement that are let pass.
        threshold: the relative change that counts as an improvement.
        cooldown: epochs after a reduction that are not counted.
        min_lr: where to stop.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode is 'min' or 'max', not {mode!r}")
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: a factor of {factor} reduces nothing")
        self.optimizer = optimizer
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.mode, self.threshold = mode, threshold
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = self.cooling = 0

    def step(self, figure: float) -> None:
        """An epoch is over, with this figure."""
        if self._better(figure):
            self.best, self.bad_epochs = figure, 0
        else:
            self.bad_epochs += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self.optimizer.lr = max(self.optimizer.lr * self.factor, self.min_lr)
            self.cooling, self.bad_epochs = self.cooldown, 0

    def _better(self, figure: float) -> bool:
        if self.mode == "min":
            return figure < self.best * (1 - self.threshold)
        return figure > self.best * (1 + self.threshold)
