"""A training's whole state in one file, so that it goes on elsewhere as if nothing had happened.

The file is replaced in one step: whoever dies while writing leaves the one before.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from ..network.network import Network
from .learner import States
from .scores import Tally

FILE = "training.safetensors"

_DTYPES = {torch.float32: "F32", torch.uint8: "U8"}
_BEGIN = 8
"""Bytes that say how long the header is."""
_LINE = 64
"""Bytes of a line of the cache."""
_MAY_CHANGE = {
    *("max_num_batches", "max_num_epochs", "min_num_epochs", "checkpoint_threshold", "num_processes"),
    *("joint_ngram_order", "joint_ngram_weight"),
}


@dataclass
class Position:
    """How far a training is."""

    epoch: int = 0
    window: int = 0
    """Of the epoch."""
    batch: int = 0
    """Of the window, the next one."""
    updates: int = 0
    samples: int = 0
    seconds: float = 0.0
    checkpoint: int = 0
    best_checkpoint: int = 0
    best: float | None = None
    not_improved: int = 0
    since: Tally = field(default_factory=Tally)
    """The training data since the last checkpoint."""
    seconds_at_checkpoint: float = 0.0
    rate_factor: float = 1.0
    rate_waited: int = 0


@dataclass
class Snapshot:
    position: Position
    parameters: dict[str, Tensor]
    best: dict[str, Tensor]
    recent: Sequence[dict[str, Tensor]]
    """The parameters at the last checkpoints, the oldest first, where they are averaged."""
    optimizer: States
    random: Tensor


def write(folder: Path, snapshot: Snapshot, options: Hyperparameters, pairs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"parameters/{name}": tensor for name, tensor in snapshot.parameters.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in snapshot.best.items()}
    for number, parameters in enumerate(snapshot.recent):
        tensors |= {f"recent/{number}/{name}": tensor for name, tensor in parameters.items()}
    for number, state in snapshot.optimizer.items():
        tensors |= {f"optimizer/{number}/{name}": value for name, value in state.items()}
    tensors["random"] = snapshot.random
    about = {"position": asdict(snapshot.position), "hyperparameters": asdict(options), "pairs": pairs}
    write_tensors(folder / FILE, tensors, {"training": json.dumps(about)})


def write_tensors(file: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """As safetensors, in one step: under another name first.

    The library's own writer would have all of it in memory once more (https://github.com/huggingface/safetensors#format).
    Where a file is mapped into memory each tensor begins with a line of the cache, if the odd-sized ones come last:
    whoever multiplies by it as it lies would else load from two lines at a time.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    tensors = dict(sorted(tensors.items(), key=lambda each: each[1].nbytes % _LINE > 0))
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(_BEGIN + len(text)) % _LINE)
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("wb") as out:
        out.write(len(text).to_bytes(_BEGIN, "little") + text)
        for tensor in tensors.values():
            out.write(tensor.detach().cpu().flatten().numpy().data)
    partial.chmod(0o644)
    partial.replace(file)


def read(folder: Path, options: Hyperparameters, pairs: int) -> Snapshot | None:
    """What was written last, None where nothing was.

    :raises InputFault: it belongs to another training.
    """
    file = folder / FILE
    if not file.exists():
        return None
    with safe_open(file, framework="pt") as stored:
        about = json.loads((stored.metadata() or {}).get("training", "{}"))
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
    _refuse_another(about, options, pairs, file)
    position = about["position"]
    since = Tally(**position.pop("since"))
    known = {each.name for each in fields(Position)}
    return Snapshot(
        Position(**{name: value for name, value in position.items() if name in known}, since=since),
        _below("parameters/", tensors),
        _below("best/", tensors),
        [parameters for _, parameters in sorted(_numbered("recent/", tensors).items())],
        _numbered("optimizer/", tensors),
        tensors["random"],
    )


def _refuse_another(about: dict[str, Any], options: Hyperparameters, pairs: int, file: Path) -> None:
    before, now = about.get("hyperparameters", {}), asdict(options)
    changed = [name for name in now if name not in _MAY_CHANGE and now[name] != before.get(name)]
    if changed:
        raise InputFault(
            f"The checkpoint {file.name} was written with other hyperparameters ({', '.join(changed)}); "
            "give the same again, or an empty checkpoint folder"
        )
    if about.get("pairs") != pairs:
        raise InputFault(
            f"The checkpoint {file.name} was written on {about.get('pairs')} training pairs and there are {pairs} now; "
            "give the same data again, or an empty checkpoint folder"
        )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _numbered(prefix: str, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below(prefix, tensors).items():
        number, part = name.split("/", 1)
        found.setdefault(int(number), {})[part] = tensor
    return found


def take(
    network: Network, best: dict[str, Tensor], recent: Sequence[dict[str, Tensor]], states: States, position: Position
) -> Snapshot:
    return Snapshot(position, dict(network.state_dict()), best, recent, states, torch.get_rng_state())


def restore(snapshot: Snapshot, network: Network) -> None:
    network.load_state_dict(snapshot.parameters)
    torch.set_rng_state(snapshot.random)
