"""The table of benchmarks/g2p: our models beside Phonetisaurus, trained in this run on the same words.

    make .clients/phonetisaurus/ready
    .venv/bin/python benchmarks/g2p/table.py 'one core-hour=runs/hour' 'ensemble of 3=runs/a,runs/b,runs/c'

Each OUT is a folder of train.py; where joint n-grams have a say, there is a row of the network alone, too.
Phonetisaurus learns within 4 CPU-minutes; with `--keep FOLDER` it does so once. The table is printed, and with
`--into README.md` it replaces what stands between the lines `<!-- g2p -->` and `<!-- end of g2p -->` of that file.
"""

import argparse
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import dictionary
import torch
from evaluate import load, say
from phonetisaurus import Phonetisaurus
from scoring import score, standard_error
from train import machine

from groundfog.algorithms.seq2seq import Ensemble, Seq2Seq

BEAM = 5
HEAD = """\
| test words, beam of 5 | CPU-minutes | parameters | WER | PER | WER without stress | PER without stress | \
WER, chosen without stress |
|---|---|---|---|---|---|---|---|"""


def rows(systems: dict[str, list[Path]], peer: Phonetisaurus, parts: dictionary.Parts) -> Iterator[str]:
    yield from HEAD.splitlines()
    seconds = peer.train(parts.train)
    yield row("Phonetisaurus 0.3.0", seconds, "–", peer.say(parts.test), peer.say(parts.test, plain=True), parts)
    for name, outs in systems.items():
        model = load([out / "model" for out in outs])
        members = model.models if isinstance(model, Ensemble) else [model]
        numbers = sum(weight.numel() for member in members for weight in member.network.parameters())
        seconds = sum(float((out / "cpu-seconds").read_text()) for out in outs)
        size = f"{numbers / 1e6:.1f} M"
        if model.joint_ngrams:
            ngrams = f"{size}, {len(model.joint_ngrams.trie.tokens) / 1e6:.1f} M n-grams"
            yield row(name, seconds, ngrams, *answers(model, parts.test), parts)
            model.joint_ngrams = None
            name = "of that, the network alone"
        yield row(name, seconds, size, *answers(model, parts.test), parts)


def answers(model: Seq2Seq | Ensemble, entries: dictionary.Entries) -> tuple[list[list[str]], list[list[str]]]:
    """The second where stress does not count."""
    return say(model, entries, BEAM), say(model, entries, BEAM, plain=True)


def row(
    name: str, seconds: float, size: str, said: list[list[str]], plain: list[list[str]], parts: dictionary.Parts
) -> str:
    """:param plain: what was said where stress does not count."""
    figures = [*score(said, parts.test), score(plain, parts.test).plain_wer]
    return f"| {name} | {seconds / 60:,.0f} | {size} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("systems", nargs="*", metavar="NAME=OUT[,OUT...]")
    asked.add_argument("--into", type=Path, help="a Markdown file")
    asked.add_argument("--keep", type=Path, help="a folder for Phonetisaurus's model, or the one that has it")
    given = asked.parse_args()
    torch.set_num_threads(1)
    named = (each.partition("=") for each in given.systems)
    systems = {name: [Path(out) for out in outs.split(",")] for name, _, outs in named}
    parts = dictionary.split(dictionary.read())
    lines = []
    with tempfile.TemporaryDirectory() as passing:
        for line in rows(systems, Phonetisaurus(given.keep or Path(passing)), parts):
            print(line, flush=True)
            lines.append(line)
    error = standard_error(30, len(parts.test))
    lines += ["", f"{time.strftime('%Y-%m-%d')}, {machine()}; one thread; standard error of a WER {error:.2f} points."]
    print(lines[-1])
    if given.into:
        write_into(given.into, "g2p", "\n".join(lines))


def write_into(file: Path, mark: str, text: str) -> None:
    """In the place of what stands between the lines `<!-- mark -->` and `<!-- end of mark -->`."""
    between = f"(?<=<!-- {mark} -->\n).*?(?=<!-- end of {mark} -->)"
    marked, found = re.subn(between, lambda _: f"{text}\n", file.read_text(), flags=re.DOTALL)
    if not found:
        raise SystemExit(f"{file} has no lines <!-- {mark} --> and <!-- end of {mark} -->")
    file.write_text(marked)


if __name__ == "__main__":
    main()
