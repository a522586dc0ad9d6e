"""Attention as scaled dot products in several heads (Vaswani et al. 2017, section 3.2).

Each head compares queries and keys in a few dimensions of its own, so that one may look for the same letter while
another looks one place to the left. The transformer is made of it; a convolutional decoder looks at the source through
one head in each of its layers.

Letters: B sentences   Q queries in each   K keys   W width of the queries   N heads   D = W / N, width of one
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KeysValues = tuple[Tensor, Tensor]
"""Each [B, N, K, D]."""


@dataclass(frozen=True)
class Memory:
    """The source as the layers of a decoder see it at every step."""

    layers: tuple[KeysValues, ...]
    mask: Tensor | None
    """[B, 1, S]: 0 where a token stands, -inf where none does."""

    def select(self, sentences: Tensor) -> "Memory":
        layers = tuple((keys[sentences], values[sentences]) for keys, values in self.layers)
        return Memory(layers, None if self.mask is None else self.mask[sentences])


class Heads(nn.Module):
    def __init__(self, width: int, states: int, heads: int) -> None:
        """`states`: the width of what is looked at."""
        super().__init__()
        self.heads = heads
        self.of_query = nn.Linear(width, width, bias=False)
        self.of_key = nn.Linear(states, width, bias=False)
        self.of_value = nn.Linear(states, width, bias=False)
        self.combine = nn.Linear(width, width)

    def keys_values(self, states: Tensor) -> KeysValues:
        """Of what is looked at, [B, K, W]."""
        return self._divide(self.of_key(states)), self._divide(self.of_value(states))

    def forward(self, queries: Tensor, told: KeysValues, mask: Tensor | None, *, causal: bool = False) -> Tensor:
        """What each query found, [B, Q, W]. mask [B, 1, K] is added to the scores; `causal`: nothing later is seen."""
        together = None if mask is None else mask.unsqueeze(1)
        found = functional.scaled_dot_product_attention(
            self._divide(self.of_query(queries)), *told, attn_mask=together, is_causal=causal
        )
        return self._unite(found)

    def look(self, queries: Tensor, told: KeysValues, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same, and where was looked: the mean of the heads' weights, [B, Q, K]."""
        keys, values = told
        scores = self._divide(self.of_query(queries)) @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])
        weights = torch.softmax(scores if mask is None else scores + mask.unsqueeze(1), -1)  # [B, N, Q, K]
        return self._unite(weights @ values), weights.mean(1)

    def _divide(self, states: Tensor) -> Tensor:
        """[B, K, W] -> [B, N, K, D]"""
        return states.view(*states.shape[:2], self.heads, -1).transpose(1, 2)

    def _unite(self, found: Tensor) -> Tensor:
        """[B, N, Q, D] -> [B, Q, W]"""
        return self.combine(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
