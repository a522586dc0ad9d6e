"""What teachers say of words that the dictionary lacks, as pairs to learn from beside the dictionary's own.

    python benchmarks/g2p/teach.py TAUGHT --phonetisaurus KEPT [--model runs/a/model ...] [--words N] ...
    python benchmarks/g2p/train.py runs/taught --pairs TAUGHT ...

So one model learns what several know together (Hinton, Vinyals and Dean 2015), by whole sequences (Kim and Rush 2016),
from words that nobody has transcribed (Sun et al. 2019). The teacher that errs in other ways than the pupil teaches it
most: joint n-grams of letters and phonemes.

TAUGHT gets `pairs.tsv`: each training pair of the dictionary `--copies` times, and `--draws` pronunciations of each of
`--words` other words, drawn from the mean of the teachers' probabilities; and `cpu-seconds`, what this took, the
teachers' own training included. No word of dev or test is among them.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
import words
from phonetisaurus import Phonetisaurus
from together import candidates_of, mean

from groundfog.algorithms.seq2seq import Seq2Seq

CANDIDATES = 5
"""Of each teacher, for each word."""
SEED = 1


def draw(probabilities: Mapping[str, float], times: int, randomness: random.Random) -> Iterator[str]:
    """`times` of them, each as often as its probability says, give or take one (systematic sampling)."""
    step = sum(probabilities.values()) / times
    at = randomness.random() * step
    for one, probability in probabilities.items():
        while at < probability:
            yield one
            at += step
        at -= probability


def lines(
    known: Sequence[tuple[str, str]], taught: Mapping[str, Mapping[str, float]], copies: int, draws: int
) -> list[str]:
    """Of the table, in an order by chance."""
    randomness = random.Random(SEED)
    table = [f"{word}\t{said}\n" for word, said in known] * copies
    table += [
        f"{word}\t{said}\n"
        for word, probable in taught.items()
        if probable
        for said in draw(probable, draws, randomness)
    ]
    randomness.shuffle(table)
    return table


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    entries = dictionary.read()
    parts = dictionary.split(entries)
    asked = words.beyond(entries)[: given.words]
    peer = Phonetisaurus(given.phonetisaurus)
    peer_seconds = peer.train(parts.train)
    began = time.process_time()
    answers, labelling = peer.candidates(asked, CANDIDATES, beam=500)
    teachers = [answers, *(candidates_of(Seq2Seq.load(model), asked, CANDIDATES) for model in given.model)]
    taught = {word: mean([teacher[word] for teacher in teachers]) for word in asked}
    known = [("".join(letters), " ".join(phonemes)) for letters, phonemes in dictionary.pairs(parts.train)]
    table = lines(known, taught, given.copies, given.draws)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pairs.tsv").write_text("".join(table), encoding="utf-8")
    learning = sum(float((model.parent / "cpu-seconds").read_text()) for model in given.model)
    spent = peer_seconds + learning + labelling + time.process_time() - began
    (given.out / "cpu-seconds").write_text(f"{spent:.1f}\n")
    print(f"{len(table):,} pairs, {len(known) * given.copies:,} of the dictionary; {spent:,.0f} CPU-seconds")


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path, metavar="TAUGHT")
    asked.add_argument("--phonetisaurus", type=Path, required=True, help="the folder of its model, or for it")
    asked.add_argument("--model", type=Path, action="append", default=[], help="a model of ours that teaches, too")
    asked.add_argument("--words", type=int, default=100_000)
    asked.add_argument("--draws", type=int, default=7)
    asked.add_argument("--copies", type=int, default=6)
    return asked.parse_args()


if __name__ == "__main__":
    main()
