"""Models of ours and Phonetisaurus asked together: the pronunciation with the highest mean of their probabilities.

    python benchmarks/g2p/together.py OUT/model [OUT/model ...] --phonetisaurus KEPT [--part dev] [--without-stress]

Networks and joint n-grams of letters and phonemes err in other places (Rao et al. 2015), so that two of them know more
than two networks do.
"""

import argparse
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from phonetisaurus import Candidates, Phonetisaurus, least_risk
from scoring import score

from groundfog.algorithms.seq2seq import Seq2Seq

CANDIDATES = 10
"""Of each system, for each word."""


def candidates_of(model: Seq2Seq, asked: Sequence[str], most: int) -> dict[str, Candidates]:
    said = model.translate([list(word) for word in asked], beam_size=most, nbest=most)
    return {
        word: [(each.tokens, each.log_probability) for each in found.alternatives]
        for word, found in zip(asked, said, strict=True)
    }


def mean(systems: Sequence[Candidates]) -> dict[str, float]:
    """Probabilities of pronunciations by those systems that know any; what one of them does not list is 0 to it."""
    together: Counter[str] = Counter()
    knowing = [candidates for candidates in systems if candidates]
    for candidates in knowing:
        total = math.fsum(math.exp(log_probability) for _, log_probability in candidates)
        for said, log_probability in candidates:
            together[" ".join(said)] += math.exp(log_probability) / total / len(knowing)
    return dict(together)


def asked_together(
    models: Sequence[Seq2Seq], peer: Phonetisaurus | None, words: Sequence[str]
) -> list[dict[str, float]]:
    """Of each word."""
    systems = [candidates_of(model, words, CANDIDATES) for model in models]
    if peer:
        systems.append(peer.candidates(words, CANDIDATES)[0])
    return [mean([system[word] for system in systems]) for word in words]


def best(probabilities: Mapping[str, float], *, plain: bool) -> list[str]:
    """:param plain: the likeliest if stress does not count; nothing where nobody knows anything."""
    if plain:
        return least_risk([(said.split(), math.log(probability)) for said, probability in probabilities.items()])
    return max(probabilities, key=probabilities.__getitem__, default="").split()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("models", type=Path, nargs="*")
    asked.add_argument("--phonetisaurus", type=Path, help="the folder of its model, or for it")
    asked.add_argument("--part", choices=("dev", "test"), default="test")
    asked.add_argument("--without-stress", action="store_true", help="look for what is best if stress does not count")
    given = asked.parse_args()
    torch.set_num_threads(1)
    parts = dictionary.split(dictionary.read())
    entries = getattr(parts, given.part)
    peer = Phonetisaurus(given.phonetisaurus) if given.phonetisaurus else None
    if peer:
        peer.train(parts.train)
    found = asked_together([Seq2Seq.load(model) for model in given.models], peer, list(entries))
    print(f"{score([best(each, plain=given.without_stress) for each in found], entries)}   {given.part}")


if __name__ == "__main__":
    main()
