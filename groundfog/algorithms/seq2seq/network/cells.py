"""Recurrent cells that are told something besides their input at each step.

nn.LSTM and nn.GRU run over sequences that are known beforehand. With input feeding (Luong et al. 2015, section 3.3) a
step of the decoder needs what the step before made, so it runs cell by cell. What does not depend on the step before,
the part of the gates that comes from the input, is computed for all steps in one product: `project`. Where nothing is
fed back, all steps are one call after all: `run`, with the same weights.

Letters: R rows (sentences, or hypotheses of them)   T steps   I input   F fed   H hidden   G gates: 4H (LSTM), 3H (GRU)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ..kernels.training import Dropout, Linear, LSTMByKernels, can_learn_by_kernels

State = tuple[Tensor, ...]
"""LSTM: output and cell. GRU: output. Each [R, H]."""


def rows_of(embedding: nn.Embedding, dropout: Dropout, ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the first layer is told of ids [T, B]: rows [R, I], and which of them stands at each place [T, B].

    A token has one row however often it occurs, so that it is projected once; with dropout each place has its own.
    """
    if (dropout.training and dropout.p) or ids.device.type != "cpu":
        return each_place(dropout(embedding(ids)))
    tokens, numbers = torch.unique(ids, return_inverse=True)
    return embedding(tokens), numbers


def each_place(states: Tensor) -> tuple[Tensor, Tensor]:
    """States [T, B, I] as rows, one for each place, and their numbers [T, B]."""
    rows = states.flatten(0, 1)
    return rows, torch.arange(len(rows), device=rows.device).view(states.shape[:2])


class LSTMCell(nn.Module):
    """Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000)."""

    def __init__(self, inputs: int, fed: int, hidden: int) -> None:
        super().__init__()
        self.from_input = Linear(inputs, 4 * hidden)
        self.from_step = Linear(fed + hidden, 4 * hidden, bias=False)

    def project(self, inputs: Tensor) -> Tensor:
        """[..., I] -> [..., G]"""
        return self.from_input(inputs)  # type: ignore[no-any-return]

    def forward(self, projected: Tensor, fed: Tensor | None, state: State) -> State:
        """One step; projected [R, G], fed [R, F]."""
        hidden, cell = state
        before = hidden if fed is None else torch.cat([fed, hidden], 1)
        gates = torch.addmm(projected, before, self.from_step.weight.t())
        return lstm_step(gates, cell)

    def run(self, inputs: Tensor, fed: Tensor | None, state: State) -> Tensor:
        """All steps; inputs [T, R, I], fed [T, R, F] -> outputs [T, R, H]."""
        width = 0 if fed is None else fed.shape[2]
        if not width and can_learn_by_kernels(inputs):
            return self.run_rows(*each_place(self.project(inputs)), state)
        of_fed, of_hidden = self.from_step.weight[:, :width], self.from_step.weight[:, width:]
        of_input = torch.cat([self.from_input.weight, of_fed], 1)
        weights = [_in_torchs_order(each) for each in (of_input, of_hidden, self.from_input.bias)]
        together = inputs if fed is None else torch.cat([inputs, fed], 2)
        # Torch adds a bias of its own to the hidden part too.
        weights.append(torch.zeros_like(weights[-1]))
        states = [part.unsqueeze(0) for part in state]
        return torch.lstm(together, states, weights, True, 1, 0.0, self.training, False, False)[0]

    def run_rows(self, rows: Tensor, numbers: Tensor, state: State) -> Tensor:
        """All steps by the kernels, nothing being fed; inputs are rows[numbers], projected [*, G], numbers [T, R]."""
        of_step, rounds = self.from_step.weight, self.from_step.rounds
        return LSTMByKernels.apply(rows, numbers, of_step, *state, rounds)[0]  # type: ignore[no-any-return, no-untyped-call]


def _in_torchs_order(gates: Tensor) -> Tensor:
    """Ours has the candidate last; torch has input, forget, candidate, output."""
    enter, forget, leave, candidate = gates.chunk(4)
    return torch.cat([enter, forget, candidate, leave])


def lstm_step(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """gates [R, 4H], cell [R, H] -> output and cell"""
    if torch.is_grad_enabled():
        return LSTMGates.apply(gates, cell)  # type: ignore[no-any-return, no-untyped-call]
    return lstm_gates(gates, cell)[:2]


def lstm_gates(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """gates [R, 4H]: input, forget, output, candidate -> output, cell, gates opened, candidate, tanh(cell)"""
    hidden = cell.shape[1]
    opened = torch.sigmoid(gates[:, : 3 * hidden])
    candidate = torch.tanh(gates[:, 3 * hidden :])
    enter, forget, leave = opened.chunk(3, 1)
    cell = torch.addcmul(forget * cell, enter, candidate)
    squashed = torch.tanh(cell)
    return leave * squashed, cell, opened, candidate, squashed


class LSTMGates(torch.autograd.Function):
    """`lstm_gates` with its derivative as one node: autograd's own takes thrice the time in a dozen small ones."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        output, new, opened, candidate, squashed = lstm_gates(gates, cell)
        ctx.save_for_backward(cell, opened, candidate, squashed)
        return output, new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, d_cell: Tensor) -> tuple[Tensor, Tensor]:
        return lstm_gates_backward(d_output, d_cell, *ctx.saved_tensors)


def lstm_gates_backward(
    d_output: Tensor, d_cell: Tensor, cell: Tensor, opened: Tensor, candidate: Tensor, squashed: Tensor
) -> tuple[Tensor, Tensor]:
    """From the derivatives of `lstm_gates`' first two results those of its arguments."""
    enter, forget, leave = opened.chunk(3, 1)
    hidden = cell.shape[1]
    d_cell = torch.addcmul(d_cell, d_output * leave, 1 - squashed * squashed)
    d_gates = torch.empty(cell.shape[0], 4 * hidden, dtype=cell.dtype, device=cell.device)
    d_opened = d_gates[:, : 3 * hidden]
    torch.mul(d_cell, candidate, out=d_opened[:, :hidden])
    torch.mul(d_cell, cell, out=d_opened[:, hidden : 2 * hidden])
    torch.mul(d_output, squashed, out=d_opened[:, 2 * hidden :])
    d_opened *= opened * (1 - opened)
    torch.mul(d_cell * enter, 1 - candidate * candidate, out=d_gates[:, 3 * hidden :])
    return d_gates, d_cell * forget


class GRUCell(nn.Module):
    """Cho et al. 2014, with the reset gate on the projected state, as nn.GRU has it."""

    def __init__(self, inputs: int, fed: int, hidden: int) -> None:
        super().__init__()
        self.from_input = Linear(inputs, 3 * hidden)
        self.from_fed = Linear(fed, 3 * hidden, bias=False) if fed else None
        self.from_hidden = Linear(hidden, 3 * hidden)

    def project(self, inputs: Tensor) -> Tensor:
        """[..., I] -> [..., G]"""
        return self.from_input(inputs)  # type: ignore[no-any-return]

    def forward(self, projected: Tensor, fed: Tensor | None, state: State) -> State:
        """One step; projected [R, G], fed [R, F]."""
        (hidden,) = state
        if fed is not None and self.from_fed is not None:
            projected = projected + functional.linear(fed, self.from_fed.weight)
        width = hidden.shape[1]
        gates, candidate = torch.split(projected, [2 * width, width], 1)
        gates_before, candidate_before = torch.split(self.from_hidden(hidden), [2 * width, width], 1)
        reset, update = torch.sigmoid(gates + gates_before).chunk(2, 1)
        candidate = torch.tanh(torch.addcmul(candidate, reset, candidate_before))
        return (torch.lerp(candidate, hidden, update),)

    def run(self, inputs: Tensor, fed: Tensor | None, state: State) -> Tensor:
        """All steps; inputs [T, R, I], fed [T, R, F] -> outputs [T, R, H]."""
        together, of_input = inputs, self.from_input.weight
        if fed is not None and self.from_fed is not None:
            together, of_input = torch.cat([inputs, fed], 2), torch.cat([of_input, self.from_fed.weight], 1)
        weights = [of_input, self.from_hidden.weight, self.from_input.bias, self.from_hidden.bias]
        return torch.gru(together, state[0].unsqueeze(0), weights, True, 1, 0.0, self.training, False, False)[0]


CELLS: dict[str, type[LSTMCell] | type[GRUCell]] = {"lstm": LSTMCell, "gru": GRUCell}
STATES = {"lstm": 2, "gru": 1}
"""Tensors in a cell's state."""
