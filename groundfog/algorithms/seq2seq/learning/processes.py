"""Training by several processes of one machine: each learns from its share of every batch, all step by the sum.

The first process is the one that called `fit`: it reads, validates, reports and writes. It starts the others, which
do as they are told over a pipe (worker.py):

    first process                           every other one
    Begin                              ->   builds its network
    Update: a share, a rate            ->   forward, backward, publishes its gradients
                                       <-   Tally of its share
    Go, when everybody has answered    ->   collects the sums, steps
                                       <-   Done

So a batch has `batch_size` pairs whatever the number of processes, and the curve is that of one process but for
rounding, and for dropout, of which each draws its own. A process that dies closes its pipe: that ends the training
with the reason. If it was the first one, the others end by themselves.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from ..data.batching import Batch, Corpus
from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from ..network.network import Network
from .exchange import Exchange, Meeting, exchange_of, size_of
from .learner import Learner, States
from .scores import Tally

_PATIENCE = 10
"""Seconds for a process to end that has nothing to do any more."""


@dataclass(frozen=True)
class Begin:
    options: Hyperparameters
    tokens: tuple[int, int]
    """In the vocabularies."""
    rank: int
    device: str
    threads: int
    meeting: Meeting


@dataclass(frozen=True)
class Update:
    share: Corpus
    size: int
    """Pairs in the whole batch."""
    rate: float
    number: int


@dataclass(frozen=True)
class Restore:
    states: States


@dataclass(frozen=True)
class TellStates: ...


@dataclass(frozen=True)
class Go: ...


@dataclass(frozen=True)
class Done: ...


@dataclass(frozen=True)
class Failed:
    reason: str


class WorkerDied(Exception):
    """One of several training processes ended before its time."""


class _Worker:
    def __init__(self, rank: int, meeting: Meeting) -> None:
        self.rank = rank
        self._pipe, theirs = Pipe()
        # No multiprocessing: it would import the user's main module again. What is signalled to the group of the first
        # process is that one's business.
        program = (
            f"import sys; sys.path[:] = {sys.path}; from {__package__}.worker import work; work({theirs.fileno()})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *([meeting] if isinstance(meeting, int) else [])],
            start_new_session=True,
        )
        theirs.close()

    def tell(self, message: Any) -> None:
        try:
            send(self._pipe, message)
        except ConnectionError:
            raise self._death() from None

    def answer(self) -> Any:
        try:
            answer = receive(self._pipe)
        except (EOFError, ConnectionError):
            raise self._death() from None
        if isinstance(answer, Failed):
            raise WorkerDied(f"Training process {self.rank} failed: {answer.reason}")
        return answer

    def _death(self) -> WorkerDied:
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        advice = "; was there too little memory for so many? Lower num_processes" if code == -signal.SIGKILL else ""
        return WorkerDied(f"Training process {self.rank} {how}{advice}")

    def dismiss(self) -> None:
        self._pipe.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def send(pipe: Connection, message: Any) -> None:
    # Its own `send` would pass tensors through shared memory of torch's, which is slow to set up.
    pipe.send_bytes(pickle.dumps(message))


def receive(pipe: Connection) -> Any:
    return pickle.loads(pipe.recv_bytes())  # noqa: S301 (from a process that we started)


class Team:
    """The processes that learn; with `num_processes` 1 there is but this one, and nothing to exchange."""

    def __init__(self, network: Network, options: Hyperparameters, tokens: tuple[int, int]) -> None:
        self._network, self._processes = network, options.num_processes
        self._threads = torch.get_num_threads()
        self._workers: list[_Worker] = []
        self._exchange: Exchange | None = None
        if self._processes > 1:
            torch.set_num_threads(max(1, self._threads // self._processes))
            self._begin(options, tokens)
        self._learner = Learner(network, options, self._exchange.owned if self._exchange else None)

    def _begin(self, options: Hyperparameters, tokens: tuple[int, int]) -> None:
        on_gpus = self._network.device.type == "cuda"
        if on_gpus and self._processes > torch.cuda.device_count():
            raise InputFault(
                f"num_processes is {self._processes} and there are {torch.cuda.device_count()} GPUs: one each, at most"
            )
        meeting = self._meeting()
        for rank in range(1, self._processes):
            device = f"cuda:{rank}" if on_gpus else "cpu"
            worker = _Worker(rank, meeting)
            self._workers.append(worker)
            worker.tell(Begin(options, tokens, rank, device, torch.get_num_threads(), meeting))
        self._exchange = exchange_of(self._network, meeting, 0, self._processes)
        if isinstance(meeting, int):
            os.close(meeting)

    def _meeting(self) -> Meeting:
        if self._network.device.type == "cuda":
            return Path(tempfile.mkdtemp()) / "meeting"
        memory = os.memfd_create("seq2seq")
        os.truncate(memory, size_of(self._network, self._processes))
        return memory

    def update(self, corpus: Corpus, numbers: np.ndarray, rate: float, number: int) -> Tally:
        """Update number `number`, from the pairs of one batch."""
        size = len(numbers)
        for worker in self._workers:
            # Neighbours in a batch have targets of about the same length: every process has some of each length.
            worker.tell(Update(corpus.some(numbers[worker.rank :: self._processes]), size, rate, number))
        told = self._learner.gradients(Batch.of(corpus, numbers[:: self._processes]), size)
        if self._exchange is not None:
            self._exchange.publish()
            for worker in self._workers:
                told.include(worker.answer())
            for worker in self._workers:
                worker.tell(Go())
            self._exchange.collect()
        self._learner.step(rate)
        for worker in self._workers:
            worker.answer()
        return told

    def states(self) -> States:
        states = dict(self._learner.states())
        for worker in self._workers:
            worker.tell(TellStates())
            states |= worker.answer()
        return states

    def restore(self, states: States) -> None:
        self._learner.restore(states)
        for worker in self._workers:
            worker.tell(Restore(states))
            worker.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The others leave, and the network belongs to this process alone again."""
        for worker in self._workers:
            worker.dismiss()
        if self._exchange is not None:
            self._exchange.close()
        torch.set_num_threads(self._threads)
