"""Builds the kernels beforehand: `python -m groundfog.algorithms.seq2seq.kernels` says where each is, or why not.

Behind its wall a job can write nowhere that the next one reads, so it would build its own.
"""

import logging

from . import library

logging.basicConfig(level=logging.INFO, format="%(message)s")
for name in ("training", "decoding", "ngrams"):
    built = library(name)
    if built is not None:
        print(f"{name}: {built._name}")  # noqa: T201 (that is what it is for)
