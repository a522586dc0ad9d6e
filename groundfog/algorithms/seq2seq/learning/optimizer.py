"""How the weights learn: optimizers, and schedules of their learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from ..hyperparameters import Hyperparameters


def make_optimizer(parameters: Iterable[nn.Parameter], options: Hyperparameters) -> torch.optim.Optimizer:
    rate, decay = options.learning_rate, options.weight_decay
    match options.optimizer_type:
        case "sgd":
            return torch.optim.SGD(parameters, rate, momentum=options.momentum or 0.0, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, alpha=0.9, weight_decay=decay)
        case _:
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)


def clip(parameters: Iterable[nn.Parameter], most: float) -> None:
    """No component of a gradient above `most` or below its negative; a negative `most` clips nothing."""
    if most >= 0:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.clamp_(-most, most)


class Schedule:
    """The learning rate, asked before each update and told of each checkpoint.

    plateau_reduce           times plateau_reduce_lr_factor after plateau_reduce_lr_threshold checkpoints in vain
    fixed_rate_inv_t         1 / (1 + t), t in half lives: half of it after fixed_rate_lr_half_life checkpoints
    fixed_rate_inv_sqrt_t    1 / sqrt(1 + 3t), likewise
    linear                   in a straight line down to 0 at the last update

    With warmup_num_batches they all begin low: in a straight line from 0 up to what they are without it.
    """

    def __init__(self, options: Hyperparameters, last_update: int | None = None) -> None:
        """`last_update`: after how many updates the training ends at the latest, for `linear`, which has to know."""
        self._options, self._last_update = options, last_update
        self.factor = 1.0
        self.waited = 0

    def rate(self, updates: int) -> float:
        """Of the update after so many."""
        warmup = self._options.warmup_num_batches
        return self._warm(updates) * (min(1.0, (updates + 1) / warmup) if warmup else 1.0)

    def _warm(self, updates: int) -> float:
        options = self._options
        lives = updates / (options.fixed_rate_lr_half_life * options.checkpoint_frequency_num_batches)
        match options.lr_scheduler_type:
            case "fixed_rate_inv_t":
                return options.learning_rate / (1 + lives)
            case "fixed_rate_inv_sqrt_t":
                return options.learning_rate / math.sqrt(1 + 3 * lives)
            case "linear":
                last = self._last_update or 0
                left = (last - updates) / max(last - options.warmup_num_batches, 1)
                return options.learning_rate * min(1.0, max(0.0, left))
            case _:
                return options.learning_rate * self.factor

    def checkpoint(self, improved: bool) -> None:
        self.waited = 0 if improved else self.waited + 1
        if self.waited >= self._options.plateau_reduce_lr_threshold:
            self.factor *= self._options.plateau_reduce_lr_factor
            self.waited = 0
