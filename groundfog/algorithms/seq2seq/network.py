"""The network: encoder and decoder, and how their weights begin."""

import math

import torch
from torch import Tensor, nn

from .batching import Batch, Source
from .decoder import Decoder, DecoderState, Memory
from .encoder import Encoder
from .hyperparameters import Hyperparameters


class Network(nn.Module):
    def __init__(self, options: Hyperparameters, source_tokens: int, target_tokens: int) -> None:
        super().__init__()
        self.encoder = Encoder(options, source_tokens)
        self.decoder = Decoder(options, target_tokens)

    @property
    def device(self) -> torch.device:
        return self.decoder.output.weight.device

    def forward(self, batch: Batch) -> Tensor:
        """Scores [T, B, V] of each target token after the ones before it."""
        memory, state = self.begin(batch.source)
        return self.decoder(batch.inputs, memory, state)  # type: ignore[no-any-return]

    def begin(self, source: Source) -> tuple[Memory, DecoderState]:
        encoded = self.encoder(source)
        return self.decoder.remember(encoded, source), self.decoder.first_state(encoded, source)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState, Tensor]:
        """In search: tokens [R] -> scores [R, V] of the next ones, the state, where it looked [B, Q, S]."""
        return self.decoder.step(tokens, state, memory)


def initialise(network: Network, options: Hyperparameters) -> None:
    """Matrices at random, as weight_init_type says (xavier: Glorot and Bengio 2010), biases at zero."""
    generator = torch.Generator().manual_seed(options.seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() < 2:
                parameter.zero_()
            else:
                bound = _bound(parameter, options)
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))


def _bound(weight: Tensor, options: Hyperparameters) -> float:
    """Weights are drawn evenly between -bound and bound."""
    if options.weight_init_type == "uniform":
        return abs(options.weight_init_scale)
    fan_out, fan_in = weight.shape
    factor = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}[options.xavier_factor_type]
    return math.sqrt(options.weight_init_scale / factor)
