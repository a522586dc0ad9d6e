"""One update of the parameters, by one process or by one of several."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..data.batching import Batch
from ..hyperparameters import Hyperparameters
from ..network.network import Network
from .optimizer import clip, make_optimizer
from .scores import Tally, smoothed_loss_of

States = Mapping[int, Mapping[str, Tensor]]
"""What an optimizer keeps of each parameter, by the parameter's number in the network."""


class Learner:
    def __init__(self, network: Network, options: Hyperparameters, owned: Sequence[int] | None = None) -> None:
        """`owned`: the numbers of the parameters that are updated here; the others are somebody else's."""
        self.network, self._options = network, options
        self.parameters = list(network.parameters())
        self._owned = range(len(self.parameters)) if owned is None else owned
        self._optimizer = make_optimizer([self.parameters[number] for number in self._owned], options)

    def gradients(self, batch: Batch, size: int) -> Tally:
        """Forward and backward, for a batch that is all of `size` pairs or a share of them."""
        self.network.zero_grad()
        batch = batch.to(self.network.device)
        scores = self.network(batch)
        learnt, loss = smoothed_loss_of(scores, batch.outputs, self._options.label_smoothing)
        (learnt / size).backward()  # type: ignore[no-untyped-call]
        told = Tally()
        told.add(loss.item(), scores, batch.outputs)
        return told

    def no_gradients(self) -> Tally:
        """Where a batch has fewer pairs than there are processes, some get none of it."""
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        return Tally()

    def step(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        clip((self.parameters[number] for number in self._owned), self._options.clip_gradient)
        self._optimizer.step()
        # Others know by its version that a weight has changed. Neither a fused optimizer counts that up, nor another
        # process, which changes what is not owned here.
        torch.autograd.graph.increment_version(self.parameters)

    def states(self) -> dict[int, dict[str, Tensor]]:
        states = self._optimizer.state_dict()["state"]
        return {
            self._owned[number]: {name: value for name, value in state.items() if value is not None}
            for number, state in states.items()
        }

    def restore(self, states: States) -> None:
        mine = {place: dict(states[number]) for place, number in enumerate(self._owned) if number in states}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": mine, "param_groups": groups})
