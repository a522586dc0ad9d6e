"""Peak memory of training, and what a model adds to an endpoint's process.

    python benchmarks/seq2seq/memory.py [--hidden 512] [--batch 64] [--loaded 1024] [--precision bfloat16]

Training is compared with its parameters, the optimizer's state and one batch's activations; everything else that is in
memory at some time is beyond that: gradients, the best parameters so far, files being written. Each measurement has a
process of its own, and what PyTorch itself takes is subtracted.
"""

import argparse
import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from throughput import VOCABULARY, dictionary

from groundfog.algorithms.seq2seq import Checkpoint, Hyperparameters, Seq2Seq
from groundfog.algorithms.seq2seq.data.batching import Batch
from groundfog.algorithms.seq2seq.learning.scores import loss_of
from groundfog.algorithms.seq2seq.network.network import Network, initialise

MIB = 1 << 20


def status(field: str) -> float:
    """MiB: VmRSS is what there is now, VmHWM the most that there was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def forget_peak() -> None:
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def options_of(hidden: int, batch: int) -> dict[str, int]:
    return {
        "rnn_num_hidden": hidden,
        "batch_size": batch,
        "max_num_batches": 60,
        "checkpoint_frequency_num_batches": 20,
    }


def activations(hidden: int, batch: int) -> float:
    """MiB that one batch of the longest sentences adds, forward."""
    options = Hyperparameters.of(options_of(hidden, batch))
    network = Network(options, len(VOCABULARY), len(VOCABULARY)).train()
    initialise(network, options)
    corpus = dictionary(20_000)
    longest = corpus.sources.lengths.argsort()[-batch:]
    loss_of(network(Batch.of(corpus, longest[:2])), Batch.of(corpus, longest[:2]).outputs).item()
    forget_peak()
    before = status("VmRSS")
    loss = loss_of(network(Batch.of(corpus, longest)), Batch.of(corpus, longest).outputs)
    loss.item()
    return status("VmHWM") - before


def training(hidden: int, batch: int) -> float:
    """MiB that a training adds at its peak, its checkpoints on disk and its model included."""
    corpus, held = dictionary(20_000), dictionary(500)
    small = Seq2Seq(rnn_num_hidden=16, max_num_batches=2)
    small.source_vocabulary = small.target_vocabulary = VOCABULARY
    small.fit_corpora(held, held)
    with tempfile.TemporaryDirectory() as folder:
        model = Seq2Seq(**options_of(hidden, batch))
        model.source_vocabulary = model.target_vocabulary = VOCABULARY
        forget_peak()
        before, peaks = status("VmRSS"), []

        def told(record: object) -> None:
            if isinstance(record, Checkpoint):
                peaks.append(status("VmHWM") - before)

        model.fit_corpora(corpus, held, progress=told, checkpoints=f"{folder}/checkpoints", folder=f"{folder}/model")
        return status("VmHWM") - before


def loading(folder: str) -> float:
    """MiB that a model adds when it is loaded and has answered."""
    Seq2Seq.load(f"{folder}/small").translate(["token-1 token-2"])
    forget_peak()
    before = status("VmRSS")
    Seq2Seq.load(f"{folder}/large").translate(["token-1 token-2"])
    return status("VmHWM") - before


def save(folder: Path, hidden: int, precision: str) -> int:
    """Bytes of the parameters of a model that was saved there."""
    model = Seq2Seq(rnn_num_hidden=hidden, max_num_batches=1, precision=precision)
    model.source_vocabulary = model.target_vocabulary = VOCABULARY
    model.fit_corpora(dictionary(64), dictionary(64), folder=folder)
    return (folder / "params.best").stat().st_size


def apart(name: str, *arguments: object) -> float:
    """The function's answer in a process of its own."""
    program = f"import torch; torch.set_num_threads(1); import memory; print(memory.{name}{arguments!r})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 512), ("batch", 64), ("loaded", 1024)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of what is loaded")
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = Network(Hyperparameters.of(options_of(given.hidden, given.batch)), len(VOCABULARY), len(VOCABULARY))
    parameters = sum(weight.numel() for weight in network.parameters()) * 4 / MIB
    batch, peak = (apart(name, given.hidden, given.batch) for name in ("activations", "training"))
    needed = 3 * parameters + batch
    print(
        f"training, hidden {given.hidden}, batch {given.batch}: parameters {parameters:.0f} MiB, state of Adam"
        f" {2 * parameters:.0f}, activations {batch:.0f}; peak {peak:.0f} MiB, {peak / needed:.2f} times their sum"
    )
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "small", 16, given.precision)
        size = save(Path(folder) / "large", given.loaded, given.precision) / MIB
        added = apart("loading", folder)
    print(f"an endpoint: a model of {size:.0f} MiB adds {added:.0f} MiB, {added / size:.2f} times its size")


if __name__ == "__main__":
    main()
