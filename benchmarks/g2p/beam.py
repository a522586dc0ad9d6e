"""What a beam costs beside greedy search, with and without a `beam_threshold`, and what the threshold changes.

    python benchmarks/g2p/beam.py OUT/model [--beam 5] [--thresholds 0 6 4 2] [--words 3000]

Dev words, 64 of about one length together; each batch is searched in every way in turn, so that all ways meet the same
busy minutes of a machine. Words per CPU-second of one thread, medians over the rounds.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from evaluate import load
from scoring import score

from groundfog.algorithms.seq2seq import Ensemble, Seq2Seq

TOGETHER = 64


class Way:
    """To search: the options of `translate`, what was said so far, and the seconds of each round."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name, self._options = name, options
        self.said: dict[str, list[str]] = {}
        self.seconds: list[float] = []

    def say(self, model: Seq2Seq | Ensemble, words: list[str]) -> None:
        began = time.process_time()
        found = model.translate([list(word) for word in words], **self._options)
        self.seconds[-1] += time.process_time() - began
        self.said |= zip(words, (each.tokens for each in found), strict=True)

    @property
    def speed(self) -> float:
        return len(self.said) / statistics.median(self.seconds[1:])


def search_in_turn(ways: list[Way], model: Seq2Seq | Ensemble, words: list[str], rounds: int) -> None:
    for _ in range(1 + rounds):
        for way in ways:
            way.seconds.append(0.0)
        for start in range(0, len(words), TOGETHER):
            for way in ways:
                way.say(model, words[start : start + TOGETHER])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument(
        "--thresholds", type=float, nargs="+", default=[0, 6, 4, 2], help="0: none; the first to compare"
    )
    parser.add_argument("--words", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    entries = dict(list(dictionary.split(dictionary.read()).dev.items())[: given.words])
    greedy = Way("greedy", beam_size=1)
    beams = [
        Way(f"beam of {given.beam}, threshold {threshold:g}", beam_size=given.beam, beam_threshold=threshold)
        for threshold in given.thresholds
    ]
    model = load([given.model])
    # It is the network's beam that is measured.
    model.joint_ngrams = None
    search_in_turn([greedy, *beams], model, sorted(entries, key=len), given.rounds)
    for way in (greedy, *beams):
        changed = sum(way.said[word] != beams[0].said[word] for word in entries)
        rates = score([way.said[word] for word in entries], entries)
        print(
            f"{way.name:<26} {way.speed:6.0f} words/s   {way.speed / greedy.speed:.2f} of greedy"
            f"   {changed} of {len(entries)} answers are others   {rates}"
        )


if __name__ == "__main__":
    main()
