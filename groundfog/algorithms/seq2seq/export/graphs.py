"""The two graphs of an exported model as modules whose arguments and results are tensors alone.

They are of one network, or of several that say one target together, as search/ensemble.py does it.

Kinds of decoders differ in what they remember and what their state is made of; both are trees of tensors. A graph of
ONNX takes and returns tensors with names, so a tree becomes the list of its leaves, each named by its way: the output
of the first network's first LSTM layer is state.0.layers.0.0.

Letters: B sources   S source positions   V vocabulary   N networks
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batching import Source
from ..data.vocabulary import BEGIN, PAD
from ..network.encoder import Encoder
from ..network.network import Network
from .recurrent import RecurrentEncoder


class EncoderGraph(nn.Module):
    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        encoders = [network.encoder for network in networks]
        self.encoders: Any = nn.ModuleList(
            RecurrentEncoder(one) if isinstance(one, Encoder) else one for one in encoders
        )
        self.decoders: Any = nn.ModuleList(network.decoder for network in networks)
        self.wanted: list[str] | None = None
        """Names of the leaves that are returned; None for all."""

    def begin(self, source: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The decoders' memories and their first states."""
        told = Source(source.t(), lengths, ragged=True)
        members = [(decoder, encoder(told)) for decoder, encoder in zip(self.decoders, self.encoders, strict=True)]
        return {
            "memory": tuple(decoder.remember(encoded, told) for decoder, encoded in members),
            "state": tuple(decoder.first_state(encoded, told) for decoder, encoded in members),
        }

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """source [B, S], lengths [B] -> leaves of memory and state."""
        begun = dict(leaves(self.begin(source, lengths)))
        return tuple(begun[name] for name in self.wanted or begun)


class StepGraph(nn.Module):
    barred: Tensor
    """[V]: what is never said."""

    def __init__(self, networks: Sequence[Network], begun: dict[str, Any]) -> None:
        """`begun`: memories and states, whatever they are of."""
        super().__init__()
        self.decoders: Any = nn.ModuleList(network.decoder for network in networks)
        self.wanted = list(dict(leaves(begun)))
        """Names of the leaves that are told and returned. The others have to be of no effect."""
        self._begun = begun
        barred = torch.zeros(networks[0].decoder.output.out_features, dtype=torch.bool)
        barred[[PAD, BEGIN]] = True
        self.register_buffer("barred", barred)

    @property
    def states(self) -> list[str]:
        return [name for name in self.wanted if name.startswith("state.")]

    def forward(self, token: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        """token [B], leaves of memory and state -> log probabilities [B, V], attention [B, S], the next state's."""
        begun = rebuilt(self._begun, dict(zip(self.wanted, told, strict=True)))
        steps = [
            decoder.step(token, state, memory)
            for decoder, state, memory in zip(self.decoders, begun["state"], begun["memory"], strict=True)
        ]
        scores, states, weights = zip(*steps, strict=True)
        said = torch.log_softmax(torch.stack(scores).masked_fill(self.barred, -torch.inf), 2)  # [N, B, V]
        mean = torch.logsumexp(said, 0) - math.log(len(scores))
        after = dict(leaves({"state": states}))
        looked = torch.stack(weights)[:, :, 0].mean(0)
        return mean, looked, *(after[name] for name in self.states)


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors and their names; None is no leaf."""
    if isinstance(tree, Tensor):
        yield name, tree
    for key, branch in _branches(tree):
        yield from leaves(branch, f"{name}.{key}".lstrip("."))


def rebuilt(tree: Any, told: dict[str, Tensor], name: str = "") -> Any:
    """A tree like this one with the leaves that are told in the places of its own."""
    if isinstance(tree, Tensor):
        return told.get(name, tree)
    branches = {key: rebuilt(branch, told, f"{name}.{key}".lstrip(".")) for key, branch in _branches(tree)}
    if is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**branches)
    return tuple(branches.values()) if isinstance(tree, tuple) else branches if isinstance(tree, dict) else None


def _branches(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, dict):
        yield from tree.items()
    elif isinstance(tree, tuple):
        yield from enumerate(tree)
    elif is_dataclass(tree):
        yield from ((field.name, getattr(tree, field.name)) for field in fields(tree))
