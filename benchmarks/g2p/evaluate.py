"""How wrong a model is about words of CMUdict that it never saw; of several models, how wrong they are together.

python benchmarks/g2p/evaluate.py OUT/model [OUT/model ...] [--part dev] [--beam 5] [--without-stress] [--network-alone]
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from scoring import score, without_stress

from groundfog.algorithms.seq2seq import Ensemble, Seq2Seq, differing

CANDIDATES = 20
"""Of which the one is said that is the most probable without stress, where that is what counts."""
SAME_WITHOUT_STRESS = differing(lambda phonemes: tuple(without_stress(phonemes)))


def load(folders: Sequence[Path]) -> Seq2Seq | Ensemble:
    models = [Seq2Seq.load(folder) for folder in folders]
    return models[0] if len(models) == 1 else Ensemble(models)


def say(model: Seq2Seq | Ensemble, entries: dictionary.Entries, beam: int, *, plain: bool = False) -> list[list[str]]:
    """:param plain: the pronunciation that is the best one if stress does not count (minimum Bayes risk)."""
    words = [list(word) for word in entries]
    if plain:
        risk = {"nbest": CANDIDATES, "minimum_bayes_risk": SAME_WITHOUT_STRESS}
        said = model.translate(words, beam_size=max(beam, CANDIDATES), **risk)
    else:
        said = model.translate(words, beam_size=beam)
    return [each.tokens for each in said]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("models", type=Path, nargs="+")
    asked.add_argument("--part", choices=("dev", "test"), default="test")
    asked.add_argument("--beam", type=int, default=5, help="1 is greedy")
    asked.add_argument("--without-stress", action="store_true", help="look for what is best if stress does not count")
    asked.add_argument("--network-alone", action="store_true", help="joint n-grams have no say")
    given = asked.parse_args()
    torch.set_num_threads(1)
    entries = getattr(dictionary.split(dictionary.read()), given.part)
    model = load(given.models)
    model.joint_ngrams = None if given.network_alone else model.joint_ngrams
    began = time.process_time()
    said = say(model, entries, given.beam, plain=given.without_stress)
    speed = len(entries) / (time.process_time() - began)
    print(f"{score(said, entries)}   {given.part}, {speed:,.0f} words per CPU-second")


if __name__ == "__main__":
    main()
