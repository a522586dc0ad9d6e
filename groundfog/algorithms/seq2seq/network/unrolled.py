"""The decoder's loop in training as one node of the graph, with its derivative written by hand.

It computes what `Decoder.forward` says step by step, for the usual decoder: one LSTM layer, any attention that scores.
Autograd would make the weights' gradients a step at a time, each a product of only B rows; here the backward loop keeps
the steps' derivatives, and each matrix gets its gradient in one product over all T * B rows, at twice the speed.

Letters: B sentences   S, T lengths of source and target   A width of the attention   H hidden
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .cells import lstm_gates, lstm_gates_backward


class _Step(NamedTuple):
    """What the derivative of a step needs of it."""

    before: Tensor
    """[B, 2H]: h~ and the output of the step before."""
    cell: Tensor
    """[B, H], before the step."""
    gates: tuple[Tensor, ...]
    """Opened [B, 3H], candidate and tanh(cell) [B, H]."""
    hidden: Tensor
    """[B, H]"""
    query: Tensor
    """[B, A]"""
    together: Tensor
    """[B, S, A]: tanh(key + query), of mlp attention alone."""
    weights: Tensor
    """[B, S]"""
    squashed: Tensor
    """[B, H]: h~, before dropout."""


class Unrolled(torch.autograd.Function):
    """h~ of every step [T, B, H].

    projected [T, B, 4H], hidden and cell [B, H], keys [B, S, A], values [B, S, H], mask [B, 1, S] or None,
    of_step [4H, 2H], of_hidden [H, H] or, where the query is projected too, [H + A, H]; direction [A] is mlp's, None
    makes the score a product; kept [T, B, H] is what dropout multiplies h~ with, None where there is none.
    """

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        hidden: Tensor,
        cell: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        of_step: Tensor,
        of_hidden: Tensor,
        direction: Tensor | None,
        kept: Tensor | None,
    ) -> Tensor:
        width = hidden.shape[1]
        fed, said, steps = torch.zeros_like(hidden), [], []
        for at, gates in enumerate(projected.unbind(0)):
            before, cell_before = torch.cat([fed, hidden], 1), cell
            hidden, cell, *opened = lstm_gates(torch.addmm(gates, before, of_step.t()), cell)
            from_hidden = hidden @ of_hidden.t()
            query = from_hidden[:, width:] if len(of_hidden) > width else hidden
            together, scores = _scores(query, keys, direction)
            weights = torch.softmax(scores if mask is None else scores + mask[:, 0], -1)
            context = torch.bmm(weights.unsqueeze(1), values)[:, 0]
            squashed = torch.tanh(from_hidden[:, :width] + context)
            fed = squashed if kept is None else squashed * kept[at]
            said.append(fed)
            steps.append(_Step(before, cell_before, tuple(opened), hidden, query, together, weights, squashed))
        ctx.save_for_backward(keys, values, of_step, of_hidden, direction, kept)
        ctx.steps = steps
        return torch.stack(said)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_said: Tensor) -> tuple[Tensor | None, ...]:
        keys, values, of_step, of_hidden, direction, kept = ctx.saved_tensors
        width = of_hidden.shape[1]
        d_fed, d_hidden, d_cell = torch.zeros_like(d_said[0]), torch.zeros_like(d_said[0]), torch.zeros_like(d_said[0])
        d_keys = torch.zeros_like(keys)
        d_gates = d_said.new_empty(len(d_said), len(keys), 4 * width)
        d_from_hidden = d_said.new_empty(len(d_said), len(keys), len(of_hidden))
        d_scores = keys.new_empty(len(d_said), *keys.shape[:2])
        for at in reversed(range(len(d_said))):
            step, d_from = ctx.steps[at], d_from_hidden[at]
            d_fed = d_said[at] + d_fed if kept is None else (d_said[at] + d_fed) * kept[at]
            d_context = torch.mul(d_fed, 1 - step.squashed * step.squashed, out=d_from[:, :width])
            d_weights = torch.bmm(values, d_context.unsqueeze(2))[..., 0]
            d_scores[at] = step.weights * (d_weights - (step.weights * d_weights).sum(1, keepdim=True))
            d_query = _scores_backward(d_scores[at], step, keys, direction, d_keys)
            if len(of_hidden) > width:
                d_from[:, width:] = d_query
            else:
                d_hidden = d_hidden + d_query
            d_hidden = torch.addmm(d_hidden, d_from, of_hidden)
            d_gates[at], d_cell = lstm_gates_backward(d_hidden, d_cell, step.cell, *step.gates)
            d_fed, d_hidden = (d_gates[at] @ of_step).chunk(2, 1)
        d_values = torch.einsum("tbs,tbh->bsh", _all(ctx, "weights"), d_from_hidden[..., :width])
        d_of_step = _product(d_gates, _all(ctx, "before"))
        d_of_hidden = _product(d_from_hidden, _all(ctx, "hidden"))
        d_direction = None
        if direction is not None:
            d_keys *= direction
            d_direction = sum(
                step.together.flatten(0, 1).t() @ d_scores[at].flatten() for at, step in enumerate(ctx.steps)
            )
        return d_gates, d_hidden, d_cell, d_keys, d_values, None, d_of_step, d_of_hidden, d_direction, None


def _scores(query: Tensor, keys: Tensor, direction: Tensor | None) -> tuple[Tensor, Tensor]:
    if direction is None:
        return keys, torch.bmm(keys, query.unsqueeze(2))[..., 0]
    together = (keys + query.unsqueeze(1)).tanh_()
    return together, together @ direction


def _scores_backward(d_scores: Tensor, step: _Step, keys: Tensor, direction: Tensor | None, d_keys: Tensor) -> Tensor:
    """The query's derivative [B, A]; the keys' is added to `d_keys`, in mlp attention still without v."""
    if direction is None:
        d_keys.baddbmm_(d_scores.unsqueeze(2), step.query.unsqueeze(1))
        return torch.bmm(d_scores.unsqueeze(1), keys)[:, 0]
    d_sum: Tensor = torch.ops.aten.tanh_backward(d_scores.unsqueeze(2), step.together)
    d_keys += d_sum
    return d_sum.sum(1) * direction


def _all(ctx: Any, name: str) -> Tensor:
    return torch.stack([getattr(step, name) for step in ctx.steps])


def _product(d_results: Tensor, inputs: Tensor) -> Tensor:
    """[T, B, N], [T, B, M] -> [N, M]: the gradient of a matrix that made the results of the inputs."""
    return d_results.flatten(0, 1).t() @ inputs.flatten(0, 1)
