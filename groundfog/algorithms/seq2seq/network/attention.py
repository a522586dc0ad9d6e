"""Attention: where in the source the decoder looks while it says its next token.

Four scores between a decoder state q and an encoder state s (Luong et al. 2015, section 3.1; Bahdanau et al. 2015):

    mlp        v . tanh(W q + U s)     Luong's "concat", Bahdanau's own
    dot        q . s                   projected first where the attention has a width of its own
    bilinear   q . W s                 Luong's "general"
    fixed      the last source state alone: no attention

Letters: B sentences   Q queries in each (one in training, the beam's width in search)   S source positions
         H width of a query or state   A width of the attention
"""

import torch
from torch import Tensor, nn

from ..data.batching import Source
from ..kernels.training import Linear


class Attention(nn.Module):
    """The score alone is its own of each kind; softmax over the real positions of the source follows.

    They are made from the widths of the queries, of the source states, and of the attention itself.
    """

    def keys(self, memory: Tensor) -> Tensor:
        """What of the encoder's states [B, S, H] can be computed before the first step: [B, S, A]."""
        raise NotImplementedError

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, Q, H], [B, S, A] -> [B, Q, S]"""
        raise NotImplementedError

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """Weights [B, Q, S] whose rows sum to 1. mask [B, 1, S]: 0 where a token stands, -inf where none does."""
        scores = self.score(queries, keys)
        return torch.softmax(scores if mask is None else scores + mask, -1)


class MLP(Attention):
    def __init__(self, queries: int, states: int, width: int) -> None:
        super().__init__()
        self.of_key = Linear(states, width)
        self.of_query = Linear(queries, width, bias=False)
        self.direction = Linear(width, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        return self.of_key(memory)  # type: ignore[no-any-return]

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        together = torch.tanh(keys.unsqueeze(1) + self.of_query(queries).unsqueeze(2))  # [B, Q, S, A]
        return torch.matmul(together, self.direction.weight[0])


class Dot(Attention):
    def __init__(self, queries: int, states: int, width: int) -> None:
        super().__init__()
        self.of_key: nn.Module = nn.Identity() if width == states else Linear(states, width, bias=False)
        self.of_query: nn.Module = nn.Identity() if width == queries else Linear(queries, width, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        return self.of_key(memory)  # type: ignore[no-any-return]

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(self.of_query(queries), keys.transpose(1, 2))


class Bilinear(Attention):
    def __init__(self, queries: int, states: int, width: int) -> None:
        super().__init__()
        # The matrix goes from states to queries, so the width of the attention has nothing to say here.
        self.of_key = Linear(states, queries, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        return self.of_key(memory)  # type: ignore[no-any-return]

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2))


class Fixed(Attention):
    def __init__(self, queries: int, states: int, width: int) -> None:
        super().__init__()

    def keys(self, memory: Tensor) -> Tensor:
        return memory[..., :1]

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries.new_zeros(queries.shape[0], queries.shape[1], keys.shape[1])

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """One on the last token of each source."""
        if mask is None:
            weights = self.score(queries, keys)
            weights[..., -1] = 1
            return weights
        last = (mask == 0).sum(-1, keepdim=True) - 1  # [B, 1, 1]
        positions = torch.arange(mask.shape[2], device=mask.device)
        return (positions == last).to(queries.dtype).expand(-1, queries.shape[1], -1)


ATTENTIONS: dict[str, type[MLP] | type[Dot] | type[Bilinear] | type[Fixed]] = {
    "mlp": MLP,
    "dot": Dot,
    "bilinear": Bilinear,
    "fixed": Fixed,
}


def mask_of(source: Source, like: Tensor) -> Tensor | None:
    """[B, 1, S]: 0 where a source token stands, -inf in the padding; None where there is no padding."""
    if not source.ragged:
        return None
    positions = torch.arange(source.ids.shape[0], device=like.device)
    padding = positions >= source.lengths.to(like.device).unsqueeze(1)  # [B, S]
    return (
        torch.zeros(padding.shape, dtype=like.dtype, device=like.device).masked_fill(padding, -torch.inf).unsqueeze(1)
    )
