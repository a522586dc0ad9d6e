"""What a training looks like while it runs: one line that changes on a terminal, a line now and then elsewhere."""

import math
import sys
import time
from typing import TextIO

from ..hyperparameters import Hyperparameters
from ..learning.progress import (
    Checkpoint,
    Finished,
    NgramsLearnt,
    NgramsWeighed,
    Progress,
    Record,
    Started,
    ngram_line,
)

_SELDOM = 30.0
"""Seconds between two lines where nobody looks on."""


class Meter:
    """A listener of the training."""

    def __init__(self, options: Hyperparameters, stream: TextIO | None = None) -> None:
        self._options, self._stream = options, stream or sys.stderr
        self._alive = self._stream.isatty()
        self._pairs = 0
        self._said = self._began = time.monotonic()
        self._updates_at_begin = 0

    def __call__(self, record: Record) -> None:
        match record:
            case Started():
                self._pairs, self._updates_at_begin = record.pairs, record.updates
                self._began = time.monotonic()
                goes_on = f", going on from update {record.updates:,}" if record.updates else ""
                self._say(f"learning: {record.pairs:,} pairs, {record.parameters:,} parameters{goes_on}")
            case Progress():
                if self._alive or time.monotonic() - self._said > _SELDOM:
                    self._say(self._progress(record), passing=True)
            case Checkpoint():
                self._say(_checkpoint(record))
            case NgramsLearnt() | NgramsWeighed():
                self._say(ngram_line(record))
            case Finished():
                self._say("", passing=True)

    def _progress(self, record: Progress) -> str:
        parts = [
            f"epoch {record.epoch + 1}",
            f"update {record.updates:,}",
            f"loss {math.log(record.perplexity):.3f}",
            f"{record.accuracy:.1%} of tokens right",
            f"{record.pairs_per_second:,.0f} pairs/s",
        ]
        left = self._left(record.updates)
        return " · ".join(parts if left is None else [*parts, f"at most {duration(left)} left"])

    def _left(self, updates: int) -> float | None:
        """Seconds to the last epoch or batch at the speed so far; it may well end before."""
        options = self._options
        ends = [options.max_num_batches] if options.max_num_batches > 0 else []
        if options.max_num_epochs is not None:
            ends.append(options.max_num_epochs * math.ceil(self._pairs / options.batch_size))
        done = updates - self._updates_at_begin
        if not ends or not done:
            return None
        return max(0, min(ends) - updates) * (time.monotonic() - self._began) / done

    def _say(self, line: str, *, passing: bool = False) -> None:
        """`passing`: the next line takes its place, where there is a terminal."""
        if self._alive:
            self._stream.write(f"\r\x1b[K{line}" + ("" if passing else "\n"))
        elif line:
            self._stream.write(f"{line}\n")
        self._stream.flush()
        self._said = time.monotonic()


def _checkpoint(record: Checkpoint) -> str:
    metrics = record.metrics
    found = "the best so far" if record.improved else f"not better for {record.not_improved} of {record.threshold}"
    bleu = f", BLEU {metrics['bleu-val']:.3f}" if "bleu-val" in metrics else ""
    return (
        f"checkpoint {record.number} · update {record.updates:,} · {duration(metrics['time-elapsed'])} · "
        f"validation: loss {math.log(metrics['perplexity-val']):.4f}, {metrics['accuracy-val']:.2%} of tokens right"
        f"{bleu} · {found}"
    )


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
