"""The encoder: bidirectional recurrent layers over the source (one, if nothing is said), unidirectional ones on top.

Letters: B sentences   S source positions   E embedding   H hidden (half of it from each direction where there are two)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..data.batching import Source
from ..hyperparameters import Hyperparameters
from ..kernels.training import Dropout, LinearByKernels, LSTMByKernels, can_learn_by_kernels
from .cells import each_place, lstm_step, rows_of

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU}


@dataclass(frozen=True)
class Encoded:
    states: Tensor
    """[S, B, H]: the last layer's output at each source position, zeros in the padding."""
    last: tuple[Tensor, ...]
    """Each [B, H]: what the last layer ended in; LSTM: output and cell, all others: output."""


def real(source: Source) -> Tensor:
    """[S, B]: where a token stands, not padding."""
    positions = torch.arange(source.ids.shape[0], device=source.ids.device).unsqueeze(1)
    return positions < source.lengths.to(source.ids.device)


def last_of(states: Tensor, source: Source) -> Tensor:
    """Of states [S, B, H] those at the last token of each sentence, [B, H]."""
    sentences = torch.arange(states.shape[1], device=states.device)
    return states[source.lengths.to(states.device) - 1, sentences]


class Encoder(nn.Module):
    rounds = False

    def __init__(self, options: Hyperparameters, tokens: int) -> None:
        super().__init__()
        layer, hidden = LAYERS[options.rnn_cell_type], options.rnn_num_hidden
        self.width = hidden
        self.embedding = nn.Embedding(tokens, options.num_embed_source)
        self.dropout = Dropout(options.embed_dropout_source)
        self.hidden_dropout = Dropout(options.rnn_encoder_hidden_dropout)
        inputs = [options.num_embed_source] + [hidden] * (options.num_layers_encoder - 1)
        both = options.rnn_bidirectional_layers
        self.layers = nn.ModuleList(
            [layer(width, hidden // 2, bidirectional=True) for width in inputs[:both]]
            + [layer(width, hidden) for width in inputs[both:]]
        )
        self._prepared: tuple[Tensor, Tensor] | None = None
        self.first_residual = options.rnn_first_residual_layer if options.rnn_residual_connections else None

    def forward(self, source: Source) -> Encoded:
        states = self.dropout(self.embedding(source.ids))  # [S, B, E]
        if source.ragged:
            states = states * real(source).unsqueeze(2)
        last: tuple[Tensor, ...] = ()
        for number, layer in enumerate(self.layers, start=1):
            before = states
            if isinstance(layer, nn.LSTM) and can_learn_by_kernels(states):
                undropped = number == 1 and not self._dropping
                rows = rows_of(self.embedding, self.dropout, source.ids) if undropped else each_place(states)
                states, last = _run_by_kernels(layer, *rows, source, self.rounds)
            elif number == 1 and self._suits_a_table(source):
                states, last = self._both_ways(source)
            else:
                states, last = _run(layer, states, source)
            if self.first_residual is not None and number >= self.first_residual and before.shape == states.shape:
                states = states + before
            states = self.hidden_dropout(states)
        return Encoded(states, last)

    def train(self, mode: bool = True) -> "Encoder":
        self._prepared = None
        return super().train(mode)

    @property
    def _dropping(self) -> bool:
        return self.training and self.dropout.p > 0

    def _suits_a_table(self, source: Source) -> bool:
        """Whether it is less work to project each token of the vocabulary once than each place of the source.

        It is in search, where the table is kept, and in training where a batch has more places than there are tokens.
        """
        most = source.ids.numel() if torch.is_grad_enabled() else 4096
        usual = isinstance(self.layers[0], nn.LSTM) and source.ids.device.type == "cpu"
        return usual and not self._dropping and self.embedding.num_embeddings < most

    def _both_ways(self, source: Source) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What `_run` returns for the first layer, both directions side by side: one product and one cell a step."""
        table, of_step = self._prepare()
        lengths, width = source.lengths, of_step.shape[1]
        positions = torch.arange(len(source.ids)).unsqueeze(1)
        turned = (lengths - 1 - positions).clamp(min=0)  # [S, B]: where a place is found when read from the end
        ids = torch.stack([source.ids, source.ids.gather(0, turned) + self.embedding.num_embeddings], 1)
        cell = table.new_zeros(2 * len(lengths), width)
        hidden, outputs, cells = cell, [], []
        for gates in functional.embedding(ids, table).unbind(0):  # [2, B, 4 * width]
            gates = torch.baddbmm(gates, hidden.view(2, -1, width), of_step)
            hidden, cell = lstm_step(gates.flatten(0, 1), cell)
            outputs.append(hidden.view(2, -1, width))
            cells.append(cell.view(2, -1, width))
        ends = lengths - 1, slice(None), torch.arange(len(lengths))
        last = tuple(torch.stack(part)[ends].flatten(1) for part in (outputs, cells))
        onward, back = torch.stack(outputs).unbind(1)
        states = torch.cat([onward, back.gather(0, turned.unsqueeze(2).expand_as(back))], 2)
        return states * real(source).unsqueeze(2) if source.ragged else states, last

    def _prepare(self) -> tuple[Tensor, Tensor]:
        """Each token's part of the gates [2 * tokens, 4 * width], onward, then back; of_step [2, width, 4 * width]."""
        if self._prepared is not None and not torch.is_grad_enabled():
            return self._prepared
        tables, steps = [], []
        for of_input, of_hidden, bias, other_bias in self.layers[0].all_weights:  # type: ignore[union-attr]
            gates = functional.linear(self.embedding.weight, of_input, bias + other_bias)
            tables.append(_in_our_order(gates, 1))
            steps.append(_in_our_order(of_hidden, 0).t())
        prepared = torch.cat(tables), torch.stack(steps)
        if not torch.is_grad_enabled():
            self._prepared = prepared
        return prepared


def _in_our_order(gates: Tensor, dimension: int) -> Tensor:
    """Torch has them as input, forget, candidate, output; `lstm_gates` has the candidate last."""
    enter, forget, candidate, leave = gates.chunk(4, dimension)
    return torch.cat([enter, forget, leave, candidate], dimension)


def _run(layer: nn.Module, states: Tensor, source: Source) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A layer over the real positions only. Sources of one length need no packing, which is nearly twice as fast."""
    if source.ragged:
        packed, ends = layer(pack_padded_sequence(states, source.lengths, enforce_sorted=False))
        states, _ = pad_packed_sequence(packed, total_length=source.ids.shape[0])
    else:
        states, ends = layer(states)
    ends = ends if isinstance(ends, tuple) else (ends,)
    # [directions, B, width] -> [B, directions * width]
    return states, tuple(torch.cat(list(end.unbind(0)), 1) for end in ends)


def _run_by_kernels(
    layer: nn.LSTM, rows: Tensor, numbers: Tensor, source: Source, rounds: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What `_run` returns, of the inputs rows[numbers]; rows [R, I], numbers [S, B]."""
    lengths, positions = source.lengths, torch.arange(len(numbers)).unsqueeze(1)
    turned = (lengths - 1 - positions).clamp(min=0)  # [S, B]: where a place is found when read from the end
    directions, ends = [], []
    for number, (of_input, of_hidden, bias, other_bias) in enumerate(layer.all_weights):
        of_rows, of_step, added = (_in_our_order(each, 0) for each in (of_input, of_hidden, bias + other_bias))
        projected = LinearByKernels.apply(rows, of_rows, added, rounds)  # type: ignore[no-untyped-call]
        order = numbers.gather(0, turned) if number else numbers
        zeros = rows.new_zeros(numbers.shape[1], of_step.shape[1])
        outputs, cells = LSTMByKernels.apply(projected, order, of_step, zeros, zeros, rounds)  # type: ignore[no-untyped-call]
        ends.append([last_of(each, source) if source.ragged else each[-1] for each in (outputs, cells)])
        directions.append(outputs.gather(0, turned.unsqueeze(2).expand_as(outputs)) if number else outputs)
    states = torch.cat(directions, 2)
    states = states * real(source).unsqueeze(2) if source.ragged else states
    return states, tuple(torch.cat(parts, 1) for parts in zip(*ends, strict=True))
