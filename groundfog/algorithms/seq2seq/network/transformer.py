"""Encoder and decoder of the transformer (Vaswani et al. 2017, "Attention is All you Need").

In each layer every place looks at all places of its own sequence (the target's only at what was said before), in the
decoder then at the source, and thinks about what it found:

    x = x + attention(norm(x))
    x = x + attention(norm(x), source states)
    x = x + W relu(U norm(x))

The norm stands before each part and once more after the last layer, not after each sum as in the paper: so it learns
without a warm-up as well (Xiong et al. 2020). Sines say where a token stands; beyond the places seen in training they
go on as they did. Where the source ends nothing would say, so </s> is added to its last token: in its place, since the
attention that is shown has a column for each token and no more.

In search the keys and values of what was said are kept: a step computes those of its own token alone.

Letters: B sentences   R hypotheses of them   S, T lengths of source and target   E embedding   W transformer_model_size
         N heads   D = W / N   V vocabulary   t tokens said so far
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.batching import Source
from ..data.vocabulary import END
from ..hyperparameters import Hyperparameters
from .attention import mask_of
from .encoder import Encoded, last_of, real
from .heads import Heads, KeysValues, Memory


def sines(places: Tensor, width: int) -> Tensor:
    """[n] -> [n, W]: sines and cosines whose waves are from 2 pi to 10,000 * 2 pi places long (section 3.5)."""
    speeds = torch.exp(torch.arange(0, width, 2, device=places.device) * (-math.log(10_000) / width))
    angles = places.unsqueeze(1) * speeds
    return torch.cat([angles.sin(), angles.cos()], 1)


class Entrance(nn.Module):
    """Embedded tokens and where they stand become vectors of the model's size."""

    def __init__(self, options: Hyperparameters, embedded: int, dropout: float) -> None:
        super().__init__()
        width = options.transformer_model_size
        self.dropout_of_tokens = nn.Dropout(dropout)
        self.widen: nn.Module = nn.Identity() if embedded == width else nn.Linear(embedded, width, bias=False)
        self.dropout = nn.Dropout(options.transformer_dropout)

    def forward(self, embedded: Tensor, places: Tensor) -> Tensor:
        """[..., E] -> [..., W]"""
        tokens = self.widen(self.dropout_of_tokens(embedded) * math.sqrt(embedded.shape[-1]))
        return self.dropout(tokens + sines(places, tokens.shape[-1]))  # type: ignore[no-any-return]


class Thought(nn.Module):
    """The part of a layer where each place is by itself."""

    def __init__(self, options: Hyperparameters) -> None:
        super().__init__()
        width, hidden = options.transformer_model_size, options.transformer_feed_forward_num_hidden
        self.norm = nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(options.transformer_dropout)

    def forward(self, states: Tensor) -> Tensor:
        return states + self.dropout(self.leave(self.dropout(torch.relu(self.enter(self.norm(states))))))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    def __init__(self, options: Hyperparameters) -> None:
        super().__init__()
        width = options.transformer_model_size
        self.norm = nn.LayerNorm(width)
        self.among = Heads(width, width, options.transformer_attention_heads)
        self.dropout = nn.Dropout(options.transformer_dropout)
        self.thought = Thought(options)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """[B, S, W] -> [B, S, W]"""
        normed = self.norm(states)
        found = self.among(normed, self.among.keys_values(normed), mask)
        return self.thought(states + self.dropout(found))  # type: ignore[no-any-return]


class TransformerEncoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int) -> None:
        super().__init__()
        self.width = options.transformer_model_size
        self.embedding = nn.Embedding(tokens, options.num_embed_source)
        self.entrance = Entrance(options, options.num_embed_source, options.embed_dropout_source)
        self.layers = nn.ModuleList([EncoderLayer(options) for _ in range(options.num_layers_encoder)])
        self.norm = nn.LayerNorm(self.width)

    def forward(self, source: Source) -> Encoded:
        places = torch.arange(source.ids.shape[0], device=source.ids.device)
        lasts = places == source.lengths.to(places.device).unsqueeze(1) - 1  # [B, S]
        embedded = self.embedding(source.ids.t()) + lasts.unsqueeze(2) * self.embedding.weight[END]
        states = self.entrance(embedded, places)  # [B, S, W]
        mask = mask_of(source, states)
        for layer in self.layers:
            states = layer(states, mask)
        states = self.norm(states).transpose(0, 1)
        states = states * real(source).unsqueeze(2) if source.ragged else states
        return Encoded(states, (last_of(states, source),))


class DecoderLayer(nn.Module):
    def __init__(self, options: Hyperparameters, states: int) -> None:
        super().__init__()
        width, heads = options.transformer_model_size, options.transformer_attention_heads
        self.norm_among, self.norm_source = nn.LayerNorm(width), nn.LayerNorm(width)
        self.among, self.source = Heads(width, width, heads), Heads(width, states, heads)
        self.dropout = nn.Dropout(options.transformer_dropout)
        self.thought = Thought(options)

    def forward(self, states: Tensor, told: KeysValues, mask: Tensor | None) -> Tensor:
        """[B, T, W] -> [B, T, W]; `told` and `mask` are the source's."""
        normed = self.norm_among(states)
        states = states + self.dropout(self.among(normed, self.among.keys_values(normed), None, causal=True))
        states = states + self.dropout(self.source(self.norm_source(states), told, mask))
        return self.thought(states)  # type: ignore[no-any-return]

    def step(
        self, states: Tensor, said: KeysValues, told: KeysValues, mask: Tensor | None
    ) -> tuple[Tensor, KeysValues, Tensor]:
        """[R, 1, W] -> [R, 1, W], what was said with this token, where it looked in the source [B, Q, S]."""
        normed = self.norm_among(states)
        keys, values = self.among.keys_values(normed)
        said = torch.cat([said[0], keys], 2), torch.cat([said[1], values], 2)
        states = states + self.among(normed, said, None)
        queries = self.norm_source(states).view(told[0].shape[0], -1, states.shape[2])
        found, weights = self.source.look(queries, told, mask)
        return self.thought(states + found.view_as(states)), said, weights


@dataclass(frozen=True)
class TransformerState:
    said: tuple[KeysValues, ...]
    """Of each layer, [R, N, t, D]."""
    place: Tensor
    """[R]: t."""

    def select(self, rows: Tensor) -> "TransformerState":
        return TransformerState(tuple((keys[rows], values[rows]) for keys, values in self.said), self.place[rows])


class TransformerDecoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int, states: int) -> None:
        super().__init__()
        width = options.transformer_model_size
        self.embedding = nn.Embedding(tokens, options.num_embed_target)
        self.entrance = Entrance(options, options.num_embed_target, options.embed_dropout_target)
        self.layers = nn.ModuleList([DecoderLayer(options, states) for _ in range(options.num_layers_decoder)])
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, tokens)
        self.heads = options.transformer_attention_heads

    def remember(self, encoded: Encoded, source: Source) -> Memory:
        states = encoded.states.transpose(0, 1)
        return Memory(tuple(layer.source.keys_values(states) for layer in self.layers), mask_of(source, states))  # type: ignore[operator, union-attr]

    def first_state(self, encoded: Encoded, source: Source) -> TransformerState:
        sentences, width = source.lengths.shape[0], self.output.in_features
        nothing = encoded.states.new_zeros(sentences, self.heads, 0, width // self.heads)
        place = torch.zeros(sentences, dtype=torch.long, device=nothing.device)
        return TransformerState(((nothing, nothing),) * len(self.layers), place)

    def forward(self, inputs: Tensor, memory: Memory, state: TransformerState) -> Tensor:
        """Scores [T, B, V] of the next tokens, told the right ones before: inputs [T, B]."""
        places = torch.arange(len(inputs), device=inputs.device)
        states = self.entrance(self.embedding(inputs.t()), places)  # [B, T, W]
        for layer, told in zip(self.layers, memory.layers, strict=True):
            states = layer(states, told, memory.mask)
        return self.output(self.norm(states).transpose(0, 1))  # type: ignore[no-any-return]

    def step(self, tokens: Tensor, state: TransformerState, memory: Memory) -> tuple[Tensor, TransformerState, Tensor]:
        """tokens [R] -> scores [R, V] of the next ones, the state, where its layers looked in the mean [B, Q, S]."""
        states = self.entrance(self.embedding(tokens), state.place).unsqueeze(1)  # [R, 1, W]
        saids, looked = [], []
        for layer, said, told in zip(self.layers, state.said, memory.layers, strict=True):
            states, now, weights = layer.step(states, said, told, memory.mask)  # type: ignore[operator]
            saids.append(now)
            looked.append(weights)
        scores = self.output(self.norm(states[:, 0]))
        return scores, TransformerState(tuple(saids), state.place + 1), torch.stack(looked).mean(0)
