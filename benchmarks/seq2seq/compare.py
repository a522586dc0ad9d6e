"""Groundfog's seq2seq beside OpenNMT-py and CTranslate2: the same data, the same core, in turn.

    make .clients/opennmt/ready
    .venv/bin/python benchmarks/seq2seq/compare.py [--rounds 7] [--precisions float32 bfloat16] [--into README.md]

All figures are per CPU-second of one thread, medians over the rounds. In training the two do some batches in turn, in
decoding all say the same words in turn, so that whatever else the machine does, it does to all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.append(str(Path(__file__).parents[1] / "g2p"))

import dictionary
import torch
from table import write_into
from train import machine

from groundfog.algorithms.seq2seq import Seq2Seq
from groundfog.algorithms.seq2seq.data.vocabulary import END
from groundfog.algorithms.seq2seq.learning.progress import Progress, Record
from groundfog.algorithms.seq2seq.learning.train import REPORT_EVERY

ROOT = Path(__file__).parents[2]
MODEL = {"rnn_num_hidden": 512, "num_embed_source": 512, "num_embed_target": 512, "batch_size": 64}
"""The walkthrough's: a bidirectional LSTM of 2 x 256, a decoder's LSTM of 512, mlp attention, input feeding."""
STEPS = 7
"""Of each target: 6.4 phonemes and </s> in the mean. Barely trained models would find no end."""
PEER_BATCHES = 15
"""In a round, which take the peer about as long as `REPORT_EVERY` take us."""
SETTINGS = [(1, 1), (5, 1), (1, 64), (5, 64)]
"""Width of the beam, words together."""

Pairs = list[tuple[list[str], list[str]]]
Batches = list[list[list[str]]]


class Peer:
    def __init__(self, *command: str) -> None:
        program = [ROOT / ".clients/opennmt/bin/python", "-W", "ignore", ROOT / "benchmarks/seq2seq/peers.py"]
        self._process = subprocess.Popen(
            [*program, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, **request: Any) -> dict[str, float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"A peer ended; by hand it says why: {' '.join(map(str, self._process.args))}")
        return dict(json.loads(answer))

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def peer(*command: str) -> Iterator[Peer]:
    started = Peer(*command)
    try:
        yield started
    finally:
        started.end()


def training(folder: Path, pairs: Pairs, precision: str, rounds: int) -> tuple[Seq2Seq, float, float]:
    """Our model, barely trained; how many pairs per CPU-second we learn and OpenNMT-py learns.

    Batches differ in length, so tokens are counted, and told as pairs of the mean length.
    """
    ours: list[float] = []
    theirs: list[float] = []
    before = (0, 0.0)

    with peer("train", str(folder), "rnn") as opennmt:
        opennmt.ask(batches=PEER_BATCHES)

        def listen(record: Record) -> None:
            nonlocal before
            if not isinstance(record, Progress):
                return
            if before[0]:
                ours.append((record.tokens - before[0]) / (time.process_time() - before[1]))
                answer = opennmt.ask(batches=PEER_BATCHES)
                theirs.append(answer["tokens"] / answer["seconds"])
            before = (record.tokens, time.process_time())

        batches = REPORT_EVERY * (rounds + 1)
        model = Seq2Seq(**MODEL, precision=precision, max_num_batches=batches, checkpoint_frequency_num_batches=batches)
        model.fit(pairs, pairs[:100], progress=listen)
    length = sum(len(target) + 1 for _, target in pairs) / len(pairs)
    return model, statistics.median(ours) / length, statistics.median(theirs) / length


def decoding(
    systems: dict[str, Callable[[Batches, int], float]], words: Batches, rounds: int
) -> dict[str, list[float]]:
    """Words per CPU-second of each system in each of `SETTINGS`."""
    speeds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for setting, (width, together) in enumerate(SETTINGS):
            batches = words if together > 1 else [[word] for batch in words for word in batch[:5]]
            for name, say in systems.items():
                speed = sum(map(len, batches)) / say(batches, width)
                if turn:
                    speeds[name, setting].append(speed)
    return {name: [statistics.median(speeds[name, setting]) for setting in range(len(SETTINGS))] for name in systems}


def our_decoder(model: Seq2Seq) -> Callable[[Batches, int], float]:
    model.hyperparameters = replace(model.hyperparameters, max_seq_len_target=STEPS - 1)
    with torch.no_grad():
        model.network.decoder.output.bias[END] = -1e4

    def say(batches: Batches, width: int) -> float:
        began = time.process_time()
        said = [each for batch in batches for each in model.translate(batch, beam_size=width)]
        seconds = time.process_time() - began
        assert {len(each.tokens) for each in said} == {STEPS - 1}
        return seconds

    return say


def their_decoder(process: Peer) -> Callable[[Batches, int], float]:
    return lambda batches, width: process.ask(batches=batches, width=width)["seconds"]


def some_words(entries: dictionary.Entries, batches: int = 4, together: int = 64) -> Batches:
    """Words of about the same length side by side, as everybody sorts them who has many."""
    words = sorted((list(word) for word in entries), key=len)
    starts = [len(words) * (2 * number + 1) // (2 * batches) for number in range(batches)]
    return [words[start : start + together] for start in starts]


def compare(folder: Path, parts: dictionary.Parts, precisions: list[str], rounds: int) -> Iterator[str]:
    """Lines of Markdown."""
    dictionary.write(parts, folder)
    pairs = dictionary.pairs(parts.train)
    yield from ("| training, batches of 64 | pairs/s | OpenNMT-py beside it | ratio |", "|---|---|---|---|")
    models: dict[str, Seq2Seq] = {}
    for precision in precisions:
        models[precision], ours, theirs = training(folder, pairs, precision, rounds)
        yield f"| Groundfog, {precision} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.1f}× |"
    with peer("train", str(folder), "transformer") as opennmt:
        opennmt.ask(batches=5)
    with (
        peer("translate", str(folder), "rnn") as rnn,
        peer("translate", str(folder), "transformer") as transformer,
        peer("ctranslate", str(folder), "float32") as float32,
        peer("ctranslate", str(folder), "int8") as int8,
    ):
        systems = {f"Groundfog, {precision}": our_decoder(model) for precision, model in models.items()}
        systems["OpenNMT-py, the same RNN"] = their_decoder(rnn)
        systems["OpenNMT-py, transformer 3+3"] = their_decoder(transformer)
        systems["CTranslate2, transformer 3+3, float32"] = their_decoder(float32)
        systems["CTranslate2, transformer 3+3, int8"] = their_decoder(int8)
        speeds = decoding(systems, some_words(parts.test), rounds)
    yield ""
    yield "| words/s | greedy, one at a time | beam of 5, one | greedy, 64 together | beam of 5, 64 |"
    yield "|---|---|---|---|---|"
    for name, row in speeds.items():
        yield f"| {name} | " + " | ".join(f"{speed:,.0f}" for speed in row) + " |"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    asked.add_argument(
        "--into", type=Path, help="a Markdown file with the lines <!-- compare --> <!-- end of compare -->"
    )
    given = asked.parse_args()
    torch.set_num_threads(1)
    parts = dictionary.split(dictionary.read())
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in compare(Path(folder), parts, given.precisions, given.rounds):
            lines.append(line)
            print(line, flush=True)
    load = os.getloadavg()[1]
    lines += ["", f"{time.strftime('%Y-%m-%d')}, {machine()}, load {load:.1f}, torch {torch.__version__}."]
    print(lines[-1])
    if given.into:
        write_into(given.into, "compare", "\n".join(lines))


if __name__ == "__main__":
    main()
