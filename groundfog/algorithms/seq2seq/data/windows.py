"""Training pairs a window at a time, so that they need not fit into memory.

Whoever has the pairs gives a `Source`: each call goes through all of them once, a piece at a time. Files are opened
anew for that; of Pipe mode's FIFOs, it is the next one. Up to `shuffle_window` pairs are a window, which is put into
buckets and shuffled as a whole. Where the first window holds everything it is kept, and nothing is read again.
"""

from collections.abc import Callable, Iterator

from .batching import Corpus, Sequences

Source = Callable[[], Iterator[Corpus]]


class Windows:
    def __init__(self, source: Source, most: int) -> None:
        """The first window is read at once. `most`: pairs in a window."""
        self._source, self._most = source, most
        self._epoch = self._read()
        self._begun = False
        self._take(*next(self._epoch, (_empty(), True)))

    @classmethod
    def of(cls, corpus: Corpus) -> "Windows":
        """Of pairs that are in memory anyway."""
        windows = cls(lambda: iter(()), 0)
        windows._take(corpus, True)
        return windows

    def _take(self, first: Corpus, whole: bool) -> None:
        self._first, self.whole = first, whole
        self.pairs = len(first)
        """In the first window: all of them where `whole`."""

    @property
    def first(self) -> Corpus:
        """The first window, until an epoch goes on from it."""
        return self._first

    def epoch(self) -> Iterator[Corpus]:
        """The windows of an epoch. Each is there until the next is asked for: there is memory for one of them."""
        if self.whole:
            yield self._first
            return
        if self._begun:
            self._epoch = self._read()
        else:
            self._begun = True
            yield self._first
        for window, _ in self._epoch:
            yield window

    def _read(self) -> Iterator[tuple[Corpus, bool]]:
        """Windows, and of each whether it is the last."""
        window = _empty()
        for piece in self._source():
            start = 0
            while start < len(piece):
                if len(window) == self._most:
                    yield window, False
                    window.clear()
                stop = min(len(piece), start + self._most - len(window))
                window.extend(piece, start, stop)
                start = stop
        if len(window):
            yield window, True


def _empty() -> Corpus:
    return Corpus(Sequences(), Sequences())
