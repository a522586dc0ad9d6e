"""The recurrent encoder as ONNX says it: LSTM and GRU are operators there, and take the sources' lengths.

PyTorch packs sources of several lengths before it runs a layer over them, which has no counterpart in ONNX.

Letters: S source positions   B sources   I width of a layer's input   H of its output in each direction
         D directions   G gates: 4 (LSTM), 3 (GRU)
"""

import torch
from torch import Tensor, nn

from ..data.batching import Source
from ..network.encoder import Encoded, Encoder, real

_FLOAT = 1
"""As ONNX numbers its types."""
_OPERATORS_SINCE = 14
"""The version of ONNX whose LSTM and GRU these are."""


class RecurrentEncoder(nn.Module):
    """What `Encoder` computes without dropout."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.embedding = encoder.embedding
        self.layers = nn.ModuleList([_layer(layer) for layer in encoder.layers])
        self.first_residual = encoder.first_residual

    def forward(self, source: Source) -> Encoded:
        states = self.embedding(source.ids) * real(source).unsqueeze(2)  # [S, B, I]
        last: tuple[Tensor, ...] = ()
        for number, layer in enumerate(self.layers, start=1):
            before = states
            states, last = layer(states, source.lengths.to(torch.int32))
            if self.first_residual is not None and number >= self.first_residual and before.shape == states.shape:
                states = states + before
        return Encoded(states, last)


class _Layer(nn.Module):
    """Weights in ONNX's order: [D, G * H, I] of the input, [D, G * H, H] of the step before, [D, 2 * G * H] added."""

    of_input: Tensor
    of_step: Tensor
    added: Tensor

    def __init__(self, layer: nn.LSTM | nn.GRU, order: list[int]) -> None:
        super().__init__()
        self.hidden = layer.hidden_size
        self.directions = 2 if layer.bidirectional else 1

        def in_order(gates: Tensor) -> Tensor:
            parts = gates.detach().chunk(len(order), 0)
            return torch.cat([parts[number] for number in order])

        weights = [[in_order(each) for each in direction] for direction in layer.all_weights]
        self.register_buffer("of_input", torch.stack([each[0] for each in weights]))
        self.register_buffer("of_step", torch.stack([each[1] for each in weights]))
        self.register_buffer("added", torch.stack([torch.cat(each[2:]) for each in weights]))

    def _run(self, operator: str, states: Tensor, lengths: Tensor, results: int, **more: int) -> list[Tensor]:
        positions, sentences = states.shape[:2]
        last = (self.directions, sentences, self.hidden)
        found = torch.onnx.ops.symbolic_multi_out(
            operator,
            [states, self.of_input, self.of_step, self.added, lengths],
            {"hidden_size": self.hidden, "direction": "bidirectional" if self.directions == 2 else "forward", **more},
            dtypes=[_FLOAT] * results,
            shapes=[(positions, self.directions, sentences, self.hidden), *[last] * (results - 1)],
            version=_OPERATORS_SINCE,
        )
        return list(found)

    def _joined(self, outputs: Tensor, *ends: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Directions side by side: [S, D, B, H] -> [S, B, D * H], [D, B, H] -> [B, D * H]."""
        return outputs.transpose(1, 2).flatten(2), tuple(end.transpose(0, 1).flatten(1) for end in ends)


class _LSTM(_Layer):
    def __init__(self, layer: nn.LSTM) -> None:
        # Torch: input, forget, candidate, output. ONNX: input, output, forget, candidate.
        super().__init__(layer, [0, 3, 1, 2])

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self._joined(*self._run("LSTM", states, lengths, 3))


class _GRU(_Layer):
    def __init__(self, layer: nn.GRU) -> None:
        # Torch: reset, update, candidate. ONNX: update, reset, candidate.
        super().__init__(layer, [1, 0, 2])

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self._joined(*self._run("GRU", states, lengths, 2, linear_before_reset=1))


def _layer(layer: nn.Module) -> _Layer:
    if isinstance(layer, nn.LSTM):
        return _LSTM(layer)
    assert isinstance(layer, nn.GRU)
    return _GRU(layer)
