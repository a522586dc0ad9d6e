"""Ensembles: several models that say one target together.

At each step the next token's probability is the mean of the members' (Sockeye's default, "linear"). Models that began
with other random weights make other mistakes, and what most of them say is right more often than what one says (Hansen
and Salamon 1990; for translation Sutskever et al. 2014, section 3.6). Architectures may be mixed; vocabularies may not.

    Ensemble([Seq2Seq.load("one"), Seq2Seq.load("two")]).translate(["T A P E W O R M"])

Saved, an ensemble is a folder with ensemble.json, {"version": ..., "models": ["1", "2"]}, and a folder of each model.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..data.batching import Source
from ..data.vocabulary import BEGIN, PAD, Vocabulary
from ..errors import InputFault
from ..model import Seq2Seq, write_text
from ..network.network import Network
from .beam import Rows
from .translation import Translator

FILE = "ensemble.json"
VERSION = "groundfog-seq2seq-ensemble 1"


class Ensemble(Translator):
    """Models of the same vocabularies; lengths are the shortest of theirs, other options those of the first.

    Joint n-grams have a say beside all networks together, if a model has any; where several have, those of the first.
    """

    def __init__(self, models: Sequence[Seq2Seq]) -> None:
        """:raises InputFault: there are none, or their vocabularies differ."""
        if not models:
            raise InputFault("An ensemble needs one model at least")
        for number, model in enumerate(models[1:], start=2):
            if model.vocabularies != models[0].vocabularies or model.tokenizers != models[0].tokenizers:
                raise InputFault(
                    f"Model {number} has other vocabularies than the first: train the models of an ensemble on the same"
                )
        self.models = tuple(models)
        options = [model.hyperparameters for model in models]
        self.hyperparameters = replace(
            options[0],
            max_seq_len_source=min(each.max_seq_len_source for each in options),
            max_seq_len_target=min(each.max_seq_len_target for each in options),
        )
        self.tokenizers = models[0].tokenizers
        self.joint_ngrams = next((model.joint_ngrams for model in models if model.joint_ngrams), None)
        self._speakers = Speakers([model.network for model in models])

    @property
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        return self.models[0].vocabularies

    @property
    def speaker(self) -> "Speakers":
        return self._speakers

    def save(self, folder: Path | str) -> None:
        """What makes it an ensemble is written last."""
        names = [str(number) for number in range(1, len(self.models) + 1)]
        for name, model in zip(names, self.models, strict=True):
            model.save(Path(folder) / name)
        write_text(Path(folder) / FILE, json.dumps({"version": VERSION, "models": names}, indent=2) + "\n")

    def export_onnx(self, folder: Path | str) -> None:
        """All members in the ONNX graphs of one model, with vocabularies and a program that translates without us."""
        from ..export.writing import export_onnx

        export_onnx(self, self.models, folder)

    @classmethod
    def load(cls, folder: Path | str) -> "Ensemble":
        """:raises InputFault: the folder holds no ensemble of ours, or not a whole one."""
        folder = Path(folder)
        try:
            names = json.loads((folder / FILE).read_text(encoding="utf-8"))["models"]
            folders = [folder / name for name in names]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputFault(f"No ensemble: {FILE} in {folder.name} is missing or unreadable ({error!r})") from None
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise InputFault(f"No ensemble: {outside[0]!r} in {FILE} has to be the name of a folder beside it")
        return cls([Seq2Seq.load(each) for each in folders])


def load(folder: Path | str) -> Seq2Seq | Ensemble:
    """The model or the ensemble in this folder.

    :raises InputFault: there is none, or not a whole one.
    """
    return Ensemble.load(folder) if (Path(folder) / FILE).is_file() else Seq2Seq.load(folder)


@dataclass(frozen=True)
class _Of:
    """What each member knows of the same rows."""

    members: tuple[Rows, ...]

    def select(self, rows: Tensor) -> "_Of":
        return _Of(tuple(member.select(rows) for member in self.members))


class Speakers:
    """Networks as one: `beam.Speaker`."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    @property
    def device(self) -> torch.device:
        return self._networks[0].device

    def begin(self, source: Source) -> tuple[_Of, _Of]:
        memories, states = zip(*(network.begin(source) for network in self._networks), strict=True)
        return _Of(memories), _Of(states)

    def step(self, tokens: Tensor, state: _Of, memory: _Of) -> tuple[Tensor, _Of, Tensor]:
        """The mean of probabilities, and of where the members looked."""
        steps = [
            network.step(tokens, of_state, of_memory)
            for network, of_state, of_memory in zip(self._networks, state.members, memory.members, strict=True)
        ]
        scores, states, weights = zip(*steps, strict=True)
        logarithms = torch.stack(scores)  # [members, R, V]
        logarithms[:, :, [PAD, BEGIN]] = -torch.inf
        mean = torch.logsumexp(torch.log_softmax(logarithms, 2), 0) - math.log(len(scores))
        return mean, _Of(states), torch.stack(weights).mean(0)
