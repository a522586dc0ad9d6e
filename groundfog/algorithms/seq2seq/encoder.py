"""The encoder: a bidirectional recurrent layer over the source, then unidirectional ones on top of it.

Letters: B sentences   S source positions   E embedding   H hidden (half of it from each direction in the first layer)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .batching import Source
from .hyperparameters import Hyperparameters

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU}


@dataclass(frozen=True)
class Encoded:
    states: Tensor
    """[S, B, H]: the last layer's output at each source position, zeros in the padding."""
    last: tuple[Tensor, ...]
    """Each [B, H]: what the last layer ended in; LSTM: output and cell, GRU: output."""


class Encoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int) -> None:
        super().__init__()
        layer, hidden = LAYERS[options.rnn_cell_type], options.rnn_num_hidden
        self.embedding = nn.Embedding(tokens, options.num_embed_source)
        self.dropout = nn.Dropout(options.embed_dropout_source)
        first = layer(options.num_embed_source, hidden // 2, bidirectional=True)
        above = [layer(hidden, hidden) for _ in range(options.num_layers_encoder - 1)]
        self.layers = nn.ModuleList([first, *above])
        self.first_residual = options.rnn_first_residual_layer if options.rnn_residual_connections else None

    def forward(self, source: Source) -> Encoded:
        states = self.dropout(self.embedding(source.ids))  # [S, B, E]
        last: tuple[Tensor, ...] = ()
        for number, layer in enumerate(self.layers, start=1):
            before = states
            states, last = _run(layer, states, source)
            if self.first_residual is not None and number >= self.first_residual and before.shape == states.shape:
                states = states + before
        return Encoded(states, last)


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
