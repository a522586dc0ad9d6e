"""Learn to say what is written, and to write what is said: the grammar's sentences in both directions.

    python benchmarks/rewriting/learn.py            both directions, one thread

The held out sentences are none of those learnt from, and an answer is right if it is right to the last sign. Printed
are accuracy, the CPU time of training, and every wrong answer.
"""

import argparse
import random
import time

import torch
from grammar import Phrase, sentences

from groundfog.algorithms.seq2seq import Checkpoint, Seq2Seq
from groundfog.algorithms.seq2seq.learning.progress import Record

DIRECTIONS = {"written to said": 1, "said to written": -1}
OPTIONS = {
    "rnn_num_hidden": 256,
    "num_layers_encoder": 2,
    "rnn_bidirectional_layers": 2,
    "num_embed_source": 128,
    "num_embed_target": 128,
    "batch_size": 32,
    "learning_rate": 0.002,
    "lr_scheduler_type": "linear",
    "embed_dropout_source": 0.1,
    "rnn_encoder_hidden_dropout": 0.2,
    "rnn_decoder_hidden_dropout": 0.2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6000, help="to learn from")
    parser.add_argument("--held-out", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--direction", choices=DIRECTIONS, action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    every = sentences(options.pairs + options.held_out, options.seed)
    random.Random(options.seed).shuffle(every)
    for direction in options.direction or DIRECTIONS:
        pairs = [pair[:: DIRECTIONS[direction]] for pair in every]
        _learn(direction, pairs[options.held_out :], pairs[: options.held_out], options.epochs, options.seed)


def _learn(direction: str, pairs: list[Phrase], held_out: list[Phrase], epochs: int, seed: int) -> None:
    model = Seq2Seq(**OPTIONS, max_num_epochs=epochs, seed=seed, checkpoint_frequency_num_batches=-(-len(pairs) // 32))
    # The best parameters are chosen on pairs that are neither learnt nor scored.
    validation, learnt = pairs[:200], pairs[200:]
    began = time.process_time()

    def tell(record: Record) -> None:
        if isinstance(record, Checkpoint):
            right = record.metrics["accuracy-val"]
            print(f"  {time.process_time() - began:5.0f} s  {right:8.3%} of validation tokens right", flush=True)

    print(f"{direction}: {len(learnt)} pairs", flush=True)
    model.fit(learnt, validation, tokens="word", progress=tell)
    seconds = time.process_time() - began
    said = model.translate([source for source, _ in held_out])
    wrong = [(*pair, each.text) for pair, each in zip(held_out, said, strict=True) if each.text != pair[1]]
    for source, target, answer in wrong:
        print(f"  source  {source}\n  right   {target}\n  said    {answer}")
    print(
        f"{direction}: {1 - len(wrong) / len(held_out):.2%} of {len(held_out)} held out sentences entirely right, "
        f"after {seconds / 60:.1f} CPU-minutes\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
