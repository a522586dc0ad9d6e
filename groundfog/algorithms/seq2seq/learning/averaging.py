"""Averaging: the mean of the parameters at the last checkpoints is a better model than the last ones alone.

The steps of an optimizer wander round the place that they look for, and the mean of where they were lies nearer to it
(Junczys-Dowmunt, Dwojak and Sennrich 2016, section 3.1; Izmailov et al. 2018). It is what is validated and kept; the
training itself goes on from its own parameters.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    def __init__(self, network: nn.Module, most: int) -> None:
        """Of the last `most` checkpoints; one is the same as no averaging, and costs nothing."""
        self._network, self._most = network, most
        self.recent: deque[dict[str, Tensor]] = deque(maxlen=most)

    @contextmanager
    def of_checkpoint(self) -> Iterator[None]:
        """The network is at a checkpoint; in here it has the mean of its parameters now and at those before."""
        if self._most == 1:
            yield
            return
        now = {name: parameter.detach().clone() for name, parameter in self._network.named_parameters()}
        self.recent.append(now)
        self._set({name: torch.stack([each[name] for each in self.recent]).mean(0) for name in now})
        try:
            yield
        finally:
            self._set(now)

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._network.named_parameters():
            parameter.copy_(values[name])
