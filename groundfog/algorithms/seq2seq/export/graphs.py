"""The two graphs of an exported model as modules whose arguments and results are tensors alone.

Kinds of decoders differ in what they remember and what their state is made of; both are trees of tensors. A graph of
ONNX takes and returns tensors with names, so a tree becomes the list of its leaves, each named by its way: the output
of an LSTM's first layer is state.layers.0.0.

Letters: B sources   S source positions   V vocabulary
"""

from collections.abc import Iterator
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
    def __init__(self, network: Network) -> None:
        super().__init__()
        encoder = network.encoder
        self.encoder = RecurrentEncoder(encoder) if isinstance(encoder, Encoder) else encoder
        self.decoder = network.decoder
        self.wanted: list[str] | None = None
        """Names of the leaves that are returned; None for all."""

    def begin(self, source: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The decoder's memory and its first state."""
        told = Source(source.t(), lengths, ragged=True)
        encoded = self.encoder(told)
        return {"memory": self.decoder.remember(encoded, told), "state": self.decoder.first_state(encoded, told)}

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """source [B, S], lengths [B] -> leaves of memory and state."""
        begun = dict(leaves(self.begin(source, lengths)))
        return tuple(begun[name] for name in self.wanted or begun)


class StepGraph(nn.Module):
    barred: Tensor
    """[V]: what is never said."""

    def __init__(self, network: Network, begun: dict[str, Any]) -> None:
        """`begun`: a memory and a state, whatever they are of."""
        super().__init__()
        self.decoder = network.decoder
        self.wanted = list(dict(leaves(begun)))
        """Names of the leaves that are told and returned. The others have to be of no effect."""
        self._begun = begun
        barred = torch.zeros(network.decoder.output.out_features, dtype=torch.bool)
        barred[[PAD, BEGIN]] = True
        self.register_buffer("barred", barred)

    @property
    def states(self) -> list[str]:
        return [name for name in self.wanted if name.startswith("state.")]

    def forward(self, token: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        """token [B], leaves of memory and state -> log probabilities [B, V], attention [B, S], the next state's."""
        begun = rebuilt(self._begun, dict(zip(self.wanted, told, strict=True)))
        scores, state, weights = self.decoder.step(token, begun["state"], begun["memory"])
        said = torch.log_softmax(scores.masked_fill(self.barred, -torch.inf), 1)
        after = dict(leaves({"state": state}))
        return said, weights[:, 0], *(after[name] for name in self.states)


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
