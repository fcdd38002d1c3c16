"""Floor 4: optimisers, schedules and when to stop."""

from tinycnn.optim import lr_scheduler
from tinycnn.optim.adam import Adam
from tinycnn.optim.captured_step import CapturedStep
from tinycnn.optim.early_stopping import EarlyStopping
from tinycnn.optim.optimizer import Optimizer
from tinycnn.optim.sgd import SGD

__all__ = ["SGD", "Adam", "CapturedStep", "EarlyStopping", "Optimizer", "lr_scheduler"]
