"""Encoder and decoder of gated convolutions (Gehring et al. 2017, "Convolutional Sequence to Sequence Learning").

A layer sees a window of K places, and n layers n * (K - 1) places around each. Nothing waits for the place before it:
in training all places are one product. What stands where is told by an embedding of the position.

    y = glu(convolution(x))      glu(a, b) = a * sigmoid(b): half of the channels tells how much of the others passes
    x = (x + y) / sqrt 2         what is added to has the variance that it had (section 3.5)

The windows of the decoder end at the place that they are of: what comes after it is still to be said. Each of its
layers looks at the source (section 3.3), by dot products that are projected on both sides, as in Sockeye:

    y = (y + attention(y, source states)) / sqrt 2

In search the state of a layer is the last K - 1 places of what entered it: nothing that was said is computed twice.

Letters: B sentences   R hypotheses of them   S, T lengths of source and target   E embedding   C channels   K kernel
         V vocabulary
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.batching import Source
from ..hyperparameters import Hyperparameters
from .attention import mask_of
from .encoder import Encoded, last_of, real
from .heads import Heads, Memory

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "glu": lambda channels: functional.glu(channels, 1),
    "relu": torch.relu,
    "softrelu": functional.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def _add(one: Tensor, other: Tensor) -> Tensor:
    return (one + other) * math.sqrt(0.5)


class Entrance(nn.Module):
    """Embedded tokens and where they stand become channels."""

    def __init__(self, embedded: int, channels: int, longest: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Embedding(longest, embedded)
        self.dropout = nn.Dropout(dropout)
        self.channels = nn.Linear(embedded, channels)

    def forward(self, embedded: Tensor, places: Tensor) -> Tensor:
        """[..., E] -> [..., C]; places beyond the longest sequence that was to be expected are like its last one."""
        positions = self.positions(places.clamp(max=self.positions.num_embeddings - 1))
        return self.channels(self.dropout(embedded + positions))  # type: ignore[no-any-return]


class Layer(nn.Module):
    def __init__(self, options: Hyperparameters, kernel: int) -> None:
        super().__init__()
        channels = options.cnn_num_hidden
        doubled = 2 if options.cnn_activation_type == "glu" else 1
        self.convolution = nn.Conv1d(channels, doubled * channels, kernel)
        self.activation = ACTIVATIONS[options.cnn_activation_type]
        self.dropout = nn.Dropout(options.cnn_hidden_dropout)

    def forward(self, states: Tensor, before: int, after: int) -> Tensor:
        """[B, S, C] -> [B, S, C]: each place sees so many before it and after it, zeros beyond the ends."""
        padded = functional.pad(self.dropout(states).transpose(1, 2), (before, after))
        return self.activation(self.convolution(padded)).transpose(1, 2)

    def step(self, window: Tensor) -> Tensor:
        """A single place: its window [R, C, K] -> [R, C]."""
        convolution = self.convolution
        channels = functional.linear(window.flatten(1), convolution.weight.flatten(1), convolution.bias)
        return self.activation(channels)


class ConvolutionalEncoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int) -> None:
        super().__init__()
        embedded, self.width = options.num_embed_source, options.cnn_num_hidden
        self.embedding = nn.Embedding(tokens, embedded)
        self.entrance = Entrance(embedded, self.width, options.max_seq_len_source, options.embed_dropout_source)
        # The place itself stands in the middle of its window, to the left of it where the kernel is even.
        self.after = options.cnn_kernel_width_encoder // 2
        self.before = options.cnn_kernel_width_encoder - 1 - self.after
        self.layers = nn.ModuleList(
            [Layer(options, options.cnn_kernel_width_encoder) for _ in range(options.num_layers_encoder)]
        )

    def forward(self, source: Source) -> Encoded:
        places = torch.arange(source.ids.shape[0], device=source.ids.device)
        states = self.entrance(self.embedding(source.ids.t()), places)  # [B, S, C]
        stands = real(source).t().unsqueeze(2) if source.ragged else None  # [B, S, 1]
        states = states if stands is None else states * stands
        for layer in self.layers:
            states = _add(states, layer(states, self.before, self.after))
            # Padding has to be zeros, as they are beyond the ends, for the windows that reach into it.
            states = states if stands is None else states * stands
        states = states.transpose(0, 1)
        return Encoded(states, (last_of(states, source),))


@dataclass(frozen=True)
class ConvolutionalState:
    past: tuple[Tensor, ...]
    """What entered each layer before, [R, C, K - 1]."""
    place: Tensor
    """[R]: tokens said so far."""

    def select(self, rows: Tensor) -> "ConvolutionalState":
        return ConvolutionalState(tuple(each[rows] for each in self.past), self.place[rows])


class ConvolutionalDecoder(nn.Module):
    def __init__(self, options: Hyperparameters, tokens: int, states: int) -> None:
        super().__init__()
        embedded, channels, layers = options.num_embed_target, options.cnn_num_hidden, options.num_layers_decoder
        self.before = options.cnn_kernel_width_decoder - 1
        self.embedding = nn.Embedding(tokens, embedded)
        # One place more than tokens: <s> stands in front of them.
        self.entrance = Entrance(embedded, channels, options.max_seq_len_target + 1, options.embed_dropout_target)
        self.layers = nn.ModuleList([Layer(options, self.before + 1) for _ in range(layers)])
        self.attention = nn.ModuleList([Heads(channels, states, 1) for _ in range(layers)])
        self.output = nn.Linear(channels, tokens)

    def remember(self, encoded: Encoded, source: Source) -> Memory:
        states = encoded.states.transpose(0, 1)
        return Memory(tuple(attention.keys_values(states) for attention in self.attention), mask_of(source, states))  # type: ignore[operator]

    def first_state(self, encoded: Encoded, source: Source) -> ConvolutionalState:
        sentences, channels = source.lengths.shape[0], self.output.in_features
        nothing = encoded.states.new_zeros(sentences, channels, self.before)
        place = torch.zeros(sentences, dtype=torch.long, device=nothing.device)
        return ConvolutionalState((nothing,) * len(self.layers), place)

    def forward(self, inputs: Tensor, memory: Memory, state: ConvolutionalState) -> Tensor:
        """Scores [T, B, V] of the next tokens, told the right ones before: inputs [T, B]."""
        places = torch.arange(len(inputs), device=inputs.device)
        states = self.entrance(self.embedding(inputs.t()), places)  # [B, T, C]
        for layer, attention, told in zip(self.layers, self.attention, memory.layers, strict=True):
            seen = layer(states, self.before, 0)
            states = _add(states, _add(seen, attention(seen, told, memory.mask)))
        return self.output(states.transpose(0, 1))  # type: ignore[no-any-return]

    def step(
        self, tokens: Tensor, state: ConvolutionalState, memory: Memory
    ) -> tuple[Tensor, ConvolutionalState, Tensor]:
        """tokens [R] -> scores [R, V] of the next ones, the state, where its layers looked in the mean [B, Q, S]."""
        states = self.entrance(self.embedding(tokens), state.place)  # [R, C]
        pasts, looked = [], []
        for layer, attention, told, past in zip(self.layers, self.attention, memory.layers, state.past, strict=True):
            now = states.unsqueeze(2)
            window = torch.cat([past, now], 2) if self.before else now
            pasts.append(window[:, :, 1:])
            seen = layer.step(window)  # type: ignore[operator]
            queries = seen.unflatten(0, (told[0].shape[0], -1))  # [B, Q, C]
            context, weights = attention.look(queries, told, memory.mask)  # type: ignore[operator]
            states = _add(states, _add(seen, context.flatten(0, 1)))
            looked.append(weights)
        state = ConvolutionalState(tuple(pasts), state.place + 1)
        return self.output(states), state, torch.stack(looked).mean(0)
