"""What the second and every further training process does: as it is told (processes.py)."""

import sys
import traceback
from multiprocessing.connection import Connection

import numpy as np
import torch

from ..data.batching import Batch
from ..network.network import Network
from .exchange import exchange_of
from .learner import Learner
from .processes import Begin, Done, Failed, Restore, TellStates, Update, receive, send
from .scores import Tally


def work(descriptor: int) -> None:
    """:param descriptor: this end of the pipe to the first process."""
    pipe = Connection(descriptor)
    try:
        begin: Begin = receive(pipe)
        torch.set_num_threads(begin.threads)
        network = Network(begin.options, *begin.tokens).to(begin.device)
        exchange = exchange_of(network, begin.meeting, begin.rank, begin.options.num_processes)
        learner = Learner(network.train(), begin.options, exchange.owned)
        while True:
            match receive(pipe):
                case Update() as update:
                    told = _gradients(learner, update, begin)
                    exchange.publish()
                    send(pipe, told)
                    receive(pipe)
                    exchange.collect()
                    learner.step(update.rate)
                    send(pipe, Done())
                case TellStates():
                    send(pipe, learner.states())
                case Restore(states):
                    learner.restore(states)
                    send(pipe, Done())
    except (EOFError, ConnectionError):
        # The first process has no more to do, or is dead.
        return
    except Exception as error:
        traceback.print_exc()
        send(pipe, Failed(f"{type(error).__name__}: {error}"))
        sys.exit(1)


def _gradients(learner: Learner, update: Update, begin: Begin) -> Tally:
    if not len(update.share):
        return learner.no_gradients()
    # Dropout is another in every process, and the same where a training goes on from a checkpoint.
    draws = np.random.SeedSequence([begin.options.seed, begin.rank, update.number])
    torch.manual_seed(int(draws.generate_state(1)[0]))
    return learner.gradients(Batch.of(update.share, range(len(update.share))), update.size)
