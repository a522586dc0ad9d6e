"""Ensembles: several models that say one target."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundfog.algorithms.seq2seq import Ensemble, InputFault, Seq2Seq, load
from groundfog.algorithms.seq2seq.__main__ import HostedPredictor
from groundfog.algorithms.seq2seq.data.batching import Source
from groundfog.algorithms.seq2seq.data.vocabulary import BEGIN, END, PAD

SENTENCES = ["a b c", "d", "a a b b c d", "", "b a"]
Make = Callable[..., Seq2Seq]


def test_of_one_or_of_one_several_times_it_says_what_the_model_says(untrained: Make) -> None:
    for seed in range(1, 6):
        model = untrained(seed)
        for times in (1, 3):
            alone, together = (
                each.translate(SENTENCES, nbest=4, attention=True) for each in (model, Ensemble([model] * times))
            )
            for one, other in zip(alone, together, strict=True):
                assert [each.target for each in one.alternatives] == [each.target for each in other.alternatives]
                assert one.score == pytest.approx(other.score, abs=1e-5)
                assert one.attention is not None
                assert other.attention is not None
                assert other.attention == pytest.approx(one.attention, abs=1e-5)


@torch.no_grad()
def test_the_probability_of_each_token_is_the_mean_of_the_members(untrained: Make) -> None:
    models = [untrained(1), untrained(2, rnn_cell_type="gru", rnn_num_hidden=12), untrained(3, num_layers_decoder=2)]
    (found,) = Ensemble(models).translate(["a b c"], attention=True)
    source, target = models[0].vocabularies
    begun = [model.network.begin(Source.of([source.encode("abc")])) for model in models]
    total, token = 0.0, BEGIN
    for row, following in enumerate([*target.encode(found.tokens), END]):
        probabilities, looked = [], []
        for number, (model, (memory, state)) in enumerate(zip(models, begun, strict=True)):
            scores, state, weights = model.network.step(torch.tensor([token]), state, memory)
            scores[:, [PAD, BEGIN]] = -torch.inf
            probabilities.append(float(torch.softmax(scores, 1)[0, following]))
            looked.append(weights[0, 0].numpy())
            begun[number] = (memory, state)
        total += math.log(sum(probabilities) / len(models))
        if following != END:
            assert found.attention is not None
            assert found.attention[row] == pytest.approx(sum(looked) / len(models), abs=1e-5)
        token = following
    assert found.log_probability == pytest.approx(total, abs=1e-5)


def test_the_order_of_its_members_and_of_the_sentences_changes_nothing(untrained: Make) -> None:
    models = [untrained(seed) for seed in (1, 2, 3)]
    forwards = Ensemble(models).translate(SENTENCES)
    backwards = Ensemble(models[::-1]).translate(SENTENCES[::-1])[::-1]
    assert [each.target for each in forwards] == [each.target for each in backwards]


def test_saved_it_loads_and_serves(untrained: Make, tmp_path: Path) -> None:
    ensemble = Ensemble([untrained(1), untrained(2, rnn_attention_type="dot")])
    ensemble.save(tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded, Ensemble)
    targets = [each.target for each in ensemble.translate(SENTENCES)]
    assert [each.target for each in loaded.translate(SENTENCES)] == targets
    predictor = HostedPredictor(tmp_path)
    body = json.dumps({"instances": [{"data": sentence} for sentence in SENTENCES]}).encode()
    requests, reply = predictor.decode(body, "application/json", "")
    answer, _ = predictor.encode(predictor.predict(requests), reply)
    assert [each["target"] for each in json.loads(answer)["predictions"]] == targets


def test_a_single_model_loads_as_what_it_is(untrained: Make, tmp_path: Path) -> None:
    untrained().save(tmp_path)
    assert isinstance(load(tmp_path), Seq2Seq)


def test_it_takes_the_shortest_of_the_longest(untrained: Make) -> None:
    ensemble = Ensemble([untrained(1, max_seq_len_target=9), untrained(2, max_seq_len_source=3)])
    assert ensemble.hyperparameters.max_seq_len_target == 4
    assert ensemble.hyperparameters.max_seq_len_source == 3


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"models": 1}', '{"models": [1]}', '{"models": []}', '{"models": ["../x"]}']
)
def test_a_folder_that_holds_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text(text)
    with pytest.raises(InputFault, match=r"ensemble(\.json| needs one model)"):
        load(tmp_path)


def test_a_member_that_is_missing_is_named(untrained: Make, tmp_path: Path) -> None:
    Ensemble([untrained(1), untrained(2)]).save(tmp_path)
    (tmp_path / "2" / "params.best").unlink()
    with pytest.raises(InputFault, match=r"params\.best missing in 2"):
        load(tmp_path)


def test_models_that_do_not_speak_of_the_same_are_refused(untrained: Make) -> None:
    with pytest.raises(InputFault, match="Model 2 has other vocabularies"):
        Ensemble([untrained(1), untrained(2, target="x y")])
