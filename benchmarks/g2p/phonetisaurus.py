"""Phonetisaurus, what people use for this today: letters and phonemes aligned, then 8-grams of the pairs (Novak,
Minematsu and Hirose 2016). It lives in an environment of its own: `make .clients/phonetisaurus/ready`.
"""

import os
import platform
import resource
import subprocess
from collections import defaultdict
from pathlib import Path

from dictionary import Entries, pairs
from evaluate import CANDIDATES, SAME_WITHOUT_STRESS

from groundfog.algorithms.seq2seq.search.risk import risks

CLIENT = Path(__file__).parents[2] / ".clients/phonetisaurus"


class Phonetisaurus:
    def __init__(self, folder: Path) -> None:
        self._folder, self._model = folder, folder / "phonetisaurus.fst"

    def train(self, entries: Entries) -> float:
        """As its command line does it by itself, unless the folder has its model already. CPU-seconds."""
        spent = self._folder / "cpu-seconds"
        if spent.exists():
            return float(spent.read_text())
        self._folder.mkdir(parents=True, exist_ok=True)
        lexicon = self._folder / "lexicon"
        lines = ["".join(letters) + "\t" + " ".join(phonemes) + "\n" for letters, phonemes in pairs(entries)]
        lexicon.write_text("".join(lines), encoding="utf-8")
        began = _seconds_of_children()
        command = [CLIENT / "bin/phonetisaurus", "train", "--model", self._model, lexicon]
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = _seconds_of_children() - began
        spent.write_text(f"{seconds:.1f}\n")
        return seconds

    def say(self, entries: Entries, *, plain: bool = False) -> list[list[str]]:
        """:param plain: the pronunciation that is the best one if stress does not count."""
        words = self._folder / "words"
        words.write_text("".join(f"{word}\n" for word in entries), encoding="utf-8")
        options = [f"--model={self._model}", f"--wordlist={words}", f"--nbest={CANDIDATES if plain else 1}"]
        command = ["phonetisaurus-g2pfst", *options, "--beam=10000", "--thresh=99", "--nlog_probs=true"]
        printed = subprocess.run(command, check=True, env=_environment(), capture_output=True, text=True).stdout
        found = defaultdict(list)
        for line in printed.splitlines():
            word, negative, phonemes = line.split("\t")
            found[word].append((phonemes.split(), -float(negative)))
        return [_best(found[word]) for word in entries]


def _best(candidates: list[tuple[list[str], float]]) -> list[str]:
    """What has least risk; a word that it has nothing for is said as nothing."""
    if not candidates:
        return []
    said, log_probabilities = zip(*candidates, strict=True)
    by_risk = risks(said, log_probabilities, SAME_WITHOUT_STRESS)
    return list(said[by_risk.index(min(by_risk))])


def _environment() -> dict[str, str]:
    [package] = CLIENT.glob("lib/python*/site-packages/phonetisaurus")
    machine = platform.machine()
    return os.environ | {
        "PATH": f"{package / 'bin' / machine}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(package / "lib" / machine),
    }


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
