"""The first encoder layer from a table of the vocabulary, against torch's own LSTM."""

from typing import Any

import pytest
import torch

from groundfog.algorithms.seq2seq.data.batching import Source
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.network.encoder import Encoder

EQUAL = [[4, 5, 6, 4, 7], [6, 4, 4, 5, 5], [8, 8, 4, 5, 6]]
RAGGED = [[4, 5, 6, 4, 7], [6], [8, 8, 4]]


def encoder_of(**given: Any) -> Encoder:
    torch.manual_seed(3)
    return Encoder(Hyperparameters.of({"rnn_num_hidden": 8, "num_embed_source": 5, **given}), 9)


def by_torch(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_suits_a_table", lambda source: False)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("sources", [EQUAL, RAGGED], ids=["equal", "ragged"])
def test_the_table_gives_the_states_and_gradients_of_torch(
    sources: list[list[int]], layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(num_layers_encoder=layers).double()
    source = Source.of(sources * 2)
    assert encoder._suits_a_table(source)

    def results() -> list[torch.Tensor]:
        encoder.zero_grad()
        encoded = encoder(source)
        loss = sum(part.square().sum() for part in (encoded.states, *encoded.last))
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        gradients = [weight.grad.clone() for weight in encoder.parameters() if weight.grad is not None]
        return [encoded.states, *encoded.last, *gradients]

    ours = results()
    by_torch(encoder, monkeypatch)
    torch.testing.assert_close(ours, results(), atol=1e-12, rtol=1e-12)


def test_the_kept_table_is_made_anew_after_training() -> None:
    encoder = encoder_of().eval()
    source = Source.of(RAGGED)
    with torch.inference_mode():
        before = encoder(source).states.clone()
        torch.testing.assert_close(encoder(source).states, before)
    encoder.train()
    with torch.no_grad():
        encoder.embedding.weight.mul_(2)
    encoder.eval()
    with torch.inference_mode():
        after = encoder(source).states
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, encoder(source).states)


def test_a_large_vocabulary_dropout_and_gru_need_the_tokens_themselves() -> None:
    source = Source.of(EQUAL)
    assert encoder_of()._suits_a_table(source)
    assert not encoder_of(rnn_cell_type="gru")._suits_a_table(source)
    assert not encoder_of(embed_dropout_source=0.5)._suits_a_table(source)
    assert encoder_of(embed_dropout_source=0.5).eval()._suits_a_table(source)
    assert not encoder_of()._suits_a_table(Source.of([[4, 5]]))
