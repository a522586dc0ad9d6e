"""The decoder: recurrent layers with attention and input feeding (Luong et al. 2015).

A step, for the token y before it:

    h  = cell(y, fed, h)               the lower layers; fed is the h~ of the step before
    a  = attention(h, source states)
    h  = cell(h, context, h)           the upper layers, with rnn_attention_in_upper_layers
    h~ = tanh(W [h; context])          context = the source states in the proportions a
    p  = softmax(V h~)

What needs no step before it stays outside of the loop: the part of the first cell's gates that comes from the tokens,
the attention's keys, W's part for each source state (W is linear, so weighing its results is as good as weighing the
states), and the output layer over all h~ together.

With input_feeding off no cell is told h~, so in training a layer's steps are one call, and so is all attention. It is
faster, and attention has to find its way without knowing what was concluded before.

Letters: B sentences   Q hypotheses of each (1 in training)   R = B * Q rows   S, T lengths of source and target
         W width of the source states   A width of the attention   G width of a cell's gates   H hidden   V vocabulary
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.batching import Source
from ..hyperparameters import Hyperparameters
from ..kernels.training import (
    AttentionByKernels,
    Dropout,
    Linear,
    LinearByKernels,
    UnrolledByKernels,
    can_learn_by_kernels,
)
from .attention import ATTENTIONS, MLP, Bilinear, Dot, mask_of
from .cells import CELLS, STATES, LSTMCell, State, rows_of
from .encoder import Encoded
from .unrolled import Unrolled


@dataclass(frozen=True)
class Memory:
    """The source as the decoder sees it at every step."""

    keys: Tensor
    """[B, S, A]"""
    values: Tensor
    """[B, S, H]: the source states through W's context part."""
    states: Tensor
    """[B, S, W]"""
    mask: Tensor | None
    """[B, 1, S]"""

    def select(self, sentences: Tensor) -> "Memory":
        mask = None if self.mask is None else self.mask[sentences]
        return Memory(self.keys[sentences], self.values[sentences], self.states[sentences], mask)


@dataclass(frozen=True)
class DecoderState:
    layers: tuple[State, ...]
    fed: Tensor
    """[R, H]: h~ of the step before, zeros at first."""

    def select(self, rows: Tensor) -> "DecoderState":
        layers = tuple(tuple(part[rows] for part in state) for state in self.layers)
        return DecoderState(layers, self.fed[rows])


class Decoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int, states: int) -> None:
        """`states`: the width of the encoder's."""
        super().__init__()
        cell, hidden, layers = CELLS[options.rnn_cell_type], options.rnn_num_hidden, options.num_layers_decoder
        self.embedding = nn.Embedding(tokens, options.num_embed_target)
        self.dropout = Dropout(options.embed_dropout_target)
        self.upper = layers - 1 if options.rnn_attention_in_upper_layers else 0
        above = [cell(hidden, states if number >= layers - self.upper else 0, hidden) for number in range(1, layers)]
        self.feeding = options.input_feeding
        first = cell(options.num_embed_target, hidden if self.feeding else 0, hidden)
        self.cells = nn.ModuleList([first, *above])
        self.first_residual = options.rnn_first_residual_layer if options.rnn_residual_connections else None
        self.attention = ATTENTIONS[options.rnn_attention_type](hidden, states, options.attention_width)
        self.combine_hidden = Linear(hidden, hidden)
        self.combine_context = Linear(states, hidden, bias=False)
        self.hidden_dropout = Dropout(options.rnn_decoder_hidden_dropout)
        self.output = Linear(hidden, tokens)
        self.begin_with = options.rnn_decoder_state_init
        self.parts = STATES[options.rnn_cell_type]
        beginnings = 0 if self.begin_with == "zero" else layers * self.parts
        self.begin = nn.ModuleList([Linear(states, hidden) for _ in range(beginnings)])
        self._gates_of_token: Tensor | None = None

    def remember(self, encoded: Encoded, source: Source) -> Memory:
        states = encoded.states.transpose(0, 1).contiguous()
        return Memory(self.attention.keys(states), self.combine_context(states), states, mask_of(source, states))

    def first_state(self, encoded: Encoded, source: Source) -> DecoderState:
        zeros = encoded.states.new_zeros(source.lengths.shape[0], self.combine_hidden.out_features)  # [B, H]
        if self.begin_with == "zero":
            parts = [zeros] * len(self.cells) * self.parts
        elif self.begin_with == "avg":
            mean = encoded.states.sum(0) / source.lengths.to(zeros.device).unsqueeze(1)
            parts = [torch.tanh(begin(mean)) for begin in self.begin]
        else:
            # Each layer's output begins with the encoder's last output, its cell with the encoder's last cell, if any.
            ends = [encoded.last[min(part, len(encoded.last) - 1)] for part in range(self.parts)] * len(self.cells)
            parts = [torch.tanh(begin(end)) for begin, end in zip(self.begin, ends, strict=True)]
        layers = tuple(tuple(parts[at : at + self.parts]) for at in range(0, len(parts), self.parts))
        return DecoderState(layers, zeros)

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """Scores [T, B, V] of the next tokens, told the right ones before: inputs [T, B]."""
        if not self.feeding:
            return self.output(self._at_once(inputs, memory, state))  # type: ignore[no-any-return]
        rows, numbers = self._projected(inputs)
        if torch.is_grad_enabled() and self._usual:
            return self.output(self._unrolled(rows, numbers, memory, state))  # type: ignore[no-any-return]
        return self.output(self._step_by_step(rows, numbers, memory, state))  # type: ignore[no-any-return]

    def _projected(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens' part of the first cell's gates [R, G], and which row is that of each input [T, B]."""
        rows, numbers = rows_of(self.embedding, self.dropout, inputs)
        return self.cells[0].project(rows), numbers  # type: ignore[operator]

    def _step_by_step(self, rows: Tensor, numbers: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """h~ of every step [T, B, H]."""
        said = []
        for gates in functional.embedding(numbers, rows).unbind(0):
            state, _ = self._advance(gates, state, memory)
            said.append(state.fed)
        return torch.stack(said)

    def _at_once(self, inputs: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """h~ of every step [T, B, H], layer by layer, where none is told the h~ before it."""
        lower, first = len(self.cells) - self.upper, self.cells[0]
        by_kernels = can_learn_by_kernels(memory.keys)
        if by_kernels and isinstance(first, LSTMCell):
            hidden = first.run_rows(*self._projected(inputs), state.layers[0])
        else:
            hidden = first.run(self.dropout(self.embedding(inputs)), None, state.layers[0])  # type: ignore[operator]
        hidden = self._run(range(1, lower), hidden, None, state.layers)
        if by_kernels and not self.upper and self._scores:
            values, of_hidden, direction = self._attending(memory)
            from_hidden = LinearByKernels.apply(hidden, of_hidden, None, self.output.rounds)  # type: ignore[no-untyped-call]
            seen = memory.keys, values, memory.mask, direction
            return self.hidden_dropout(AttentionByKernels.apply(from_hidden, hidden, *seen))  # type: ignore[no-any-return, no-untyped-call]
        weights = self.attention(hidden.transpose(0, 1), memory.keys, memory.mask)  # [B, T, S]
        if self.upper:
            context = torch.bmm(weights, memory.states).transpose(0, 1)  # [T, B, H]
            hidden = self._run(range(lower, len(self.cells)), hidden, context, state.layers)
        values = torch.bmm(weights, memory.values).transpose(0, 1)
        return self.hidden_dropout(torch.tanh(self.combine_hidden(hidden) + values))  # type: ignore[no-any-return]

    def _run(self, numbers: range, hidden: Tensor, context: Tensor | None, first: Sequence[State]) -> Tensor:
        """All steps through the layers of these numbers: [T, B, H] -> [T, B, H]."""
        for number in numbers:
            output = self.cells[number].run(hidden, context, first[number])  # type: ignore[operator]
            hidden = output + hidden if self._residual(number) else output
        return hidden

    @property
    def _usual(self) -> bool:
        """Whether the derivative is there that was written by hand."""
        cell, *above = self.cells
        return self.feeding and isinstance(cell, LSTMCell) and not above and self._scores

    @property
    def _scores(self) -> bool:
        """Whether attention is one that scores."""
        return isinstance(self.attention, MLP | Dot | Bilinear)

    def _attending(self, memory: Memory) -> tuple[Tensor, Tensor, Tensor | None]:
        """What attention weighs [B, S, H]; W's hidden part [H, H], a query's [A, H] below it; mlp's v [A]."""
        of_query = getattr(self.attention, "of_query", None)
        of_hidden = self.combine_hidden.weight
        if isinstance(of_query, nn.Linear):
            of_hidden = torch.cat([of_hidden, of_query.weight])
        direction = self.attention.direction.weight[0] if isinstance(self.attention, MLP) else None
        # The attention's weights sum to 1, so the bias may as well be in what they weigh.
        return memory.values + self.combine_hidden.bias, of_hidden, direction

    def _unrolled(self, rows: Tensor, numbers: Tensor, memory: Memory, state: DecoderState) -> Tensor:
        """What `_step_by_step` returns, by a loop whose derivative takes less time."""
        ((hidden, cell),) = state.layers
        values, of_hidden, direction = self._attending(memory)
        of_step = self.cells[0].from_step.weight  # type: ignore[union-attr]
        kept = None
        if self.training and self.hidden_dropout.p:
            kept = self.hidden_dropout(hidden.new_ones(len(numbers), *hidden.shape))
        first, seen, weights = (hidden, cell), (memory.keys, values, memory.mask), (of_step, of_hidden, direction)
        if can_learn_by_kernels(rows):
            return UnrolledByKernels.apply(rows, numbers, *first, *seen, *weights, kept, self.output.rounds)  # type: ignore[no-any-return, no-untyped-call]
        return Unrolled.apply(functional.embedding(numbers, rows), *first, *seen, *weights, kept)  # type: ignore[no-any-return, no-untyped-call]

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState, Tensor]:
        """tokens [R] -> scores [R, V] of the next ones, the state, where it looked [B, Q, S]."""
        state, weights = self._advance(self._gates(tokens), state, memory)
        return self.output(state.fed), state, weights

    def train(self, mode: bool = True) -> "Decoder":
        self._gates_of_token = None
        return super().train(mode)

    def _gates(self, tokens: Tensor) -> Tensor:
        """[R] -> [R, G]: for a small vocabulary a table, made once."""
        project: Callable[[Tensor], Tensor] = self.cells[0].project  # type: ignore[assignment]
        if self.embedding.num_embeddings > 4096:
            return project(self.embedding(tokens))
        if self._gates_of_token is None:
            self._gates_of_token = project(self.embedding.weight)
        return self._gates_of_token[tokens]

    def _advance(self, gates: Tensor, state: DecoderState, memory: Memory) -> tuple[DecoderState, Tensor]:
        lower = len(self.cells) - self.upper
        layers: list[State] = [self.cells[0](gates, state.fed if self.feeding else None, state.layers[0])]
        hidden = self._climb(layers, range(1, lower), layers[0][0], None, state.layers)
        queries = hidden.view(memory.values.shape[0], -1, hidden.shape[1])  # [B, Q, H]
        weights = self.attention(queries, memory.keys, memory.mask)  # [B, Q, S]
        if self.upper:
            context = torch.bmm(weights, memory.states).flatten(0, 1)
            hidden = self._climb(layers, range(lower, len(self.cells)), hidden, context, state.layers)
        values = torch.bmm(weights, memory.values).view_as(hidden)
        fed = self.hidden_dropout(torch.tanh(self.combine_hidden(hidden) + values))
        return DecoderState(tuple(layers), fed), weights

    def _climb(
        self, layers: list[State], numbers: range, hidden: Tensor, context: Tensor | None, before: Sequence[State]
    ) -> Tensor:
        """Through the layers of these numbers, appending their states to `layers`; the topmost one's output [R, H]."""
        for number in numbers:
            cell = self.cells[number]
            layers.append(cell(cell.project(hidden), context, before[number]))  # type: ignore[operator]
            hidden = layers[-1][0] + hidden if self._residual(number) else layers[-1][0]
        return hidden

    def _residual(self, number: int) -> bool:
        """Whether what enters this layer is added to what leaves it; the hyperparameter counts layers from 1."""
        return self.first_residual is not None and number + 1 >= self.first_residual
