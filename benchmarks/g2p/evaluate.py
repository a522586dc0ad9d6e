"""How wrong a model is about the words of CMUdict that it never saw.

python benchmarks/g2p/evaluate.py OUT/model [--part dev] [--beam 5]
"""

import argparse
import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from scoring import score

from groundfog.algorithms.seq2seq import Seq2Seq


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("model", type=Path)
    asked.add_argument("--part", choices=("dev", "test"), default="test")
    asked.add_argument("--beam", type=int, default=5, help="1 is greedy")
    given = asked.parse_args()
    torch.set_num_threads(1)
    entries = getattr(dictionary.split(dictionary.read()), given.part)
    model = Seq2Seq.load(given.model)
    began = time.process_time()
    said = [each.tokens for each in model.translate([list(word) for word in entries], beam_size=given.beam)]
    speed = len(entries) / (time.process_time() - began)
    print(f"{given.model} {given.part} beam {given.beam}: {score(said, entries)}   {speed:,.0f} words per CPU-second")


if __name__ == "__main__":
    main()
