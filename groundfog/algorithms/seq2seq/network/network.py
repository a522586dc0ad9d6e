"""The network: encoder and decoder of any kind, and how their weights begin.

Encoders and decoders fit together because all of them keep to this:

    encoder(source)                       Encoded: the states of all source positions and the last one
    decoder.remember(encoded, source)     what it needs of the source at every step
    decoder.first_state(encoded, source)
    decoder(inputs, memory, state)        in training: all targets are known, all scores are wanted
    decoder.step(tokens, state, memory)   in search: the scores of the next token, the state after it, where it looked
"""

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..data.batching import Batch, Source
from ..hyperparameters import Hyperparameters
from ..kernels.training import Linear
from .convolution import ConvolutionalDecoder, ConvolutionalEncoder
from .decoder import Decoder
from .encoder import Encoder
from .transformer import TransformerDecoder, TransformerEncoder

ENCODERS: dict[str, type[Encoder] | type[ConvolutionalEncoder] | type[TransformerEncoder]] = {
    "rnn": Encoder,
    "cnn": ConvolutionalEncoder,
    "transformer": TransformerEncoder,
}
DECODERS: dict[str, type[Decoder] | type[ConvolutionalDecoder] | type[TransformerDecoder]] = {
    "rnn": Decoder,
    "cnn": ConvolutionalDecoder,
    "transformer": TransformerDecoder,
}

_TIED: dict[str, dict[str, str]] = {
    "none": {},
    "trg_softmax": {"decoder.output": "decoder.embedding"},
    "src_trg": {"encoder.embedding": "decoder.embedding"},
    "src_trg_softmax": {"decoder.output": "decoder.embedding", "encoder.embedding": "decoder.embedding"},
}
"""Which part has the weight of which other (Press and Wolf 2017); it is stored and learnt once."""


class Network(nn.Module):
    def __init__(self, options: Hyperparameters, source_tokens: int, target_tokens: int) -> None:
        super().__init__()
        self.encoder = ENCODERS[options.encoder_type](options, source_tokens)
        self.decoder = DECODERS[options.decoder_type](options, target_tokens, self.encoder.width)
        self.tied = _TIED[options.weight_tying]
        self.tie()
        self.rounds = options.precision == "bfloat16"
        for part in self.modules():
            if isinstance(part, Linear | Encoder):
                part.rounds = self.rounds
        self.register_state_dict_post_hook(_without_tied)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_with_tied)  # type: ignore[no-untyped-call]

    @property
    def device(self) -> torch.device:
        return self.decoder.output.weight.device

    def forward(self, batch: Batch) -> Tensor:
        """Scores [T, B, V] of each target token after the ones before it."""
        # On a CPU it is the kernels that round, see kernels/training.py.
        device = self.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.rounds and device == "cuda"):
            memory, state = self.begin(batch.source)
            return self.decoder(batch.inputs, memory, state)  # type: ignore[no-any-return]

    def begin(self, source: Source) -> tuple[Any, Any]:
        """What stays of the source, and the decoder's first state."""
        encoded = self.encoder(source)
        return self.decoder.remember(encoded, source), self.decoder.first_state(encoded, source)

    def step(self, tokens: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any, Tensor]:
        """In search: tokens [R] -> scores [R, V] of the next ones, the state, where it looked [B, Q, S]."""
        return self.decoder.step(tokens, state, memory)

    def tie(self) -> None:
        """Where a weight is also another's, both are one and the same."""
        for part, other in self.tied.items():
            self.get_submodule(part).weight = self.get_submodule(other).weight

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moving a network, torch makes a weight anew for each of its owners.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.tie()
        return self


def _without_tied(network: Network, weights: dict[str, Tensor], prefix: str, about: Any) -> None:
    for part in network.tied:
        del weights[f"{prefix}{part}.weight"]


def _with_tied(network: Network, incompatible: Any) -> None:
    network.tie()
    own = {f"{part}.weight" for part in network.tied}
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if name not in own]


def initialise(network: Network, options: Hyperparameters) -> None:
    """Matrices at random, as weight_init_type says (xavier: Glorot and Bengio 2010), biases at zero, norms at one."""
    generator = torch.Generator().manual_seed(options.seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() < 2:
                parameter.zero_()
            else:
                bound = _bound(parameter, options)
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
        for part in network.modules():
            if isinstance(part, nn.LayerNorm):
                part.reset_parameters()


def _bound(weight: Tensor, options: Hyperparameters) -> float:
    """Weights are drawn evenly between -bound and bound."""
    if options.weight_init_type == "uniform":
        return abs(options.weight_init_scale)
    # [out, in], in a convolution [out, in, kernel]: numbers that a result is made of, results that a number enters.
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    factor = {"in": fan_in, "out": fan_out, "avg": (fan_in + fan_out) / 2}[options.xavier_factor_type]
    return math.sqrt(options.weight_init_scale / factor)
